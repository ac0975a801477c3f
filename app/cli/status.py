"""`openim-direct status`: shows every node and instance."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from app.cli.nodes import failures
from app.cli.options import config_option, load_config
from app.compose import describe_deployment
from app.status.overview import InstanceState, NodeState, Overview
from app.status.report import Latency, size_text

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
@click.option(
    "--watch", type=click.FloatRange(0.5), metavar="SECONDS", help="Look again every so many seconds, until Ctrl-C."
)
def status(config_file: str, as_json: bool, watch: float | None) -> None:
    """Show whether each instance and node is up, how fast it answers, its share of the load and what lies on it.

    Latencies, uploads, share, forwards and errors are of the last 5 minutes. Exit code 1 where something is down.
    """
    deployment = load_config(config_file)
    if watch is not None and not as_json:
        from rich.live import Live

        with failures(), Live(_tables(describe_deployment(deployment)), screen=True) as live:
            try:
                while True:
                    time.sleep(watch)
                    live.update(_tables(describe_deployment(deployment)))
            except KeyboardInterrupt:
                return
    while True:
        with failures():
            overview = describe_deployment(deployment)
        if as_json:
            # A line each time where they follow each other.
            encoded = msgspec.json.encode(overview)
            click.echo((encoded if watch is not None else msgspec.json.format(encoded, indent=2)).decode())
        else:
            from rich.console import Console

            Console().print(_tables(overview))
        if watch is None:
            sys.exit(0 if overview.all_up else 1)
        time.sleep(watch)


def _tables(overview: Overview) -> RenderableType:
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    instances = Table(
        *("instance", "node", "up", "p50 ms", "p99 ms", "uploads", "share", "forwards", "errors"),
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for instance in overview.instances:
        instances.add_row(*_instance_row(instance))
    nodes = Table("node", "up", "p50 ms", "p99 ms", "objects", "bytes", "share", box=box.SIMPLE)
    whole = sum(node.bytes for node in overview.nodes)
    for node in overview.nodes:
        nodes.add_row(*_node_row(node, overview, whole))
    # Below the tables, where a terminal of 80 columns does not break them.
    reasons = [
        *_reasons(overview.instances),
        *_reasons(overview.nodes),
        *(f"{n.id}: drains" for n in overview.nodes if n.drain),
    ]
    return Group(instances, nodes, Text("\n".join(reasons)))


def _reasons(states: Sequence[InstanceState | NodeState]) -> list[str]:
    return [f"{state.id or '(unknown)'}: {state.reason}" for state in states if state.reason]


def _instance_row(instance: InstanceState) -> list[str]:
    up = "yes" if instance.ready else "no"
    report = instance.report
    if report is None:
        return [instance.id, instance.node, up, *[""] * 6]
    recent = report.recent
    share = "" if instance.share is None else f"{100 * instance.share:.0f} %"
    counts = [f"{recent.uploads_completed:,}", share, f"{recent.forwards:,}", f"{recent.errors:,}"]
    return [instance.id, instance.node, up, *_milliseconds(report.latency), *counts]


def _node_row(node: NodeState, overview: Overview, whole: int) -> list[str]:
    reports = [i.report for i in overview.instances if i.report is not None and i.report.node == node.id]
    latency = reports[0].node_latency if reports else Latency(node.latency_ms)
    up = {True: "yes", False: "no", None: "?"}[node.up]
    share = f"{100 * node.bytes / whole:.0f} %" if whole else ""
    return [node.id or "(unknown)", up, *_milliseconds(latency), f"{node.objects:,}", size_text(node.bytes), share]


def _milliseconds(latency: Latency) -> list[str]:
    return ["" if ms is None else f"{ms:.1f}" for ms in (latency.p50_ms, latency.p99_ms)]
