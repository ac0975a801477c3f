"""`openim-direct status`: shows every node and instance."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

import click
import msgspec

from app.cli.options import config_option, load_config
from app.compose import describe_deployment
from app.core.errors import APIError
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
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            try:
                overview = describe_deployment(deployment)
            except APIError as e:
                if watch is None:
                    raise
                # The next look may be answered.
                click.echo(f"Error: {e}", err=True)
                time.sleep(watch)
                continue
            if as_json:
                encoded = msgspec.json.encode(overview)
                # A line each time where they follow each other.
                click.echo(encoded if watch is not None else msgspec.json.format(encoded, indent=2))
            else:
                from rich.console import Console

                console = Console()
                if watch is not None:
                    console.clear()
                console.print(_tables(overview))
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
    for i in overview.instances:
        cells = [i.id, i.node, "yes" if i.ready else "no"]
        if i.report is not None:
            recent = i.report.recent
            cells += [*_milliseconds(i.report.latency), f"{recent.uploads_completed:,}", _percent(i.share)]
            cells += [f"{recent.forwards:,}", f"{recent.errors:,}"]
        instances.add_row(*cells)
    nodes = Table("node", "up", "p50 ms", "p99 ms", "objects", "bytes", "share", box=box.SIMPLE)
    whole = sum(n.bytes for n in overview.nodes)
    for n in overview.nodes:
        reports = [i.report for i in overview.instances if i.report is not None and i.report.node == n.id]
        latency = reports[0].node_latency if reports else Latency(n.latency_ms)
        up = {True: "yes", False: "no", None: "?"}[n.up]
        share = _percent(n.bytes / whole if whole else None)
        nodes.add_row(n.id or "(unknown)", up, *_milliseconds(latency), f"{n.objects:,}", size_text(n.bytes), share)
    # Below the tables, where a terminal of 80 columns does not break them.
    states: list[InstanceState | NodeState] = [*overview.instances, *overview.nodes]
    reasons = [f"{state.id or '(unknown)'}: {state.reason}" for state in states if state.reason]
    reasons += [f"{n.id}: drains" for n in overview.nodes if n.drain]
    return Group(instances, nodes, *map(Text, reasons))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _milliseconds(latency: Latency) -> list[str]:
    return ["" if ms is None else f"{ms:.1f}" for ms in (latency.p50_ms, latency.p99_ms)]
