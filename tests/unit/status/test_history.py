"""The last hour, its quantiles, log lines, and what a request leaves behind for them."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest

from app.api.observe import route_of
from app.observability import metrics, request_log, trail
from app.observability.metrics import BUCKETS, Sums, quantile
from app.status.history import History
from app.status.report import Counts


def counted(seconds: list[float]) -> tuple[int, ...]:
    bounds = (*BUCKETS, float("inf"))
    lower = (0.0, *bounds)
    return tuple(sum(low < s <= high for s in seconds) for low, high in zip(lower, bounds, strict=False))


def test_quantiles_lie_in_the_bucket_of_the_true_one() -> None:
    draw = random.Random(5)
    seconds = sorted(draw.lognormvariate(-4, 1) for _ in range(1000))
    for share in (0.5, 0.9, 0.99):
        true, told = seconds[int(len(seconds) * share) - 1], quantile(counted(seconds), share)
        assert told is not None
        upper = min(b for b in BUCKETS if b >= true)
        lower = max([b for b in BUCKETS if b < true], default=0.0)
        assert lower <= told <= upper, share


def test_quantiles_of_nothing_one_and_what_is_beyond() -> None:
    assert quantile((), 0.5) is None
    assert quantile(counted([]), 0.99) is None
    assert quantile(counted([0.004]), 0.99) == pytest.approx(0.003 + 0.002 * 0.99)
    # Over the last bucket nothing is known but that.
    assert quantile(counted([100.0]), 0.5) == BUCKETS[-1]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.sums = Sums(Counts(), (), (), 0.0)

    def count(self, uploads: int, request_seconds: list[float], probes: list[float] | None = None) -> None:
        probes = probes or []
        old = self.sums
        add: Callable[[tuple[int, ...], list[float]], tuple[int, ...]] = lambda have, new: tuple(  # noqa: E731
            a + b for a, b in zip(have or (0,) * len(counted([])), counted(new), strict=True)
        )
        counts = Counts(
            requests=old.counts.requests + len(request_seconds), uploads_completed=old.counts.uploads_completed + uploads
        )
        self.sums = Sums(
            counts, add(old.requests, request_seconds), add(old.probes, probes), old.probe_seconds + sum(probes)
        )


def test_an_hour_in_steps_and_the_last_five_minutes() -> None:
    clock = Clock()
    history = History(lambda: clock.sums, lambda: clock.now)
    clock.count(3, [0.004] * 3, [0.001])
    total, recent, node = history.now()
    assert (total.uploads_completed, recent.counts.uploads_completed) == (3, 3), "since the start, where that is shorter"
    assert node.p50_ms is not None
    for _ in range(130):
        clock.now += 30
        clock.count(1, [0.2], [0.002, 0.004])
        history.sample()
    points = history.points()
    assert len(points) == 120
    assert points[-1].at - points[0].at == 119 * 30
    assert {p.counts.uploads_completed for p in points} == {1}
    assert points[5].node_ms == pytest.approx(3.0)
    assert points[5].latency.p50_ms is not None
    assert 150 < points[5].latency.p50_ms <= 200
    total, recent, _ = history.now()
    assert total.uploads_completed == 133
    assert recent.counts.uploads_completed == 10
    assert recent.seconds == 300


def test_a_step_without_probes_has_no_latency() -> None:
    clock = Clock()
    history = History(lambda: clock.sums, lambda: clock.now)
    clock.now += 30
    clock.count(0, [])
    history.sample()
    (point,) = history.points()
    assert (point.node_ms, point.latency.p99_ms) == (None, None)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/object/auth_sign", "auth_sign"),
        ("GET", "/object/auth_sign", "view"),
        ("HEAD", "/object/u1/x", "view"),
        ("POST", "/object/u1/x", "other"),
        ("GET", "/i/i1/object/u1/x", "view"),
        ("GET", "/i/", "other"),
        ("GET", "/readyz", "health"),
        ("GET", "/metrics", "metrics"),
        ("POST", "/status", "status"),
        ("GET", "/anything/else", "other"),
    ],
)
def test_routes_have_few_names(method: str, path: str, route: str) -> None:
    assert route_of(method, path) == route


def test_an_operation_id_is_safe_wherever_it_goes() -> None:
    made = trail.begin('a b\r\nX: "1"{}' + "z" * 100)
    assert made.operation == "a_b__X:__1___" + "z" * 51
    assert trail.operation() == made.operation
    trail.took("storage", 0.5)
    trail.took("storage", 0.25)
    assert made.parts == {"storage": 0.75}
    trail.end()
    trail.took("storage", 9)
    trail.set_user("nobody")
    assert (trail.operation(), made.parts, made.user) == ("", {"storage": 0.75}, "")


ENTRY: dict[str, Any] = {
    **{"instance": "i1", "node": "m1", "operationID": "op", "user": "u\x1b[31m\n1", "method": "GET", "route": "view"},
    **{"path": "/object/\u2028\x1b]0;x\x07", "status": 302, "errCode": 0, "pin": "hash", "ms": 1.5, "storage_ms": 1.0},
}


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_request_is_one_line(form: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    request_log.writer(form)(ENTRY)
    written = capfdbinary.readouterr().err
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert b"\x1b" not in written
    assert b"\x07" not in written
    if form == "json":
        told = json.loads(written)
        assert {name: told[name] for name in ENTRY} == ENTRY
        assert told["time"].endswith("Z")
    else:
        assert b"302" in written
        assert b"storage 1.0" in written


def test_other_lines_are_json_with_their_stack() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        import sys

        record = logging.LogRecord("app.x", logging.ERROR, __file__, 1, "failed: %s", ("why\nnot",), sys.exc_info())
    text = request_log.JSONLines("i1").format(record)
    assert "\n" not in text
    told = json.loads(text)
    assert (told["instance"], told["level"], told["message"]) == ("i1", "ERROR", "failed: why\nnot")
    assert "ValueError" in told["stack"]


def test_nothing_is_counted_by_commands() -> None:
    metrics.storage_called("m1", "GET", "200", 0.1)
    metrics.request_ended("view", 0, "none", 0.1)
    assert metrics.exposition()[0] == b""
    assert metrics.sums("m1").counts == Counts()
