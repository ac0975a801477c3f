"""The status page: what is down in words, tables of now, plots of the last hour."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import groupby
from statistics import fmean
from typing import Any, NamedTuple

import msgspec

from app.api.pages.plot import Line, line_plot
from app.api.pages.render import TEXTS, number_text, render
from app.core.model import Record
from app.status.overview import Overview
from app.status.report import HISTORY, Latency, Point, Report


class Problem(NamedTuple):
    what: str
    #: Unix seconds.
    since: float | None
    why: str


def status_page(
    overview: Overview,
    local: str,
    query: str = "",
    record: Record | None = None,
    *,
    language: str,
    nonce: str,
    now: float | None = None,
) -> str:
    """
    :param local: the instance that shows the page.
    :param query: the name that was requested; with `record` None there is no such name.
    :param nonce: of the Content-Security-Policy.
    :param now: Unix seconds.
    """
    t = TEXTS[language]
    now = time.time() if now is None else now
    return render(
        "status.html",
        language,
        nonce=nonce,
        local=local,
        now=now,
        overview=overview,
        problems=_problems(overview, t),
        plots=_plots(overview, language, now),
        query=query,
        record=record,
        ago=partial(_ago, now=now, t=t),
        latency_text=_latency_text,
        slowest=_slowest,
    )


def _problems(overview: Overview, t: dict[str, Any]) -> list[Problem]:
    problems = []
    for node in overview.nodes:
        if node.up is False:
            since = min((r.down_since for r in overview.reports(node.id) if r.down_since is not None), default=None)
            problems.append(Problem(t["node_down"].format(id=node.id), since, node.reason))
    for instance in overview.instances:
        if not instance.ready:
            silent = instance.latency_ms is None and instance.report is None
            what = t["instance_silent" if silent else "instance_down"].format(id=instance.id)
            since = None if instance.report is None else instance.report.down_since
            problems.append(Problem(what, since, instance.reason))
    return problems


def _slowest(reports: list[Report]) -> Latency:
    """The slowest of several instances' views of their node."""
    quantiles = zip(*(msgspec.structs.astuple(report.node_latency) for report in reports), strict=True)
    return Latency(*(max((ms for ms in views if ms is not None), default=None) for views in quantiles))


def _latency_text(latency: Latency) -> str:
    """`3.2 / 12`, or nothing where nothing was measured."""
    if latency == Latency():
        return ""
    return " / ".join("–" if ms is None else number_text(ms) for ms in (latency.p50_ms, latency.p99_ms))


def _plots(overview: Overview, language: str, now: float) -> list[str]:
    t = TEXTS[language]
    reports = [i.report for i in overview.instances if i.report is not None]

    def per_instance(value: Callable[[Point], float | None]) -> list[Line]:
        return [Line(report.instance, [(point.at, value(point)) for point in report.history]) for report in reports]

    node_lines = [_node_line(node.id, overview.reports(node.id)) for node in overview.nodes]
    plots = (
        ("plot_latency", "unit_ms", per_instance(lambda point: point.latency.p99_ms)),
        ("plot_node", "unit_ms", [line for line in node_lines if line.points]),
        ("plot_requests", "unit_per_second", per_instance(lambda point: point.per_second(point.counts.requests))),
        ("plot_uploads", "unit_per_minute", per_instance(lambda point: point.per_second(60 * point.counts.uploads))),
    )
    return [line_plot(t[title], t[unit], lines, now - HISTORY, now, language) for title, unit, lines in plots]


def _node_line(node_id: str, reports: list[Report]) -> Line:
    """Take several instances' views of a node together, step by step."""
    points = [point for report in reports for point in report.history]
    longest = max([1.0, *(point.seconds for point in points)])

    def step(point: Point) -> int:
        return round(point.at / longest)

    line = []
    for _, group in groupby(sorted(points, key=step), step):
        together = list(group)
        values = [point.node_ms for point in together if point.node_ms is not None]
        line.append((max(point.at for point in together), fmean(values) if values else None))
    return Line(node_id, line)


def _ago(seconds: float, now: float, t: dict[str, Any]) -> str:
    past = max(0, int(now - seconds))
    units = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
    length, unit = next((length, unit) for length, unit in units if past >= 2 * length or length == 1)
    return str(t["ago"].format(time=t[unit].format(n=past // length)))
