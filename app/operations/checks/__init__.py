"""Checks a deployment from this machine: each check by itself, with the cause of what is wrong and its cure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from app.config.models import Deployment
from app.core.errors import UnavailableError
from app.operations.checks.certificates import check_certificates
from app.operations.checks.deployment import check_deployment
from app.operations.checks.instance import check_instance
from app.operations.checks.node import check_node
from app.operations.checks.result import FAULT, OK, WARNING, Check
from app.storage.node import Node

__all__ = ["FAULT", "OK", "WARNING", "Check", "Service", "run"]

#: What a deployment stands on besides nodes: subject, name, and a call that raises UnavailableError where it cannot serve.
Service = tuple[str, str, Callable[[], object]]


def run(
    deployment: Deployment, nodes: Mapping[str, Node], services: Iterable[Service], only: str | None = None
) -> Iterator[Check]:
    """Every check, one after another, as it is done.

    :param nodes: those whose keys the file holds.
    :param only: the ID of one node or instance; nothing else is checked then.
    """
    if only is None:
        yield from check_deployment(deployment)
        yield from check_certificates(deployment)
        for subject, name, call in services:
            try:
                call()
                yield Check(subject, name, OK)
            except UnavailableError as e:
                yield Check(subject, name, FAULT, str(e))
    for config in deployment.nodes.values():
        if only in (None, config.id):
            yield from check_node(config, nodes.get(config.id), deployment)
    for instance in deployment.instances.values():
        if only in (None, instance.id):
            yield check_instance(instance, deployment.ca_file)
