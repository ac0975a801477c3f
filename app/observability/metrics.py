"""What is counted, for Prometheus: by prometheus_client, in files that all workers of an instance share.

Nothing is counted before `start`, so that commands that share the code need no such files. Labels have few values: no
user, name or key is among them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from app import __version__
from app.observability import trail
from app.observability.counts import Counts

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: The folder of the workers' files; prometheus_client's own name for it, which it reads when it is first imported.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

#: Seconds; the upper bounds of what is counted together.
BUCKETS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
    *(1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0),
)
#: Routes that are no part of the object API.
ASIDE = ("health", "status", "metrics", "other")


class _Collectors:
    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry: CollectorRegistry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"openim_direct_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"openim_direct_{name}", text, labels, registry=self.registry, buckets=BUCKETS)

        def gauge(name: str, text: str, mode: str, *labels: str) -> Gauge:
            return Gauge(f"openim_direct_{name}", text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self.info = gauge("info", "The instance, its node and its version.", "livemax", "instance_id", "node", "version")
        self.requests = counter(
            "requests", "Requests by errCode and by what kept the client here.", "route", "err_code", "pin"
        )
        self.request_seconds = histogram("request_seconds", "Time to answer.", "route")
        self.in_flight = gauge("requests_in_flight", "Requests that are being answered.", "livesum")
        self.begun = counter("uploads_begun", "Uploads initiated, but for content that was there already.")
        self.completed = counter("uploads_completed", "Uploads completed; a repeat that got its answer again counts again.")
        self.deduplicated = counter("uploads_deduplicated", "Uploads answered at once: the content was there already.")
        self.failed = counter("uploads_failed", "Completions that were refused or failed, by errName.", "reason")
        self.upload_bytes = counter("upload_bytes", "Bytes of completed uploads.")
        self.crashes = counter("crashes", "Requests that failed in a way nobody expected; the log has the stack.")
        self.node_up = gauge("node_up", "Whether the node answered its last probe.", "livemostrecent", "node")
        self.node_latency = gauge("node_latency_seconds", "Time of the node's last probe.", "livemostrecent", "node")
        self.probe_seconds = histogram("node_probe_seconds", "Times of the node's answered probes.", "node")
        self.storage_calls = counter("storage_calls", "Calls to the storage.", "node", "call", "result")
        self.storage_seconds = histogram("storage_seconds", "Times of calls to the storage.", "node")
        self.forwards = counter("forwards", "Requests sent on to an instance of the right node.", "node", "result")
        self.records_calls = counter("records_calls", "Statements sent to the records database.", "call", "result")
        self.records_seconds = histogram("records_seconds", "Times of these statements.")
        self.thumbnails = counter("thumbnails", "Thumbnails asked for, by what was shown.", "result")


_collectors: _Collectors | None = None


def start(instance: str, node: str) -> None:
    """Begin to count, once in each worker, after the fork."""
    global _collectors
    if _collectors is None:
        _collectors = _Collectors()
        _collectors.info.labels(instance, node, __version__).set(1)


# What happened


def request_began() -> None:
    if _collectors is not None:
        _collectors.in_flight.inc()


def request_ended(route: str, err_code: int, pin: str, seconds: float) -> None:
    if _collectors is not None:
        _collectors.in_flight.dec()
        _collectors.requests.labels(route, err_code, pin).inc()
        _collectors.request_seconds.labels(route).observe(seconds)


def upload_begun(there: bool) -> None:
    """
    :param there: the content was.
    """
    if _collectors is not None:
        (_collectors.deduplicated if there else _collectors.begun).inc()


def upload_completed(size: int) -> None:
    if _collectors is not None:
        _collectors.completed.inc()
        _collectors.upload_bytes.inc(size)


def upload_failed(reason: str) -> None:
    if _collectors is not None:
        _collectors.failed.labels(reason).inc()


def crashed() -> None:
    if _collectors is not None:
        _collectors.crashes.inc()


def probed(node: str, seconds: float | None) -> None:
    """
    :param seconds: None where it was not answered.
    """
    if _collectors is None:
        return
    _collectors.node_up.labels(node).set(seconds is not None)
    if seconds is not None:
        _collectors.node_latency.labels(node).set(seconds)
        _collectors.probe_seconds.labels(node).observe(seconds)


def storage_called(node: str, call: str, result: str, seconds: float) -> None:
    trail.took("storage", seconds)
    if _collectors is not None:
        _collectors.storage_calls.labels(node, call, result).inc()
        _collectors.storage_seconds.labels(node).observe(seconds)


def records_called(call: str, result: str, seconds: float) -> None:
    trail.took("records", seconds)
    if _collectors is not None:
        _collectors.records_calls.labels(call, result).inc()
        _collectors.records_seconds.observe(seconds)


def forwarded(node: str, answered: bool, seconds: float) -> None:
    trail.took("forward", seconds)
    if _collectors is not None:
        _collectors.forwards.labels(node, "answered" if answered else "failed").inc()


def thumbnail(result: str) -> None:
    if _collectors is not None:
        _collectors.thumbnails.labels(result).inc()


# What it came to, over all workers


class Sums(NamedTuple):
    counts: Counts
    #: How many requests of the object API took at most each of `BUCKETS`, and how many there were.
    requests: tuple[int, ...]
    #: Answered probes of the own node, the same way, and the sum of their seconds.
    probes: tuple[int, ...]
    probe_seconds: float


def _registry(collectors: _Collectors) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    if FOLDER not in os.environ:
        # Not under gunicorn: one process is all there is.
        return collectors.registry
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def exposition() -> tuple[bytes, str]:
    """Prometheus' text format, and its content type."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    if _collectors is None:
        return b"", CONTENT_TYPE_LATEST
    return generate_latest(_registry(_collectors)), CONTENT_TYPE_LATEST


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
            labels, value = sample.labels, sample.value
            name = sample.name.removeprefix("openim_direct_")
            if name in _COUNTED:
                counts[_COUNTED[name]] += int(value)
            elif name == "requests_total" and labels["route"] not in ASIDE:
                counts["requests"] += int(value)
                counts["views"] += int(value) if labels["route"] == "view" else 0
                counts["errors"] += int(value) if labels["err_code"] in _OURS else 0
            elif name == "request_seconds_bucket" and labels["route"] not in ASIDE:
                requests[float(labels["le"])] += int(value)
            elif name == "node_probe_seconds_bucket" and labels["node"] == node:
                probes[float(labels["le"])] += int(value)
            elif name == "node_probe_seconds_sum" and labels["node"] == node:
                probe_seconds += value
    bounds = (*BUCKETS, float("inf"))
    return Sums(Counts(**counts), tuple(requests[b] for b in bounds), tuple(probes[b] for b in bounds), probe_seconds)


_COUNTED = {
    "forwards_total": "forwards",
    "crashes_total": "errors",
    "uploads_begun_total": "uploads_begun",
    "uploads_completed_total": "uploads_completed",
    "uploads_deduplicated_total": "uploads_deduplicated",
    "uploads_failed_total": "uploads_failed",
    "upload_bytes_total": "upload_bytes",
}
#: Failures that are the deployment's. v3.4.0's 500 is for bad arguments as well, so that it tells nothing.
_OURS = ("90002", "90004")


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
