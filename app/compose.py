"""Builds an instance's real objects. Called once in each worker process, after the fork."""

from __future__ import annotations

import importlib.util
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from app.api.app import create_app
from app.api.services import Services
from app.auth.sealing import Sealer
from app.auth.tokens import Authenticator
from app.config.load import ConfigError
from app.config.models import Deployment
from app.downloads.decoder_process import ThumbnailHelper
from app.downloads.pictures import Pictures
from app.downloads.views import Downloads
from app.observability import metrics
from app.operations.checks import Service
from app.operations.checks.certificates import file_faults
from app.operations.recovery import Patience
from app.records.cache import RecordCache
from app.records.sqlite import RunBlocking
from app.records.store import Records
from app.records.v340_table import LegacyTable
from app.routing.forwarding import MARK_HEADER, Forwarder
from app.status.history import History, report
from app.status.overview import Overview, Totals, describe, last_probe
from app.storage.monitor import Monitor
from app.storage.node import Node
from app.uploads.forms import Forms
from app.uploads.lifecycle import Uploads
from app.uploads.limits import Limits, MemoryCounters
from app.uploads.v340_ids import LegacyIDs

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from app.auth.redis_store import RedisStore

log = logging.getLogger(__name__)


def check_instance(deployment: Deployment, instance_id: str, source: str) -> None:
    """Whether this file can run this instance.

    :raises ConfigError: unknown, or its node's keys are not in the file.
    """
    instance = deployment.instances.get(instance_id)
    if instance is None:
        known = ", ".join(deployment.instances)
        raise ConfigError(source, [(f"instances.{instance_id}", f"no such instance; instances are {known}")])
    for key, used, package in (
        ("auth.redis", deployment.auth.redis is not None, "redis"),
        ("records", deployment.records.startswith("mysql"), "pymysql"),
    ):
        if used and importlib.util.find_spec(package) is None:
            raise ConfigError(source, [(key, f"needs the Python package {package}: pip install 'openim-direct[all]'")])
    if faults := list(file_faults(deployment, instance_id)):
        raise ConfigError(source, faults)
    if deployment.nodes[instance.node].access_key is None:
        raise ConfigError(source, [(f"nodes.{instance.node}.access_key", f"is missing: {instance_id} serves this node")])


def create_instance(deployment: Deployment, instance_id: str, run_blocking: RunBlocking | None = None) -> WSGIApplication:
    """Create the WSGI application of one instance, and start its background work.

    :param run_blocking: see `Records`.
    """
    metrics.start(instance_id, deployment.instances[instance_id].node)
    instance = deployment.instances[instance_id]
    nodes = create_nodes(deployment, instance.node)
    own = nodes[instance.node]
    others = {n.id: n for n in nodes.values() if n is not own}
    records = Records(
        deployment.records, _legacy_table(deployment), deployment.legacy.mirror, run_blocking, ca_file=deployment.ca_file
    )
    redis = _redis(deployment)
    limits = _limits(deployment, redis)
    sealer = Sealer(deployment.auth.secrets)
    monitor = Monitor(instance.id, own)
    peers = tuple(Monitor(instance.id, node, own=False) for node in others.values())
    history = History(lambda: metrics.sums(own.id))
    totals = Totals(records.totals)

    def overview() -> Overview:
        probes = {m.node_id: partial(last_probe, m) for m in (monitor, *peers)}
        # With a mark, as a forwarded request: it is from one of this deployment's own.
        headers = {MARK_HEADER: sealer.mark_forward(instance.id)}
        return describe(deployment, probes, totals.get(), headers, report(monitor, history))

    services = Services(
        deployment=deployment,
        instance=instance,
        authenticator=Authenticator(deployment.auth.secrets, deployment.auth.admins, redis, deployment.auth.remember),
        sealer=sealer,
        uploads=Uploads(
            own,
            records,
            sealer,
            deployment.public_url,
            deployment.uploads.expire,
            legacy=deployment.legacy.table,
            limits=limits,
            others=others,
            drained=frozenset(n.id for n in deployment.nodes.values() if n.drain),
        ),
        forms=Forms(own, records, sealer, deployment.public_url, limits),
        legacy_ids=LegacyIDs(deployment.legacy.node, nodes) if deployment.legacy.table else None,
        downloads=Downloads(RecordCache(records), nodes, frozenset(deployment.nodes), _pictures(deployment), instance.node),
        forwarder=Forwarder(instance.id, sealer, len(deployment.instances), deployment.ca_file),
        monitor=monitor,
        peers=peers,
        history=history,
        describe=overview,
        record=records.get,
        view_slots=threading.BoundedSemaphore(deployment.server.views),
    )
    for one in (monitor, *peers):
        one.start()
    history.start()
    return create_app(services)


def _redis(deployment: Deployment) -> RedisStore | None:
    if deployment.auth.redis is None:
        return None
    # Only here, since the package is an optional one.
    from app.auth.redis_store import RedisStore

    return RedisStore(deployment.auth.redis, deployment.ca_file)


def _limits(deployment: Deployment, redis: RedisStore | None) -> Limits | None:
    hourly = deployment.limits.uploads_per_hour, deployment.limits.bytes_per_hour
    return None if hourly == (None, None) else Limits(redis or MemoryCounters(), *hourly)


def _pictures(deployment: Deployment) -> Pictures:
    # Half of the views that are answered at once: the others go on. Answering more of a crowd at once with originals would
    # only make it ask faster: uploads beside 100 clients were twice as slow.
    waiting = max(1, deployment.server.views // 2)
    if importlib.util.find_spec("PIL") is None:
        log.info("Pillow is not installed: originals are shown for thumbnails; pip install 'openim-direct[all]'")
        return Pictures(None, waiting)
    return Pictures(ThumbnailHelper(), waiting)


def create_nodes(deployment: Deployment, own: str | None = None) -> dict[str, Node]:
    """Every node that the file holds keys for.

    :param own: the ID of the instance's own.
    """
    return {n.id: Node(n, own=n.id == own) for n in deployment.nodes.values() if n.access_key is not None}


def _legacy_table(deployment: Deployment) -> LegacyTable | None:
    return LegacyTable(deployment.legacy.node or "") if deployment.legacy.table else None


def create_records(deployment: Deployment, patience: int = 8) -> Records:
    """For work on all of them.

    :param patience: see `Records`.
    """
    return Records(deployment.records, _legacy_table(deployment), patience=patience, ca_file=deployment.ca_file)


def create_services_to_check(deployment: Deployment) -> list[Service]:
    records, redis = create_records(deployment), _redis(deployment)
    services: list[Service] = [("records", "database", records.prepare)]
    if deployment.legacy.table:
        services.append(("records", "v3.4.0's table", records.check_legacy))
    if redis is not None:
        services.append(("redis", "login", redis.ping))
    return services


def describe_deployment(deployment: Deployment) -> Overview:
    """The whole deployment as this machine sees it.

    :raises DatabaseError: the records cannot be read.
    """
    headers = {MARK_HEADER: Sealer(deployment.auth.secrets).mark_forward("status")}
    probes = {node.id: node.probe for node in create_nodes(deployment).values()}
    # One cut connection is nothing to show; a database that is down is, soon.
    totals = Patience(tries=2).records(create_records(deployment).totals)
    return describe(deployment, probes, totals, headers)
