"""`openim-direct token`: a token for tests by hand."""

from __future__ import annotations

import click

from app.auth.tokens import make_token
from app.cli.options import config_option, load_config


@click.command()
@click.argument("user")
@config_option
@click.option("--platform", type=click.IntRange(1, 10), default=5, show_default=True, help="v3.4.0's number; 5 is Web.")
@click.option("--hours", type=click.IntRange(1, 24 * 90), default=24, show_default=True, help="How long it is valid.")
def token(user: str, config_file: str, platform: int, hours: int) -> None:
    """Print a token of USER, signed with the deployment's auth.secret.

    Servers that check token states in Redis do not know such a token.
    """
    click.echo(make_token(load_config(config_file).auth.secrets[0], user, platform, hours * 3600))
