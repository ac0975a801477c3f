"""The status page: what is down in words, tables of now, plots of the last hour."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from app.api.pages.plot import Line, line_plot, number_text
from app.api.pages.render import render
from app.api.pages.texts import Language, texts
from app.core.model import Record
from app.status.overview import InstanceState, NodeState, Overview
from app.status.report import HISTORY, Latency, Point, size_text

#: Problems in the headline itself; all are listed below it.
_IN_HEADLINE = 3


class Moment(msgspec.Struct, frozen=True):
    """A time, which the page's script shows in the browser's zone."""

    seconds: float
    text: str
    iso: str
    ago: str


class _Problem(msgspec.Struct, frozen=True):
    what: str
    since: Moment | None
    why: str


class _InstanceRow(msgspec.Struct, frozen=True):
    id: str
    node: str
    up: str
    reason: str
    latency: str
    uploads: str
    uploads_failed: str
    share: str
    forwards: str
    errors: str
    failing: bool


class _NodeRow(msgspec.Struct, frozen=True):
    id: str
    up: str
    reason: str
    latency: str
    one_probe: bool
    objects: str
    bytes: str
    drain: bool


def status_page(
    overview: Overview,
    here: str,
    language: Language,
    query: str = "",
    found: Record | None = None,
    *,
    nonce: str,
    now: float | None = None,
) -> str:
    """
    :param here: the instance that shows the page.
    :param query: the name that was asked for; with `found` None there is no such name.
    :param nonce: of the Content-Security-Policy.
    :param now: Unix seconds.
    """
    t = texts(language)
    now = time.time() if now is None else now
    problems = _problems(overview, language, now)
    return render(
        "status.html",
        language,
        nonce=nonce,
        here=here,
        now=_moment(now, now, language),
        all_up=overview.all_up,
        headline=_headline(overview, problems, t),
        detail=_detail(overview, t),
        problems=problems,
        notes=_notes(overview, t),
        instances=[_instance_row(instance, t) for instance in overview.instances],
        nodes=[_node_row(node, overview.instances) for node in overview.nodes],
        plots=_plots(overview, language, now),
        query=query,
        found=found,
        found_size=None if found is None else size_text(found.size),
        found_time=None if found is None else _moment(found.create_time / 1000, now, language),
    )


def login_page(language: Language, refused: bool, *, nonce: str, action: str = "status") -> str:
    """
    :param refused: the token that was sent just now is no administrator's.
    :param action: the status page, relative to the path at which this one is shown.
    """
    return render("login.html", language, nonce=nonce, refused=refused, action=action)


def _problems(overview: Overview, language: Language, now: float) -> list[_Problem]:
    t = texts(language)
    problems: list[_Problem] = []

    def add(what: str, since: float | None, why: str) -> None:
        problems.append(_Problem(what, None if since is None else _moment(since, now, language), why or t["no_reason"]))

    for node in overview.nodes:
        if node.up is False:
            told = [_since(instance) for instance in overview.instances if instance.node == node.id]
            since = min((s for s in told if s is not None), default=None)
            add(t["node_down"].format(id=node.id), since, node.reason)
    for instance in overview.instances:
        if not instance.ready:
            silent = instance.latency_ms is None and instance.report is None
            what = t["instance_silent" if silent else "instance_down"].format(id=instance.id)
            add(what, _since(instance), instance.reason)
    return problems


def _since(instance: InstanceState) -> float | None:
    return None if instance.report is None else instance.report.down_since


def _headline(overview: Overview, problems: Sequence[_Problem], t: dict[str, str]) -> str:
    if overview.all_up:
        return t["all_well"]
    named = [problem.what for problem in problems[:_IN_HEADLINE]]
    if len(problems) > _IN_HEADLINE:
        named.append(t["and_more"].format(n=len(problems) - _IN_HEADLINE))
    return t["sentence_gap"].join(named)


def _detail(overview: Overview, t: dict[str, str]) -> str:
    up = sum(node.up is True for node in overview.nodes)
    text = t["all_well_detail" if up == len(overview.nodes) else "all_well_unknown"]
    return text.format(instances=len(overview.instances), nodes=len(overview.nodes), up=up)


def _notes(overview: Overview, t: dict[str, str]) -> list[str]:
    notes = []
    for instance in overview.instances:
        if instance.report is not None and instance.report.recent.errors:
            notes.append(t["note_errors"].format(id=instance.id, n=f"{instance.report.recent.errors:,}"))
        if instance.report is None and instance.ready:
            notes.append(t["note_silent"].format(id=instance.id))
    return notes + [t["note_drain"].format(id=node.id) for node in overview.nodes if node.drain]


def _instance_row(instance: InstanceState, t: dict[str, str]) -> _InstanceRow:
    counts = instance.report.recent if instance.report is not None else None
    failed = counts.uploads_failed if counts is not None else 0
    return _InstanceRow(
        id=instance.id,
        node=instance.node,
        up="yes" if instance.ready else "no",
        reason=instance.reason,
        latency="" if instance.report is None else _latency_text(instance.report.latency),
        uploads="" if counts is None else f"{counts.uploads_completed + counts.uploads_deduplicated:,}",
        uploads_failed=t["uploads_failed"].format(n=f"{failed:,}") if failed else "",
        share="" if instance.share is None else f"{100 * instance.share:.0f} %",
        forwards="" if counts is None else f"{counts.forwards:,}",
        errors="" if counts is None else f"{counts.errors:,}",
        failing=counts is not None and counts.errors > 0,
    )


def _node_row(node: NodeState, instances: Sequence[InstanceState]) -> _NodeRow:
    seen = [i.report.node_latency for i in instances if i.node == node.id and i.report is not None]
    worst = Latency(
        max((s.p50_ms for s in seen if s.p50_ms is not None), default=None),
        max((s.p99_ms for s in seen if s.p99_ms is not None), default=None),
    )
    measured = worst.p50_ms is not None or worst.p99_ms is not None
    one_probe = not measured and node.latency_ms is not None
    return _NodeRow(
        id=node.id,
        up={True: "yes", False: "no", None: "unknown"}[node.up],
        reason=node.reason,
        latency=_ms_text(node.latency_ms) if one_probe else _latency_text(worst),
        one_probe=one_probe,
        objects=f"{node.objects:,}",
        bytes=size_text(node.bytes),
        drain=node.drain,
    )


def _latency_text(latency: Latency) -> str:
    if latency.p50_ms is None and latency.p99_ms is None:
        return ""
    return f"{_ms_text(latency.p50_ms)} / {_ms_text(latency.p99_ms)}"


def _ms_text(value: float | None) -> str:
    return "–" if value is None else number_text(value)


def _plots(overview: Overview, language: Language, now: float) -> list[str]:
    t = texts(language)
    histories = {i.id: i.report.history for i in overview.instances if i.report is not None}

    def per_instance(value: Callable[[Point], float | None]) -> list[Line]:
        return [Line(id, [(point.at, value(point)) for point in history]) for id, history in histories.items()]

    def uploads(point: Point) -> float | None:
        done = point.counts.uploads_completed + point.counts.uploads_deduplicated
        return done / point.seconds * 60 if point.seconds > 0 else None

    def requests(point: Point) -> float | None:
        return point.counts.requests / point.seconds if point.seconds > 0 else None

    kinds = (
        ("plot_latency", "unit_ms", per_instance(lambda point: point.latency.p99_ms)),
        ("plot_node", "unit_ms", _node_lines(overview)),
        ("plot_requests", "unit_per_second", per_instance(requests)),
        ("plot_uploads", "unit_per_minute", per_instance(uploads)),
    )
    return [line_plot(t[title], t[unit], lines, now - HISTORY, now, language) for title, unit, lines in kinds]


def _node_lines(overview: Overview) -> list[Line]:
    """One line a node; several instances' views of it are taken together, step by step."""
    lines = []
    for node in overview.nodes:
        reports = [i.report for i in overview.instances if i.node == node.id and i.report is not None]
        points = [point for report in reports for point in report.history]
        if not points:
            continue
        step = max(max(point.seconds for point in points), 1.0)
        steps: dict[int, list[Point]] = defaultdict(list)
        for point in points:
            steps[round(point.at / step)].append(point)
        line = []
        for _, together in sorted(steps.items()):
            values = [point.node_ms for point in together if point.node_ms is not None]
            line.append((max(point.at for point in together), sum(values) / len(values) if values else None))
        lines.append(Line(node.id, line))
    return lines


def _moment(seconds: float, now: float, language: Language) -> Moment:
    t = texts(language)
    try:
        at = time.gmtime(seconds)
    except (OverflowError, ValueError, OSError):
        return Moment(0, str(seconds), "", "")
    past = max(0, int(now - seconds))
    for length, unit in ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds")):
        if past >= 2 * length or length == 1:
            ago = t["ago"].format(time=t[unit].format(n=past // length))
            break
    return Moment(seconds, time.strftime("%Y-%m-%d %H:%M:%S UTC", at), time.strftime("%Y-%m-%dT%H:%M:%SZ", at), ago)
