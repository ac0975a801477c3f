"""`openim-direct haproxy`: the balancer's configuration."""

from __future__ import annotations

import click

from app.cli.options import config_option, load_config
from app.routing.balancer import render


@click.command()
@config_option
def haproxy(config_file: str) -> None:
    """Print HAProxy's configuration for the deployment (2.4 and later)."""
    click.echo(render.haproxy(load_config(config_file)), nl=False)
