"""The WSGI target of gunicorn: `gunicorn -c deploy/gunicorn.conf.py 'app.server.wsgi:application()'`.

`openim-direct serve` runs just that. The environment names what to run:

    OPENIM_DIRECT_CONFIG       the deployment file, instances.yaml by default
    OPENIM_DIRECT_INSTANCE     the instance
    OPENIM_DIRECT_LOG          json, text or auto (text on a terminal): the form of log lines
    OPENIM_DIRECT_REQUEST_LOG  on or off: a line for each request
    OPENIM_DIRECT_SETTINGS     a file of gunicorn settings that replace those of app/server/gunicorn_conf.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from gevent.threadpool import ThreadPool

from app.compose import check_instance, create_instance
from app.config.load import ConfigError, load
from app.config.models import Deployment
from app.observability import request_log
from app.records.sqlite import THREADS, RunBlocking
from app.server.requests_in_flight import RequestsInFlight

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@cache
def deployment_of_environment() -> tuple[Deployment, str]:
    """Return the deployment, and the instance of it to run: read once, so that a worker that starts later runs the same.

    :raises ConfigError: the file has faults, or cannot run this instance.
    """
    file = os.environ.get("OPENIM_DIRECT_CONFIG") or "instances.yaml"
    deployment = load(file)
    instance = os.environ.get("OPENIM_DIRECT_INSTANCE")
    if not instance:
        known = ", ".join(deployment.instances)
        raise ConfigError(file, [("", f"which instance? Set OPENIM_DIRECT_INSTANCE to one of {known}")])
    check_instance(deployment, instance, file)
    return deployment, instance


def application() -> WSGIApplication:
    """Create the instance, in each worker, after the fork: its connections are its own."""
    deployment, instance = deployment_of_environment()
    log_requests = os.environ.get("OPENIM_DIRECT_REQUEST_LOG") != "off"
    request_log.configure(instance, os.environ.get("OPENIM_DIRECT_LOG") or "auto", log_requests)
    return RequestsInFlight(create_instance(deployment, instance, blocking_calls(ThreadPool(THREADS))))


def blocking_calls(pool: ThreadPool) -> RunBlocking:
    """Return what runs a call in one of the pool's threads, while the other greenlets go on."""

    def outcome(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Exception | None]:
        try:
            return function(*args, **kwargs), None
        except Exception as e:  # noqa: BLE001 (raised where it is waited for; gevent would print its stack as well)
            return None, e

    def run_blocking(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result, error = pool.apply(outcome, (function, args, kwargs))
        if error is not None:
            raise error
        return result

    return run_blocking
