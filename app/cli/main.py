"""The `openim-direct` command."""

from __future__ import annotations

import logging
from typing import Any

import click

from app import __version__
from app.cli.balancer import haproxy, nginx
from app.cli.check import check
from app.cli.config import config
from app.cli.import_config import import_config
from app.cli.migrate import migrate
from app.cli.options import UserError
from app.cli.policy import policy
from app.cli.retention import expire, gc, purge
from app.cli.serve import serve
from app.cli.status import status
from app.cli.token import token
from app.cli.upload import upload
from app.config.load import ConfigError
from app.core.errors import APIError
from app.operations.client import ClientError
from app.routing.balancer.context import RenderError


class _Commands(click.Group):
    """Says a failure in a line instead of a traceback: exit code 2 for what the file lacks, 1 for what does not answer."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ConfigError, RenderError) as e:
            raise UserError(str(e)) from None
        except (APIError, ClientError) as e:
            raise click.ClickException(str(e)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="openim-direct")
def main() -> None:
    """The object API of OpenIM v3.4.0 for deployments with several MinIO nodes."""
    # Its warnings name the URL, and a signed one opens an object.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


for command in (
    serve, check, status, nginx, haproxy, policy, config, import_config, migrate, expire, gc, purge, upload, token,
):  # fmt: skip
    main.add_command(command)
