"""`openim-direct check`: finds what is wrong with a deployment."""

from __future__ import annotations

import sys

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
        click.echo("\n" + _table(done))
    sys.exit(1 if any(one.result == FAULT for one in done) else 0)


def _table(done: list[Check]) -> str:
    subjects = list(dict.fromkeys(one.subject for one in done))
    width = max(map(len, ["", *subjects]))
    lines = [f"{'':{width}}  {'ok':>4} {'warnings':>9} {'faults':>7}"]
    for subject in subjects:
        counts = [sum(1 for one in done if (one.subject, one.result) == (subject, r)) for r in (OK, WARNING, FAULT)]
        lines.append(f"{subject:{width}}  {counts[0]:4} {counts[1]:9} {counts[2]:7}")
    return "\n".join(lines)
