"""The last hour of one instance, sampled in the background from what its workers count together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise, starmap
from operator import sub

import msgspec

from app import __version__
from app.observability.counts import Counts
from app.observability.metrics import Sums, quantile
from app.status.report import HISTORY, RECENT, Latency, Point, Report
from app.storage.monitor import Monitor

#: Seconds between two samples.
STEP = 30.0


class History:
    """
    :param sums: what was counted since the start.
    :param clock: Unix seconds.
    """

    def __init__(self, sums: Callable[[], Sums], clock: Callable[[], float] = time.time) -> None:
        self._sums = sums
        self._clock = clock
        self.started = clock()
        empty = Sums(Counts(), (), (), 0.0)
        self._samples: deque[tuple[float, Sums]] = deque([(self.started, empty)], maxlen=int(HISTORY / STEP) + 1)
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def sample(self) -> None:
        self._samples.append((self._clock(), self._sums()))

    def _run(self) -> None:
        while True:
            # At the same times in all workers, so that they tell the same.
            time.sleep(STEP - time.time() % STEP)
            self.sample()

    def now(self) -> tuple[Counts, Point, Latency]:
        """What was counted since the start; in the last 5 minutes, or since the start; the node's probes in these."""
        now = self._clock(), self._sums()
        samples = list(self._samples)
        since = next((sample for sample in reversed(samples) if sample[0] <= now[0] - RECENT), samples[0])
        return now[1].counts, _between(since, now), _latency(_less(now[1].probes, since[1].probes))

    def points(self) -> list[Point]:
        return list(starmap(_between, pairwise(list(self._samples))))


def _between(before: tuple[float, Sums], after: tuple[float, Sums]) -> Point:
    (start, old), (end, new) = before, after
    probes = sum(_less(new.probes, old.probes)[-1:])
    return Point(
        at=end,
        seconds=end - start,
        counts=Counts(*_less(msgspec.structs.astuple(new.counts), msgspec.structs.astuple(old.counts))),
        latency=_latency(_less(new.requests, old.requests)),
        node_ms=1000 * (new.probe_seconds - old.probe_seconds) / probes if probes else None,
    )


def _less(new: tuple[int, ...], old: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(0, n) for n in map(sub, new, old)) if old else new


def _latency(counts: tuple[int, ...]) -> Latency:
    seconds = (quantile(counts, share) for share in (0.5, 0.99))
    return Latency(*(None if s is None else round(s * 1000, 2) for s in seconds))


def report(monitor: Monitor, history: History) -> Report:
    """What an instance tells of itself."""
    total, recent, node_latency = history.now()
    state = monitor.readiness()
    return Report(
        instance=state.instance,
        node=state.node,
        version=__version__,
        started=history.started,
        ready=state.ready,
        node_ms=state.latency_ms,
        down_since=state.down_since,
        reason=state.reason,
        total=total,
        recent=recent.counts,
        latency=recent.latency,
        node_latency=node_latency,
        history=history.points(),
    )
