"""`openim-direct config`: what the file may hold, and how it was understood."""

from __future__ import annotations

import click

from app.cli.options import config_option, load_config
from app.config import describe


@click.group()
def config() -> None:
    """Describe instances.yaml: its keys, and the file as it was understood."""


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file, by which editors complete and check it."""
    click.echo(describe.schema())


@config.command()
def reference() -> None:
    """Print what each key means, as docs/configuration.md has it."""
    click.echo(describe.reference(), nl=False)


@config.command()
@config_option
def show(config_file: str) -> None:
    """Print the file as it was understood: with all defaults, without secrets."""
    click.echo(describe.shown(load_config(config_file)), nl=False)
