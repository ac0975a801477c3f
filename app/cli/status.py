"""`openim-direct status`: every node and instance at a glance."""

from __future__ import annotations

import sys

import click
import msgspec

from app.cli.nodes import failures, size_text
from app.cli.options import config_option, load_config
from app.compose import create_nodes, create_records
from app.overview import Overview, look


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def status(config_file: str, as_json: bool) -> None:
    """Show whether each node and instance is up, and how many objects and bytes the records know on each node.

    A hint for moving objects: `migrate` evens nodes out. Exit code 1 where something is down.
    """
    deployment = load_config(config_file)
    with failures():
        found = look(deployment, create_nodes(deployment), create_records(deployment))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        _show(found)
    sys.exit(0 if found.all_up else 1)


def _show(found: Overview) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    whole = sum(node.bytes for node in found.nodes)
    nodes = Table("node", "up", "ms", "objects", "bytes", "share", "", box=box.SIMPLE)
    for node in found.nodes:
        share = f"{100 * node.bytes / whole:.0f} %" if whole else ""
        nodes.add_row(
            node.id or "(unknown)",
            {True: "yes", False: "no", None: "?"}[node.up],
            "" if node.latency_ms is None else str(node.latency_ms),
            f"{node.objects:,}",
            size_text(node.bytes),
            share,
            node.reason or ("drains" if node.drain else ""),
        )
    instances = Table("instance", "node", "ready", "ms", "", box=box.SIMPLE)
    for instance in found.instances:
        latency = "" if instance.latency_ms is None else str(instance.latency_ms)
        instances.add_row(instance.id, instance.node, "yes" if instance.ready else "no", latency, instance.reason)
    console = Console()
    console.print(nodes)
    console.print(instances)
