"""Checks that an instance answers at its URL, is the one that the file means, and is ready."""

from __future__ import annotations

import msgspec

from app.config.models import Instance
from app.operations.checks.result import FAULT, OK, Check
from app.routing.http_client import Unreachable, create_session, send

#: Seconds.
_TIMEOUT = 3.0


def check_instance(instance: Instance, ca_file: str | None = None) -> Check:
    detail = _fault(instance, ca_file)
    return Check(f"instances.{instance.id}", "ready", FAULT if detail else OK, detail)


def _fault(instance: Instance, ca_file: str | None) -> str:
    try:
        with create_session(ca_file=ca_file) as session:
            answer = send(session, "GET", instance.url, "/readyz", (_TIMEOUT, _TIMEOUT))
        state = msgspec.json.decode(answer.content)
        name, node, reason = state["instance"], state["node"], state["reason"]
    except Unreachable as e:
        return f"{e} at {instance.url}: is it running, and is this its address?"
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"what answers at {instance.url} is no instance (HTTP {answer.status_code})"
    if (name, node) != (instance.id, instance.node):
        return f"{instance.url} is answered by {name} for node {node}: its file differs from this one, or url is wrong"
    return "" if answer.status_code == 200 else f"node {node}: {reason}"
