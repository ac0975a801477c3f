"""`openim-direct haproxy`: the balancer's configuration."""

from __future__ import annotations

import click

from app.cli.options import UserError, config_option, load_config
from app.routing.balancer import render
from app.routing.balancer.context import RenderError


@click.command()
@config_option
def haproxy(config_file: str) -> None:
    """Print HAProxy's configuration for the deployment (2.4 and later)."""
    try:
        click.echo(render.haproxy(load_config(config_file)), nl=False)
    except RenderError as e:
        raise UserError(str(e)) from None
