"""`openim-direct migrate`: a node's objects to another node, while the service runs."""

from __future__ import annotations

import sys
import time

import click

from app.cli.options import (
    PATIENCE,
    UserError,
    config_option,
    load_config,
    node_of,
    old_node,
    parse_size,
    refuse_one_bucket,
    show_left,
)
from app.compose import create_records
from app.operations.migrate import Migration, Summary
from app.operations.recovery import Patience
from app.operations.transfer import Limiter
from app.status.report import size_text


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

    Links work at every moment. Thumbnails are copied after their pictures. A call that fails in passing is made again for a
    quarter of a minute. It may be ended at any point and begun again: what was moved stays moved, and the next run moves the
    rest. Nothing is deleted at FROM: see purge. Set `drain: true` on FROM and restart the instances before, so that no new
    uploads come to it; after `uploads.expire`, when the last one that was under way has ended, run it once more.

    Exit code 0: all of it is on TO. 1: something was not moved; the summary says what, and why. 2: wrong arguments or file.
    """
    *sources, target = nodes
    if not sources:
        raise UserError("name the nodes to move from, and the one to move to: openim-direct migrate m1 m2 c1")
    if len(set(nodes)) != len(nodes):
        raise UserError("a node is named twice, or is both FROM and TO")
    deployment = load_config(config_file)
    used = {node_id: node_of(deployment, node_id) for node_id in nodes}
    for node_id in sources:
        if not deployment.nodes[node_id].drain:
            click.echo(f"warning: nodes.{node_id}.drain is not true: new uploads go on coming to it", err=True)
    patience = Patience()
    for node in used.values():
        # Of a cluster, this finds the endpoints that answer.
        patience.call(node.id, node.probe)
    migration = Migration(
        {s: used[s] for s in sources},
        used[target],
        create_records(deployment, PATIENCE),
        old_node(deployment),
        parallel,
        Limiter(bandwidth),
        verify == "full",
        dry_run,
        patience,
    )
    if not dry_run:
        refuse_one_bucket(used, patience)
        migration.check_target(allow_object_lock)
    objects, size = migration.plan()
    start = time.monotonic()
    with click.progressbar(length=size, label=f"{objects} objects", file=sys.stderr) as bar:
        summary = migration.run(bar.update)
    _show(summary, target, dry_run, time.monotonic() - start)
    show_left(summary.left, summary.given_up, patience, "not moved", summary.thumbnails_left.count > 0)


def _show(summary: Summary, target: str, dry_run: bool, took: float) -> None:
    if dry_run:
        click.echo(f"would move {summary.objects} objects, {size_text(summary.bytes)}, to {target}")
    else:
        rate = size_text(summary.bytes / took) if took > 0 else "0 B"
        click.echo(
            f"moved {summary.objects} objects of {summary.names} names to {target}: {size_text(summary.bytes)} in "
            f"{took:.1f} s, {rate}/s; {summary.existed} were there already"
        )
        if summary.thumbnails:
            click.echo(f"copied {summary.thumbnails} of their thumbnails")
    if summary.thumbnails_left.count:
        name, why = summary.thumbnails_left.examples[0]
        click.echo(
            f"thumbnails not copied, which the next view makes anew: {summary.thumbnails_left.count}, as {name}: {why}"
        )
