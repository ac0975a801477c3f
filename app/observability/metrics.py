"""What is counted, for Prometheus: by prometheus_client, in files that all workers of an instance share.

Nothing is counted before `start`, so that commands that share the code need no such files. Labels have few values: no
user, name or key is among them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from app import __version__
from app.observability import trail
from app.observability.counts import Counts

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

#: The folder of the workers' files; prometheus_client's own name for it, which it reads when it is first imported.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

#: Seconds; the upper bounds of what is counted together.
BUCKETS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
    *(1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0),
)
#: Routes that are no part of the object API.
ASIDE = ("health", "status", "metrics", "other")
#: Failures that are the deployment's. v3.4.0's 500 is for bad arguments as well, so that it tells nothing.
_OURS = ("90002", "90004")


#: By name, after `openim_direct_`: its kind (for a gauge, how the values of the workers become one), its text, its labels.
METRICS: dict[str, tuple[Any, ...]] = {
    "info": ("livemax", "The instance, its node and its version.", "instance_id", "node", "version"),
    "requests": ("counter", "Requests by errCode and by what kept the client here.", "route", "err_code", "pin"),
    "request_seconds": ("histogram", "Time to answer.", "route"),
    "requests_in_flight": ("livesum", "Requests that are being answered."),
    "uploads_begun": ("counter", "Uploads initiated, but for content that was there already."),
    "uploads_completed": ("counter", "Uploads completed; a repeat that got its answer again counts again."),
    "uploads_deduplicated": ("counter", "Uploads answered at once: the content was there already."),
    "uploads_failed": ("counter", "Completions that were refused or failed, by errName.", "reason"),
    "upload_bytes": ("counter", "Bytes of completed uploads."),
    "crashes": ("counter", "Requests that failed in a way nobody expected; the log has the stack."),
    "node_up": ("livemostrecent", "Whether the node answered its last probe.", "node"),
    "node_latency_seconds": ("livemostrecent", "Time of the node's last probe.", "node"),
    "node_probe_seconds": ("histogram", "Times of the node's answered probes.", "node"),
    "storage_calls": ("counter", "Calls to the storage.", "node", "call", "result"),
    "storage_seconds": ("histogram", "Times of calls to the storage.", "node"),
    "forwards": ("counter", "Requests sent on to an instance of the right node.", "node", "result"),
    "records_calls": ("counter", "Statements sent to the records database.", "call", "result"),
    "records_seconds": ("histogram", "Times of these statements."),
    "thumbnails": ("counter", "Thumbnails requested, by what was shown.", "result"),
}


class Collectors:
    """Holds prometheus_client's collector of each metric."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        self.by_name: dict[str, Any] = {}
        for name, (kind, text, *labels) in METRICS.items():
            options: dict[str, Any] = {"namespace": "openim_direct", "registry": self.registry}
            if kind == "counter":
                self.by_name[name] = Counter(name, text, labels, **options)
            elif kind == "histogram":
                self.by_name[name] = Histogram(name, text, labels, buckets=BUCKETS, **options)
            else:
                self.by_name[name] = Gauge(name, text, labels, multiprocess_mode=kind, **options)

        #: What counts for a name and its labels: prometheus_client takes a lock to find it, at every request several times.
        self._series: dict[tuple[object, ...], Any] = {}

    def series(self, name: str, labels: tuple[object, ...]) -> Any:
        key = (name, *labels)
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = self.by_name[name].labels(*labels) if labels else self.by_name[name]
        return found


_collectors: Collectors | None = None


def start(instance: str, node: str) -> None:
    """Begin to count, once in each worker, after the fork."""
    global _collectors
    if _collectors is None:
        _collectors = Collectors()
        _set("info", 1, instance, node, __version__)


def count(name: str, *labels: object, by: float = 1) -> None:
    """Add to one of `METRICS`."""
    if _collectors is not None:
        _collectors.series(name, labels).inc(by)


def _observe(name: str, seconds: float, *labels: object) -> None:
    if _collectors is not None:
        _collectors.series(name, labels).observe(seconds)


def _set(name: str, value: float, *labels: object) -> None:
    if _collectors is not None:
        _collectors.series(name, labels).set(value)


def request_ended(route: str, err_code: int, pin: str, seconds: float) -> None:
    count("requests_in_flight", by=-1)
    count("requests", route, err_code, pin)
    _observe("request_seconds", seconds, route)


def probed(node: str, seconds: float | None) -> None:
    """
    :param seconds: None where it was not answered.
    """
    _set("node_up", seconds is not None, node)
    if seconds is not None:
        _set("node_latency_seconds", seconds, node)
        _observe("node_probe_seconds", seconds, node)


def storage_called(node: str, call: str, result: str, seconds: float) -> None:
    trail.took("storage", seconds)
    count("storage_calls", node, call, result)
    _observe("storage_seconds", seconds, node)


def records_called(call: str, result: str, seconds: float) -> None:
    trail.took("records", seconds)
    count("records_calls", call, result)
    _observe("records_seconds", seconds)


def forwarded(node: str, answered: bool, seconds: float) -> None:
    trail.took("forward", seconds)
    count("forwards", node, "answered" if answered else "failed")


class Sums(NamedTuple):
    """What it came to, over all workers."""

    counts: Counts
    #: How many requests of the object API took at most each of `BUCKETS`, and how many there were.
    requests: tuple[int, ...]
    #: Answered probes of the own node, the same way, and the sum of their seconds.
    probes: tuple[int, ...]
    probe_seconds: float


def _registry(collectors: Collectors) -> CollectorRegistry:
    """All workers' values; this process's own where it is all there is (not under gunicorn)."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    if FOLDER not in os.environ:
        return collectors.registry
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def exposition() -> tuple[bytes, str]:
    """Prometheus' text format, and its content type."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    return b"" if _collectors is None else generate_latest(_registry(_collectors)), CONTENT_TYPE_LATEST


def sums(node: str) -> Sums:
    """
    :param node: whose probes.
    """
    counts: dict[str, int] = defaultdict(int)
    requests: dict[float, int] = defaultdict(int)
    probes: dict[float, int] = defaultdict(int)
    probe_seconds = 0.0
    for family in [] if _collectors is None else _registry(_collectors).collect():
        for sample in family.samples:
            labels, value = sample.labels, int(sample.value)
            name = sample.name.removeprefix("openim_direct_")
            if name.removesuffix("_total") in Counts.__struct_fields__ and name != "requests_total":
                counts[name.removesuffix("_total")] += value
            elif name == "crashes_total":
                counts["errors"] += value
            elif name == "requests_total" and labels["route"] not in ASIDE:
                counts["requests"] += value
                counts["views"] += value if labels["route"] == "view" else 0
                counts["errors"] += value if labels["err_code"] in _OURS else 0
            elif name == "request_seconds_bucket" and labels["route"] not in ASIDE:
                requests[float(labels["le"])] += value
            elif name == "node_probe_seconds_bucket" and labels["node"] == node:
                probes[float(labels["le"])] += value
            elif name == "node_probe_seconds_sum" and labels["node"] == node:
                probe_seconds += sample.value
    bounds = (*BUCKETS, float("inf"))
    return Sums(Counts(**counts), tuple(requests[b] for b in bounds), tuple(probes[b] for b in bounds), probe_seconds)


def quantile(counts: tuple[int, ...], share: float) -> float | None:
    """Seconds below which a share of what was counted lies, as Prometheus' histogram_quantile: even within a bucket. None
    where nothing was counted.

    :param counts: as in `Sums`.
    """
    rank = counts[-1] * share if counts else 0
    if rank == 0:
        return None
    below, lower = 0, 0.0
    for count, upper in zip(counts, BUCKETS, strict=False):
        if count >= rank:
            return lower + (upper - lower) * (rank - below) / (count - below)
        below, lower = count, upper
    return BUCKETS[-1]
