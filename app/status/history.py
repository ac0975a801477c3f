"""The last hour of one instance, sampled in the background from what its workers count together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise
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
        at, total = self._clock(), self._sums()
        since = self._samples[0]
        for sample in list(self._samples):
            if sample[0] <= at - RECENT:
                since = sample
        return total.counts, _between(since, (at, total)), _latency(_less(total.probes, since[1].probes))

    def points(self) -> list[Point]:
        samples = list(self._samples)
        return [_between(before, after) for before, after in pairwise(samples)]


def _between(before: tuple[float, Sums], after: tuple[float, Sums]) -> Point:
    (start, old), (end, new) = before, after
    counts = [max(0, a - b) for a, b in zip(_values(new.counts), _values(old.counts), strict=True)]
    probes = _less(new.probes, old.probes)
    answered = sum(probes)
    return Point(
        at=end,
        seconds=end - start,
        counts=Counts(*counts),
        latency=_latency(_less(new.requests, old.requests)),
        node_ms=1000 * (new.probe_seconds - old.probe_seconds) / answered if answered else None,
    )


def _values(counts: Counts) -> tuple[int, ...]:
    return msgspec.structs.astuple(counts)


def _less(new: tuple[int, ...], old: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(0, n) for n in map(sub, new, old)) if old else new


def _latency(counts: tuple[int, ...]) -> Latency:
    def ms(share: float) -> float | None:
        seconds = quantile(counts, share)
        return None if seconds is None else round(seconds * 1000, 2)

    return Latency(ms(0.5), ms(0.99))


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
