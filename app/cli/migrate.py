"""`openim-direct migrate`: a node's objects to another node, while the service runs."""

from __future__ import annotations

import sys
import time

import click

from app.cli.nodes import failures, node_of, old_node, parse_size
from app.cli.options import UserError, config_option, load_config
from app.compose import create_nodes, create_records
from app.operations.migrate import Migration, Summary
from app.operations.transfer import Limiter
from app.status.report import size_text

_SHOWN = 20


@click.command()
@click.argument("nodes", nargs=-1, required=True, metavar="FROM... TO")
@config_option
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True, help="Objects at once.")
@click.option("--bandwidth", callback=parse_size, metavar="SIZE", help="Bytes a second at most, such as 50MiB.")
@click.option(
    "--verify",
    type=click.Choice(["etag", "full"]),
    default="etag",
    show_default=True,
    help="Compare sizes and ETags (MD5s that MinIO made of what it got), or read each copy back too.",
)
@click.option("--dry-run", is_flag=True, help="Look at every object, move none.")
@click.option("--allow-object-lock", is_flag=True, help="Move to a bucket that keeps objects from being deleted.")
def migrate(
    nodes: tuple[str, ...],
    config_file: str,
    parallel: int,
    bandwidth: float | None,
    verify: str,
    dry_run: bool,
    allow_object_lock: bool,
) -> None:
    """Copy every object of the nodes FROM to the node TO, verify each copy, and then let its names mean the copy.

    Links work at every moment. It may be ended at any point and begun again; what was moved stays moved. Nothing is deleted
    at FROM: see purge. Set `drain: true` on FROM and restart the instances before, so that no new uploads come to it; after
    `uploads.expire`, when the last one that was under way has ended, run it once more.

    Exit code 0: all of it is on TO. 1: something was not moved; the summary says what, and why.
    """
    *sources, target = nodes
    if not sources:
        raise UserError("name the nodes to move from, and the one to move to: openim-direct migrate m1 m2 c1")
    if target in sources:
        raise UserError(f"{target} is both FROM and TO")
    if len(set(sources)) != len(sources):
        raise UserError("a node is named twice")
    deployment = load_config(config_file)
    made = create_nodes(deployment)
    there = {node_id: node_of(deployment, node_id, made) for node_id in nodes}
    for node_id in sources:
        if not deployment.nodes[node_id].drain:
            click.echo(f"warning: nodes.{node_id}.drain is not true: new uploads go on coming to it", err=True)
    records = create_records(deployment)
    with failures(), _Progress() as progress:
        migration = Migration(
            {s: there[s] for s in sources},
            there[target],
            records,
            old_node(deployment),
            parallel,
            Limiter(bandwidth),
            verify == "full",
            dry_run,
            progress.add,
        )
        for node in there.values():
            # Of a cluster, this finds the endpoints that answer.
            node.probe()
        if not dry_run:
            migration.check_target(allow_object_lock)
        objects, size = migration.plan()
        progress.begin(objects, size)
        start = time.monotonic()
        summary = migration.run()
        took = time.monotonic() - start
    _show(summary, target, dry_run, took)
    sys.exit(1 if summary.left or summary.given_up else 0)


def _show(summary: Summary, target: str, dry_run: bool, took: float) -> None:
    if dry_run:
        click.echo(f"would move {summary.objects} objects, {size_text(summary.bytes)}, to {target}")
    else:
        rate = size_text(summary.bytes / took) if took > 0 else "0 B"
        click.echo(
            f"moved {summary.objects} objects of {summary.names} names to {target}: {size_text(summary.bytes)} in "
            f"{took:.1f} s, {rate}/s; {summary.existed} were there already"
        )
    if summary.left:
        click.echo(f"not moved: {len(summary.left)}; their names mean what they meant")
        for name, reason in summary.left[:_SHOWN]:
            click.echo(f"  {name}: {reason}")
        if len(summary.left) > _SHOWN:
            click.echo(f"  and {len(summary.left) - _SHOWN} more")
    if summary.given_up:
        click.echo(f"given up: {summary.given_up}", err=True)


class _Progress:
    """A bar on a terminal; nothing elsewhere."""

    def __enter__(self) -> _Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._progress.start()
        self._task = self._progress.add_task("looking", total=None)
        return self

    def begin(self, objects: int, size: int) -> None:
        self._progress.update(self._task, description=f"{objects} objects", total=size)

    def add(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
