"""What several commands share: the configuration file, and errors without tracebacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from app.config.load import ConfigError, load
from app.config.models import Deployment


class UserError(click.ClickException):
    """A fault that its cause and cure describe; exit code 2 as for wrong usage."""

    exit_code = 2


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--config",
        "config_file",
        metavar="FILE",
        default="instances.yaml",
        envvar="OPENIM_DIRECT_CONFIG",
        show_default=True,
        show_envvar=True,
        help="The deployment.",
    )(command)


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
