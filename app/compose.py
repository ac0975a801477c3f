"""Builds an instance's real objects. Called once in each worker process, after the fork."""

from __future__ import annotations

import importlib.util
import logging
import threading
from typing import TYPE_CHECKING

from app.api.app import create_app
from app.api.services import RequestLog, Services
from app.auth.sealing import Sealer
from app.auth.tokens import Authenticator
from app.config.load import ConfigError
from app.config.models import Deployment
from app.downloads.decoder_process import ThumbnailHelper
from app.downloads.pictures import Pictures
from app.downloads.views import Downloads
from app.observability import metrics
from app.records.cache import RecordCache
from app.records.sqlite import RunBlocking
from app.records.store import Records
from app.records.v340_table import LegacyTable
from app.routing.forwarding import MARK_HEADER, Forwarder
from app.status.history import History, report
from app.status.overview import MonitoredNode, Overview, Totals, describe
from app.storage.monitor import Monitor
from app.storage.node import Node
from app.uploads.forms import Forms
from app.uploads.lifecycle import Uploads
from app.uploads.limits import Counters, Limits, MemoryCounters
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
    if deployment.nodes[instance.node].access_key is None:
        raise ConfigError(source, [(f"nodes.{instance.node}.access_key", f"is missing: {instance_id} serves this node")])


def create_services(
    deployment: Deployment,
    instance_id: str,
    request_log: RequestLog | None = None,
    run_blocking: RunBlocking | None = None,
) -> Services:
    instance = deployment.instances[instance_id]
    nodes = {n.id: Node(n, own=n.id == instance.node) for n in deployment.nodes.values() if n.access_key is not None}
    own = nodes[instance.node]
    others = {n.id: n for n in nodes.values() if n is not own}
    legacy = LegacyTable(deployment.legacy.node or "") if deployment.legacy.table else None
    records = Records(deployment.records, legacy, deployment.legacy.mirror, run_blocking)
    redis = _redis(deployment)
    limits = _limits(deployment, redis)
    sealer = Sealer(deployment.auth.secrets)
    monitor = Monitor(instance.id, own)
    peers = tuple(Monitor(instance.id, node, own=False) for node in others.values())
    history = History(lambda: metrics.sums(own.id))
    totals = Totals(records.totals)

    def overview() -> Overview:
        monitored = {m.node_id: MonitoredNode(m) for m in (monitor, *peers)}
        # With a mark, as a forwarded request: it is from one of this deployment's own.
        headers = {MARK_HEADER: sealer.mark_forward(instance.id)}
        return describe(deployment, monitored, totals.get(), headers, report(monitor, history))

    return Services(
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
        forwarder=Forwarder(instance.id, sealer, len(deployment.instances)),
        monitor=monitor,
        peers=peers,
        history=history,
        look=overview,
        record=records.get,
        request_log=request_log,
        view_slots=threading.BoundedSemaphore(deployment.server.views),
    )


def _redis(deployment: Deployment) -> RedisStore | None:
    if deployment.auth.redis is None:
        return None
    # Only here, since the package is an optional one.
    from app.auth.redis_store import RedisStore

    return RedisStore(deployment.auth.redis)


def _limits(deployment: Deployment, redis: RedisStore | None) -> Limits | None:
    limits = deployment.limits
    if limits.uploads_per_hour is None and limits.bytes_per_hour is None:
        return None
    counters: Counters = redis if redis is not None else MemoryCounters()
    return Limits(counters, limits.uploads_per_hour, limits.bytes_per_hour)


def _pictures(deployment: Deployment) -> Pictures:
    # Half of the views that are answered at once: the others go on. Answering more of a crowd at once with originals would
    # only make it ask faster: uploads beside 100 clients were twice as slow.
    waiting = max(1, deployment.server.views // 2)
    if importlib.util.find_spec("PIL") is None:
        log.info("Pillow is not installed: originals are shown for thumbnails; pip install 'openim-direct[all]'")
        return Pictures(None, waiting)
    return Pictures(ThumbnailHelper(), waiting)


class _ServicesToCheck:
    """Implements `checks.ServicesToCheck`."""

    def __init__(self, records: Records, redis: RedisStore | None) -> None:
        self._records = records
        self._redis = redis

    def records(self) -> None:
        self._records.prepare()

    def legacy_table(self) -> None:
        self._records.check_legacy()

    def redis(self) -> None:
        if self._redis is not None:
            self._redis.ping()


def create_nodes(deployment: Deployment) -> dict[str, Node]:
    """Every node that the file holds keys for."""
    return {n.id: Node(n, own=False) for n in deployment.nodes.values() if n.access_key is not None}


def create_records(deployment: Deployment) -> Records:
    """For work on all of them."""
    return Records(deployment.records, LegacyTable(deployment.legacy.node or "") if deployment.legacy.table else None)


def create_services_to_check(deployment: Deployment) -> _ServicesToCheck:
    return _ServicesToCheck(create_records(deployment), _redis(deployment))


def describe_deployment(deployment: Deployment) -> Overview:
    """The whole deployment as this machine sees it.

    :raises DatabaseError: the records cannot be read.
    """
    headers = {MARK_HEADER: Sealer(deployment.auth.secrets).mark_forward("status")}
    return describe(deployment, create_nodes(deployment), create_records(deployment).totals(), headers)


def create_instance(
    deployment: Deployment,
    instance_id: str,
    request_log: RequestLog | None = None,
    run_blocking: RunBlocking | None = None,
) -> WSGIApplication:
    """Create the WSGI application of one instance, and start its background work.

    :param request_log: takes an entry for each request.
    :param run_blocking: see `Records`.
    """
    metrics.start(instance_id, deployment.instances[instance_id].node)
    services = create_services(deployment, instance_id, request_log, run_blocking)
    for monitor in (services.monitor, *services.peers):
        monitor.start()
    services.history.start()
    return create_app(services)
