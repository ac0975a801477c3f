"""`openim-direct upload`: a whole upload as a client would do it."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

import click

from app.auth.tokens import make_token
from app.cli.options import UserError, config_option, load_config
from app.core.addresses import canonical_url
from app.operations.client import Client


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@click.option("--url", "api_url", help="The API; the file's public_url by default.")
@click.option("--user", default="openim-direct-test", show_default=True, help="Who uploads.")
@click.option("--token", "given_token", help="A token of that user; made from auth.secret by default.")
@click.option("--name", help="Object name after `<user>/`; the file's own by default.")
@click.option("--cookies/--no-cookies", default=True, help="Keep the instance cookie, or not, as OpenIM's SDKs do.")
@click.option("--verify", is_flag=True, help="Download it again and compare the bytes.")
def upload(
    file: Path,
    config_file: str,
    api_url: str | None,
    user: str,
    given_token: str | None,
    name: str | None,
    cookies: bool,
    verify: bool,
) -> None:
    """Upload FILE through the balancer, with a progress bar, and print its URL."""
    if api_url is None or given_token is None:
        deployment = load_config(config_file)
        api_url = api_url or deployment.public_url
        given_token = given_token or make_token(deployment.auth.secrets[0], user, 5, 3600)
    try:
        client = Client(canonical_url(api_url), given_token, keep_cookies=cookies)
    except ValueError as e:
        raise UserError(f"--url {e}") from None
    name = _readable(name or file.name)
    content_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with click.progressbar(length=file.stat().st_size, label=file.name, show_pos=False) as bar:
        url, existed = client.upload(file, f"{user}/{name}", content_type, bar.update)
    if existed:
        click.echo("the content was there already; no byte was sent", err=True)
    if verify:
        if client.download(url) != file.read_bytes():
            raise click.ClickException(f"{url} does not give back the bytes of {file}")
        click.echo("downloaded again: the bytes are equal", err=True)
    click.echo(url)


def _readable(name: str) -> str:
    """Return a name that the locale cannot read as UTF-8, which it mostly is; U+FFFD stands for what is none."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode(errors="replace")
    return name
