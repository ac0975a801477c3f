"""`openim-direct expire`, `gc` and `purge`: removing what nobody needs."""

from __future__ import annotations

import time

import click

from app.cli.options import (
    PATIENCE,
    UserError,
    config_option,
    load_config,
    node_of,
    old_node,
    parse_age,
    refuse_one_bucket,
    show_left,
)
from app.compose import create_nodes, create_records
from app.core.errors import APIError
from app.operations.expire import Expiry
from app.operations.recovery import Left, Patience
from app.operations.retention import Collection, still_needed
from app.operations.retention import purge as purge_node
from app.status.report import size_text


@click.command()
@config_option
@click.option("--older-than", callback=parse_age, required=True, metavar="AGE", help="Such as 180d or 12h.")
@click.option("--content-type", help="Only these, such as video/mp4; `video/` stands for all that begin so.")
@click.option("--dry-run", is_flag=True, help="Count, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def expire(config_file: str, older_than: float, content_type: str | None, dry_run: bool, yes: bool) -> None:
    """Remove names that were uploaded before, and the objects and thumbnails that no name needs any more.

    Their links are answered with 404 from then on. Rows of v3.4.0's own table stay, and so do objects that they name.

    All these names are marked first; each object goes before its record. So it may be ended at any point: the next run, with
    whatever arguments, also finishes what this one has begun. A call that fails in passing is made again for a quarter of a
    minute.

    Exit code 0: all of it is removed. 1: something is left, or it was not confirmed; the output says what, and why. 2: wrong
    arguments or file.
    """
    deployment, patience = load_config(config_file), Patience()
    records, nodes = create_records(deployment, PATIENCE), create_nodes(deployment)
    expiry = Expiry(records, nodes, int((time.time() - older_than) * 1000), content_type, patience)
    if dry_run or not yes:
        counted = expiry.count()
        if dry_run:
            size = size_text(counted.bytes)
            click.echo(f"would remove {counted.names} names, up to {counted.objects} objects, up to {size}")
            return
        click.confirm(f"Remove {counted.names} names, of up to {counted.objects} objects?", abort=True, err=True)
    refuse_one_bucket(nodes, patience)
    done = expiry.run()
    click.echo(f"removed {done.names} names, {done.objects} objects, {size_text(done.bytes)}")
    if done.kept:
        click.echo(f"{done.kept} objects stay, since v3.4.0's table names them")
    show_left(done.left, done.given_up, patience, "names not removed")


@click.command()
@config_option
@click.option("--node", "only", help="One node; all whose keys the file holds by default.")
@click.option("--unnamed", is_flag=True, help="Also content that no name means and that may be v3.4.0's: see below.")
@click.option("--dry-run", is_flag=True, help="Count, and remove nothing.")
def gc(config_file: str, only: str | None, unnamed: bool, dry_run: bool) -> None:
    """Remove what uploads and commands left that were never finished, once it is older than `uploads.expire` and an hour.

    That is whatever no record needs, of all that this program or v3.4.0 ever wrote: contents, thumbnails, files on their
    way, objects of checks, unfinished multipart uploads. MinIO removes only the last by itself, after 24 h.

    What v3.4.0's table names stays where `legacy.table` is true. Where it is false that table is not asked, and so content
    under openim/data/hash/ without a name goes only if this program wrote it; --unnamed removes the rest of it too: only
    where no v3.4.0 uses the bucket.

    It may be ended at any point and begun again. Exit code 0: all of it is removed. 1: something is left, or a node does not
    answer; the others are done. 2: wrong arguments or file.
    """
    deployment, patience = load_config(config_file), Patience()
    every = create_nodes(deployment)
    nodes = list(every.values()) if only is None else [node_of(deployment, only)]
    records, left, given_up = create_records(deployment, PATIENCE), Left(), list[str]()
    if not dry_run:
        refuse_one_bucket(every, patience)
    for node in nodes:
        try:
            patience.call(node.id, node.probe)
        except APIError as e:
            # The others still can.
            given_up.append(f"{node.id}: {e.detail}")
            continue
        done = Collection(
            records,
            node,
            deployment.uploads.expire + 3600,
            deployment.nodes,
            bool(deployment.legacy.table),
            unnamed,
            dry_run,
            patience,
        ).run()
        verb = "would remove" if dry_run else "removed"
        click.echo(f"{node.id}: {verb} {done.uploads} uploads, {done.objects} objects, {size_text(done.bytes)}")
        if done.strange:
            size = size_text(done.strange_bytes)
            click.echo(
                f"{node.id}: {done.strange} objects under openim/data/hash/, {size}, have no name and may be v3.4.0's: they "
                f"stay (see --unnamed)"
            )
        left.join(done.left)
        given_up += [f"{node.id}: {done.given_up}"] if done.given_up else []
    show_left(left, ", ".join(given_up), patience, "objects not removed")


@click.command()
@click.argument("node_id", metavar="NODE")
@config_option
@click.option("--dry-run", is_flag=True, help="Count, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(node_id: str, config_file: str, dry_run: bool, yes: bool) -> None:
    """Delete all objects under openim/ on NODE, after a check that no name means any of them.

    For a node that `migrate` emptied. Signed URLs that were given out before that work for up to 24 h: wait so long. Where
    `legacy.table` is false, names in v3.4.0's own table are not looked at.

    It may be ended at any point and begun again. Exit code 0: nothing is left under openim/. 1: something is, or it was not
    confirmed; the output says what, and why. 2: wrong arguments or file, or names still mean objects there.
    """
    deployment, patience = load_config(config_file), Patience()
    node = node_of(deployment, node_id)
    records = create_records(deployment, PATIENCE)
    if not deployment.nodes[node_id].drain:
        raise UserError(f"nodes.{node_id}.drain is not true: new uploads may come to it; set it, and restart the instances")
    patience.call(node_id, node.probe)
    if not dry_run:
        refuse_one_bucket({**create_nodes(deployment), node_id: node}, patience)
    names = still_needed(records, patience, node, old_node(deployment))
    if names:
        raise UserError(f"names still mean objects of {node_id}, such as {', '.join(names)}: migrate them first")
    if not dry_run and not yes:
        click.confirm(f"Delete everything under openim/ in {node.bucket} on {node_id}?", abort=True, err=True)
    done = purge_node(node, patience, dry_run)
    click.echo(f"{'would delete' if dry_run else 'deleted'} {done.objects} objects, {size_text(done.bytes)}, on {node_id}")
    show_left(done.left, done.given_up, patience, "objects not deleted")
