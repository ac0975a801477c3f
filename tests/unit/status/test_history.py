"""The last hour, its quantiles, log lines, and what a request leaves behind for them."""

from __future__ import annotations

import json
import logging
import random
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from app.observability import metrics, request_log, trail
from app.observability.metrics import BUCKETS, Sums, quantile
from app.status.history import History
from app.status.report import Counts


def counted(seconds: list[float]) -> tuple[int, ...]:
    return tuple(sum(s <= bound for s in seconds) for bound in (*BUCKETS, float("inf")))


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


def test_an_operation_id_is_safe_wherever_it_goes() -> None:
    made = trail.begin('a b\r\nX: "1"{}' + "z" * 100)
    assert made.operation == "a_b__X:__1___" + "z" * 51
    assert trail.operation() == made.operation
    trail.took("storage", 0.5)
    trail.took("storage", 0.25)
    assert made.parts == {"storage": 0.75}
    trail.end()
    trail.took("storage", 9)
    assert (trail.operation(), made.parts) == ("", {"storage": 0.75})


ENTRY: dict[str, Any] = {
    **{"instance": "i1", "node": "m1", "operationID": "op", "user": "u\x1b[31m\n1", "method": "GET", "route": "view"},
    **{
        "path": "/object/\u2028\x1b]0;x\x07",
        "status": 302,
        "errCode": 0,
        "pin": "hash",
        "ms": 1.5,
        "storage_ms": 1.0,
        "forwardedTo": "i2",
    },
}


def line_of_a_request(formatter: logging.Formatter, caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.INFO):
        request_log.requests.info(request_log.TEXT, ENTRY)
    (record,) = caplog.records
    line = formatter.format(record)
    assert "\n" not in line
    assert "\x1b" not in line
    assert "\x07" not in line
    return line


def test_a_request_is_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    line = line_of_a_request(request_log.JSONLines("i1"), caplog)
    told = json.loads(line)
    assert told.items() == {**ENTRY, "time": told["time"], "level": "INFO"}.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["time"])


def test_a_request_is_one_line_of_text(caplog: pytest.LogCaptureFixture) -> None:
    line = line_of_a_request(request_log.TextLines(), caplog)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d i1 302     0      1\.5 ms  GET /object/\?\?\]0;x\?  u\?\[31m\?1 hash op -> i2 \(storage 1\.0\)",
        line,
    )


@pytest.mark.parametrize("options", [("json",), ("json", False), ("text",)])
def test_requests_are_logged_or_not(options: tuple[Any, ...]) -> None:
    """In a process of its own: logging is set up once."""
    script = f"""
from app.observability import request_log
request_log.configure("i1", *{options!r})
request_log.requests.info(request_log.TEXT, {ENTRY!r})
import logging
logging.getLogger("app.x").info("started")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    lines = done.stderr.removesuffix("\n").split("\n")
    assert len(lines) == (1 if False in options else 2)
    assert [line.startswith("{") for line in lines] == ["json" in options] * len(lines)
    assert "started" in lines[-1]


def test_other_lines_are_json_with_their_stack() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
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
