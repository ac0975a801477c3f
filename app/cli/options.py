"""What several commands share: the configuration file, its nodes, values with units, and errors without tracebacks."""

from __future__ import annotations

import re

import click

from app.config.load import ConfigError, load
from app.config.models import Deployment
from app.config.models import Node as NodeConfig
from app.config.values import seconds_of
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


def show_some(lines: list[str], count: int = 20) -> None:
    for line in lines[:count]:
        click.echo(f"  {line}")
    if len(lines) > count:
        click.echo(f"  and {len(lines) - count} more")


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
