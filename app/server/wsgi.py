"""The WSGI target for a gunicorn of one's own: `gunicorn -c deploy/gunicorn.conf.py 'app.server.wsgi:application()'`.

OPENIM_DIRECT_CONFIG names the deployment file and OPENIM_DIRECT_INSTANCE the instance; OPENIM_DIRECT_LOG is `json`, `text`
or `none` (no line for each request). `openim-direct serve` needs none of them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from app.compose import check_instance, create_instance
from app.config.load import ConfigError, load
from app.config.models import Deployment
from app.observability import request_log

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def deployment_of_environment() -> tuple[Deployment, str]:
    """The deployment, and the instance of it to run.

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
    """Called in each worker, after the fork."""
    deployment, instance = deployment_of_environment()
    form = os.environ.get("OPENIM_DIRECT_LOG") or "auto"
    request_log.configure(instance, form)
    return create_instance(deployment, instance, None if form == "none" else request_log.writer(form))
