"""Checks a deployment from this machine: each check by itself, with the cause of what is wrong and its cure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from app.config.models import Deployment
from app.core.errors import UnavailableError
from app.operations.checks.deployment import check_deployment
from app.operations.checks.instance import check_instance
from app.operations.checks.node import NodeToCheck, check_node
from app.operations.checks.result import FAULT, OK, WARNING, Check

__all__ = ["FAULT", "OK", "WARNING", "Check", "ServicesToCheck", "run"]


class ServicesToCheck(Protocol):
    """What a deployment stands on besides its nodes; each call raises UnavailableError where the service cannot serve."""

    def records(self) -> None: ...
    def legacy_table(self) -> None: ...
    def redis(self) -> None: ...


def run(
    deployment: Deployment, nodes: Mapping[str, NodeToCheck], services: ServicesToCheck, only: str | None = None
) -> Iterator[Check]:
    """Every check, one after another, as it is done.

    :param nodes: those whose keys the file holds.
    :param only: the ID of one node or instance; nothing else is checked then.
    """
    if only is None:
        yield from check_deployment(deployment)
        yield _check_service("records", "database", services.records)
        if deployment.legacy.table:
            yield _check_service("records", "v3.4.0's table", services.legacy_table)
        if deployment.auth.redis is not None:
            yield _check_service("redis", "login", services.redis)
    for config in deployment.nodes.values():
        if only in (None, config.id):
            yield from check_node(config, nodes.get(config.id), deployment)
    for instance in deployment.instances.values():
        if only in (None, instance.id):
            yield check_instance(instance)


def _check_service(subject: str, name: str, call: Callable[[], None]) -> Check:
    try:
        call()
    except UnavailableError as e:
        return Check(subject, name, FAULT, e.detail)
    return Check(subject, name, OK)
