"""`openim-direct expire`, `gc` and `purge`: removing what nobody needs."""

from __future__ import annotations

import sys
import time

import click

from app.cli.options import UserError, config_option, load_config, node_of, old_node, parse_age, show_some
from app.compose import create_nodes, create_records
from app.core.errors import APIError
from app.operations.retention import collect, still_needed
from app.operations.retention import expire as expire_records
from app.operations.retention import purge as purge_node
from app.status.report import size_text


@click.command()
@config_option
@click.option("--older-than", callback=parse_age, required=True, metavar="AGE", help="Such as 180d or 12h.")
@click.option("--content-type", help="Only these, such as video/mp4; `video/` stands for all that begin so.")
@click.option("--dry-run", is_flag=True, help="Count, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def expire(config_file: str, older_than: float, content_type: str | None, dry_run: bool, yes: bool) -> None:
    """Remove names that were uploaded before, and the objects that no name needs any more.

    Their links are answered with 404 from then on. Rows of v3.4.0's own table stay, and so do objects that they name.
    """
    deployment = load_config(config_file)
    before = int((time.time() - older_than) * 1000)
    records, nodes = create_records(deployment), create_nodes(deployment)
    if not dry_run and not yes:
        counted = expire_records(records, nodes, before, content_type, dry_run=True)
        click.confirm(f"Remove {counted.names} names, of {counted.objects} objects?", abort=True, err=True)
    done = expire_records(records, nodes, before, content_type, dry_run)
    verb = "would remove" if dry_run else "removed"
    most = "up to " if dry_run else ""
    click.echo(f"{verb} {done.names} names, {most}{done.objects} objects, {most}{size_text(done.bytes)}")
    show_some([f"stays: {key}: {reason}" for key, reason in done.kept])


@click.command()
@config_option
@click.option("--node", "only", help="One node; all whose keys the file holds by default.")
@click.option("--dry-run", is_flag=True, help="Count, and remove nothing.")
def gc(config_file: str, only: str | None, dry_run: bool) -> None:
    """Remove what uploads left that were never finished, once they are older than `uploads.expire` and an hour.

    MinIO removes unfinished multipart uploads by itself after 24 h; files that were sent and never completed it does not.
    """
    deployment = load_config(config_file)
    nodes = list(create_nodes(deployment).values()) if only is None else [node_of(deployment, only)]
    records, failed = create_records(deployment), False
    for node in nodes:
        try:
            node.probe()
            done = collect(records, node, deployment.uploads.expire + 3600, dry_run)
        except APIError as e:
            # The others still can.
            click.echo(f"{node.id}: {e.detail}", err=True)
            failed = True
            continue
        verb = "would remove" if dry_run else "removed"
        click.echo(f"{node.id}: {verb} {done.uploads} uploads, {done.objects} objects, {size_text(done.bytes)}")
    sys.exit(1 if failed else 0)


@click.command()
@click.argument("node_id", metavar="NODE")
@config_option
@click.option("--dry-run", is_flag=True, help="Count, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(node_id: str, config_file: str, dry_run: bool, yes: bool) -> None:
    """Delete all objects under openim/ on NODE, after a check that no name means any of them.

    For a node that `migrate` emptied. Signed URLs that were given out before that work for up to 24 h: wait so long.
    """
    deployment = load_config(config_file)
    node = node_of(deployment, node_id)
    records = create_records(deployment)
    if not deployment.nodes[node_id].drain:
        raise UserError(f"nodes.{node_id}.drain is not true: new uploads may come to it; set it, and restart the instances")
    node.probe()
    names = still_needed(records, node, old_node(deployment))
    if names:
        raise UserError(f"names still mean objects of {node_id}, such as {', '.join(names)}: migrate them first")
    if not dry_run and not yes:
        click.confirm(f"Delete everything under openim/ in {node.bucket} on {node_id}?", abort=True, err=True)
    done = purge_node(node, dry_run)
    click.echo(f"{'would delete' if dry_run else 'deleted'} {done.objects} objects, {size_text(done.bytes)}, on {node_id}")
