"""What an instance tells about itself: the body of `/status.json`, which `openim-direct status` and the status page read."""

from __future__ import annotations

import msgspec

#: Seconds of the figures that say how it goes now, and of the history.
RECENT = 300
HISTORY = 3600


class Counts(msgspec.Struct, frozen=True):
    """How often things happened in a time."""

    #: Requests of the object API, with those that another instance forwarded here; not health checks and pages.
    requests: int = 0
    #: Of these, failed by no fault of the client's: a node, an instance or the database that cannot serve, or a defect.
    errors: int = 0
    #: GET and HEAD of an object, part of `requests`.
    views: int = 0
    #: Sent on to another instance.
    forwards: int = 0
    uploads_begun: int = 0
    uploads_completed: int = 0
    #: Answered "already there" at once.
    uploads_deduplicated: int = 0
    #: Completions that were refused or failed.
    uploads_failed: int = 0
    #: As declared by the completed uploads.
    upload_bytes: int = 0


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
