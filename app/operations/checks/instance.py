"""Checks that an instance answers at its URL, is the one that the file means, and is ready."""

from __future__ import annotations

import msgspec

from app.config.models import Instance
from app.operations.checks.result import FAULT, OK, Check
from app.routing.http_client import Unreachable, create_session, send

#: Seconds.
_TIMEOUT = 3.0


def check_instance(instance: Instance) -> Check:
    subject = f"instances.{instance.id}"
    try:
        with create_session() as session:
            answer = send(session, "GET", instance.url, "/readyz", (_TIMEOUT, _TIMEOUT))
    except Unreachable as e:
        return Check(subject, "ready", FAULT, f"{e} at {instance.url}: is it running, and is this its address?")
    try:
        state = msgspec.json.decode(answer.content)
        name, node, reason = state["instance"], state["node"], state["reason"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return Check(subject, "ready", FAULT, f"what answers at {instance.url} is no instance (HTTP {answer.status_code})")
    if (name, node) != (instance.id, instance.node):
        detail = f"{instance.url} is answered by {name} for node {node}: its file differs from this one, or url is wrong"
        return Check(subject, "ready", FAULT, detail)
    return (
        Check(subject, "ready", OK)
        if answer.status_code == 200
        else Check(subject, "ready", FAULT, f"node {node}: {reason}")
    )
