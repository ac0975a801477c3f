"""What several commands share: the configuration file, its nodes, values with units, and errors without tracebacks."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import NoReturn

import click

from app.config.load import ConfigError, load
from app.config.models import Deployment
from app.config.models import Node as NodeConfig
from app.config.values import seconds_of
from app.operations.recovery import Left, Patience
from app.operations.retention import one_bucket
from app.storage.node import Node

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|k|m|g|ki|mi|gi)b?(?:/s)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


class UserError(click.ClickException):
    """A fault that its cause and cure describe; exit code 2 as for wrong usage."""

    exit_code = 2


config_option = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    default="instances.yaml",
    envvar="OPENIM_DIRECT_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The deployment.",
)


def load_config(file: str) -> Deployment:
    """
    :raises UserError: with every fault of the file, a line each.
    """
    try:
        deployment = load(file)
        for warning in deployment.warnings:
            click.echo(f"warning: {warning}", err=True)
        return deployment
    except ConfigError as e:
        count = len(e.faults)
        raise UserError(f"{count} fault{'s' if count != 1 else ''} in the configuration\n{e}") from None


def node_config(deployment: Deployment, node_id: str) -> NodeConfig:
    """
    :raises UserError: no such node.
    """
    if node_id not in deployment.nodes:
        raise UserError(f"no such node: {node_id}; nodes are {', '.join(deployment.nodes)}")
    return deployment.nodes[node_id]


def node_of(deployment: Deployment, node_id: str) -> Node:
    """
    :raises UserError: no such node, or no keys for it.
    """
    config = node_config(deployment, node_id)
    if config.access_key is None:
        raise UserError(f"nodes.{node_id} has no access_key and secret_key in this file: run this where it has")
    return Node(config, own=False)


def old_node(deployment: Deployment) -> str | None:
    """The node of v3.4.0's objects: empty where each has to be looked for, None where there are none."""
    return (deployment.legacy.node or "") if deployment.legacy.table else None


#: Seconds that the database may take for a statement of a command that reads whole tables.
PATIENCE = 120


def show_left(left: Left, given_up: str, patience: Patience, what: str, more: bool = False) -> NoReturn:
    """Say what a command did not do, and end it: exit code 0 where that is nothing, 1 where something is left to do.

    :param what: what is left, such as `objects not removed`.
    :param more: something else is left, which was said before.
    """
    if patience.repeated:
        click.echo(f"{patience.repeated} calls were made again after a failure", err=True)
    if left.count:
        click.echo(f"{what}: {left.count}; when these reasons have passed, run it again")
        for name, reason in left.examples:
            click.echo(f"  {name}: {reason}")
        if left.count > len(left.examples):
            click.echo(f"  and {left.count - len(left.examples)} more")
    if given_up:
        click.echo(f"given up: {given_up}; run it again, it goes on from here", err=True)
    sys.exit(1 if left.count or given_up or more else 0)


def refuse_one_bucket(nodes: Mapping[str, Node], patience: Patience) -> None:
    """
    :raises UserError: two entries are one bucket, so that what is removed for one would be gone for both.
    """
    if pairs := one_bucket(nodes, patience):
        described = ", ".join(f"{one} and {other}" for one, other in pairs)
        raise UserError(f"nodes {described} are one and the same bucket: make them one entry, with one ID, in the file")


def parse_size(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Bytes of `50MiB`, `10M`, `1g`."""
    if value is None:
        return None
    match = _SIZE.fullmatch(value.strip())
    if match is None or float(match[1]) == 0:
        raise click.BadParameter(f"{value!r} is no size: write it as 50MiB, 10M or 1G")
    return float(match[1]) * _UNITS[match[2].lower()]


def parse_age(_: click.Context, __: click.Parameter, value: str) -> float:
    """Seconds of `180d`, `12h`, `90m`, `30s`."""
    seconds = seconds_of(value.strip())
    if seconds is None:
        raise click.BadParameter(f"{value!r} is no age: write it as 180d, 12h, 90m or 30s")
    return seconds
