"""`openim-direct check`: finds what is wrong with a deployment."""

from __future__ import annotations

import sys
from collections import Counter

import click
import msgspec

from app.cli.options import config_option, load_config
from app.compose import create_nodes, create_services_to_check
from app.operations.checks import FAULT, OK, WARNING, Check, run

_COLOURS = {OK: "green", WARNING: "yellow", FAULT: "red"}


@click.command()
@config_option
@click.option("--only", metavar="ID", help="One node or instance, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of lines and table.")
def check(config_file: str, only: str | None, as_json: bool) -> None:
    """Look at every node, instance and service from this machine; exit code 1 where something is wrong.

    Writes, reads and removes an object under openim/probe/ on each node, directly and as a client would.
    """
    deployment = load_config(config_file)
    done: list[Check] = []
    for one in run(deployment, create_nodes(deployment), create_services_to_check(deployment), only):
        done.append(one)
        if not as_json:
            detail = f": {one.detail}" if one.detail else ""
            click.echo(f"{click.style(one.result, fg=_COLOURS[one.result])}  {one.subject}  {one.name}{detail}")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(done), indent=2).decode())
    else:
        counts = Counter((one.subject, one.result) for one in done)
        width = max((len(one.subject) for one in done), default=0)
        click.echo(f"\n{'':{width}}    ok  warnings  faults")
        for subject in dict.fromkeys(one.subject for one in done):
            click.echo(f"{subject:{width}}  {counts[subject, OK]:4} {counts[subject, WARNING]:9} {counts[subject, FAULT]:7}")
    sys.exit(1 if any(one.result == FAULT for one in done) else 0)
