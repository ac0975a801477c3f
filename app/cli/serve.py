"""`openim-direct serve`: one instance under gunicorn."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import click

from app.cli.options import UserError, config_option, load_config
from app.compose import check_instance

#: The `gunicorn` command, but for the current folder on Python's path: a folder `app` of somebody else's may lie there.
_GUNICORN = "import sys; sys.path = [p for p in sys.path if p]; from gunicorn.app.wsgiapp import run; run(prog='gunicorn')"
#: gunicorn's settings, and what it runs.
_SETTINGS, _TARGET = "python:app.server.gunicorn_conf", "app.server.wsgi:application()"


@click.command()
@click.argument("instance")
@config_option
@click.option("--workers", type=click.IntRange(1, 64), help="Processes; server.workers of the file by default.")
@click.option("--settings", "settings_file", type=click.Path(exists=True, dir_okay=False), help="gunicorn settings on top.")
@click.option(
    "--log",
    "log_form",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    help="Form of log lines on stderr; auto: text on a terminal, else JSON, one object a line.",
)
@click.option("--no-request-log", is_flag=True, help="No line for each request, only what goes wrong.")
def serve(
    instance: str, config_file: str, workers: int | None, settings_file: str | None, log_form: str, no_request_log: bool
) -> None:
    """Run INSTANCE of the deployment until SIGTERM, which lets running requests end.

    This is gunicorn itself, with the settings of app/server/gunicorn_conf.py.
    """
    deployment = load_config(config_file)
    check_instance(deployment, instance, config_file)
    bind, url = deployment.instances[instance].bind, deployment.instances[instance].url
    _check_free(bind)
    node = deployment.nodes[deployment.instances[instance].node]
    count = workers or deployment.server.workers
    click.echo(
        f"instance {instance} on http://{bind} (reached at {url}), node {node.id} at {node.endpoint}, {count} workers"
    )
    package = str(Path(__file__).resolve().parents[2])
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "OPENIM_DIRECT_CONFIG": config_file,
        "OPENIM_DIRECT_INSTANCE": instance,
        "OPENIM_DIRECT_LOG": log_form,
        "OPENIM_DIRECT_REQUEST_LOG": "off" if no_request_log else "on",
    }
    if settings_file is not None:
        environ["OPENIM_DIRECT_SETTINGS"] = settings_file
    command = [sys.executable, "-c", _GUNICORN, "--config", _SETTINGS]
    command += [] if workers is None else ["--workers", str(workers)]
    # In this very process: signals and a supervisor's look at it reach gunicorn.
    sys.stdout.flush()
    os.execve(sys.executable, [*command, _TARGET], environ)


def _check_free(bind: str) -> None:
    """Fail at once where the port is taken: gunicorn would try for five seconds, and then say less."""
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as e:
            detail = f"cannot listen on {bind}: {e.strerror or e}; change `bind` in the file, or end what uses it"
            raise UserError(detail) from None
