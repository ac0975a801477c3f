"""`openim-direct serve`: one instance under gunicorn."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import click
from gunicorn.app.base import BaseApplication

from app.api.services import RequestLog
from app.cli.options import UserError, config_option, load_config
from app.compose import check_instance, create_instance
from app.config.load import ConfigError
from app.config.models import Deployment
from app.observability import request_log
from app.server import gunicorn_conf

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@click.command()
@click.argument("instance")
@config_option
@click.option("--workers", type=click.IntRange(1, 64), help="Processes; server.workers of the file by default.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads a process; server.threads by default.")
@click.option("--settings", "settings_file", metavar="FILE", help="gunicorn settings that replace the built-in ones.")
@click.option(
    "--log",
    "log_form",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    help="Form of log lines on stderr; auto: text on a terminal, else JSON, one object a line.",
)
@click.option("--no-request-log", is_flag=True, help="No line for each request, only what goes wrong.")
def serve(
    instance: str,
    config_file: str,
    workers: int | None,
    threads: int | None,
    settings_file: str | None,
    log_form: str,
    no_request_log: bool,
) -> None:
    """Run INSTANCE of the deployment until SIGTERM, which lets running requests end."""
    deployment = load_config(config_file)
    try:
        check_instance(deployment, instance, config_file)
    except ConfigError as e:
        raise UserError(str(e)) from None
    request_log.configure(instance, log_form)
    bind = deployment.instances[instance].bind
    _check_free(bind)
    node = deployment.nodes[deployment.instances[instance].node]
    settings: dict[str, Any] = {k: v for k, v in vars(gunicorn_conf).items() if not k.startswith("_")}
    settings.update(
        bind=bind,
        workers=workers or deployment.server.workers,
        threads=threads or deployment.server.threads,
        proc_name=f"openim-direct {instance}",
    )
    click.echo(
        f"instance {instance} on http://{bind} (reached at {deployment.instances[instance].url}), "
        f"node {node.id} at {node.endpoint}, {settings['workers']} workers of {settings['threads']} threads"
    )
    write = None if no_request_log else request_log.writer(log_form)
    _Application(deployment, instance, settings, settings_file, write).run()


class _Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(
        self, deployment: Deployment, instance: str, settings: dict[str, Any], file: str | None, write: RequestLog | None
    ) -> None:
        self._write = write
        self._deployment = deployment
        self._instance = instance
        self._settings = settings
        self._file = file
        super().__init__()

    def load_config(self) -> None:
        settings = dict(self._settings)
        if self._file is not None:
            settings.update(_read_settings(self._file))
        for key, value in settings.items():
            # Versions of gunicorn differ in what they can set.
            if key in self.cfg.settings:
                self.cfg.set(key, value)

    def load(self) -> WSGIApplication:
        # In the worker, after the fork: connections and threads are its own.
        return create_instance(self._deployment, self._instance, self._write)


def _read_settings(file: str) -> dict[str, Any]:
    scope: dict[str, Any] = {}
    try:
        with click.open_file(file, encoding="utf-8") as f:
            exec(compile(f.read(), file, "exec"), scope)  # noqa: S102 (gunicorn's own settings format is Python)
    except (OSError, SyntaxError) as e:
        raise UserError(f"{file}: {e}") from None
    return {k: v for k, v in scope.items() if not k.startswith("_")}


def _check_free(bind: str) -> None:
    """gunicorn would try for five seconds, and then say less."""
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as e:
            raise UserError(
                f"cannot listen on {bind}: {e.strerror or e}; change `bind` in the file, or end what uses it"
            ) from None
