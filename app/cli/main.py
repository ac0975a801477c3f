"""The `openim-direct` command."""

from __future__ import annotations

import click

from app import __version__
from app.cli.check import check
from app.cli.config import config
from app.cli.haproxy import haproxy
from app.cli.import_config import import_config
from app.cli.migrate import migrate
from app.cli.nginx import nginx
from app.cli.policy import policy
from app.cli.retention import expire, gc, purge
from app.cli.serve import serve
from app.cli.status import status
from app.cli.token import token
from app.cli.upload import upload


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="openim-direct")
def main() -> None:
    """The object API of OpenIM v3.4.0 for deployments with several MinIO nodes."""


for command in (
    serve, check, status, nginx, haproxy, policy, config, import_config, migrate, expire, gc, purge, upload, token,
):  # fmt: skip
    main.add_command(command)
