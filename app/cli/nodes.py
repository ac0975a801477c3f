"""What commands that work on whole nodes share."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from app.cli.options import UserError
from app.compose import create_nodes
from app.config.models import Deployment
from app.config.values import seconds_of
from app.core.errors import APIError
from app.storage.node import Node

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|k|m|g|ki|mi|gi)b?(?:/s)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


def node_of(deployment: Deployment, node_id: str, made: dict[str, Node] | None = None) -> Node:
    """
    :raises UserError: no such node, or no keys for it.
    """
    if node_id not in deployment.nodes:
        raise UserError(f"no such node: {node_id}; nodes are {', '.join(deployment.nodes)}")
    node = (create_nodes(deployment) if made is None else made).get(node_id)
    if node is None:
        raise UserError(f"nodes.{node_id} has no access_key and secret_key in this file: run this where it has")
    return node


def old_node(deployment: Deployment) -> str | None:
    """The node of v3.4.0's objects: empty where each has to be looked for, None where there are none."""
    return (deployment.legacy.node or "") if deployment.legacy.table else None


@contextmanager
def failures() -> Iterator[None]:
    """A node's or the database's failure in a line, with exit code 1."""
    try:
        yield
    except APIError as e:
        click.echo(f"Error: {e.detail}", err=True)
        sys.exit(1)


def parse_size(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Bytes of `50MiB`, `10M`, `1g`."""
    if value is None:
        return None
    found = _SIZE.fullmatch(value.strip())
    if found is None or float(found[1]) == 0:
        raise click.BadParameter(f"{value!r} is no size: write it as 50MiB, 10M or 1G")
    return float(found[1]) * _UNITS[found[2].lower()]


def parse_age(_: click.Context, __: click.Parameter, value: str) -> float:
    """Seconds of `180d`, `12h`, `90m`, `30s`."""
    seconds = seconds_of(value.strip())
    if seconds is None:
        raise click.BadParameter(f"{value!r} is no age: write it as 180d, 12h, 90m or 30s")
    return seconds
