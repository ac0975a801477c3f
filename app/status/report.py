"""What an instance tells about itself: the body of `/status.json`, which `openim-direct status` and the status page read."""

from __future__ import annotations

import msgspec

from app.observability.counts import Counts

#: Seconds of the figures that say how it goes now, and of the history.
RECENT = 300
HISTORY = 3600


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds; None where nothing was measured."""

    p50_ms: float | None = None
    p99_ms: float | None = None


class Point(msgspec.Struct, frozen=True):
    """One step of the history."""

    #: Unix seconds of its end, and how many seconds it covers.
    at: float
    seconds: float
    counts: Counts
    #: Of requests.
    latency: Latency
    #: Mean milliseconds of the node's probes; None where none was answered.
    node_ms: float | None

    def per_second(self, count: int) -> float | None:
        return count / self.seconds if self.seconds > 0 else None


class Report(msgspec.Struct, frozen=True):
    instance: str
    node: str
    version: str
    #: Unix seconds.
    started: float
    ready: bool
    #: Milliseconds that the last probe of the node took.
    node_ms: float | None
    #: Unix seconds since when the node does not answer, and why.
    down_since: float | None
    reason: str
    #: Since the start, over all workers.
    total: Counts
    #: Over the last 5 minutes, or since the start where that is shorter.
    recent: Counts
    #: Of requests, and of the node's probes, in the last 5 minutes.
    latency: Latency
    node_latency: Latency
    #: The last hour, the oldest first.
    history: list[Point]


def size_text(size: float) -> str:
    """Bytes for people: `900 B`, `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
