"""Describes every node and instance as seen from this machine, with what the records say lies where."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec
import requests

from app.config.models import Deployment, Instance
from app.core.errors import APIError, NetworkError
from app.routing.http_client import Unreachable, create_session, send
from app.status.report import Report
from app.storage.monitor import Monitor

#: Seconds.
_TIMEOUT = 3.0
_COUNT_EVERY = 60.0


class NodeState(msgspec.Struct, frozen=True):
    id: str
    #: None where this file holds no keys to ask it with.
    up: bool | None
    #: Milliseconds that a probe took; None where it is not up.
    latency_ms: float | None
    #: Why it is not up.
    reason: str
    drain: bool
    #: That records of ours name; objects of v3.4.0's that were never asked for are not among them.
    objects: int
    bytes: int


class InstanceState(msgspec.Struct):
    id: str
    node: str
    ready: bool
    #: Milliseconds that its answer took; None where nothing answered.
    latency_ms: float | None
    #: Why it is not ready.
    reason: str
    #: Share of the requests of the last 5 minutes that all instances answered, 0 to 1; None where there were none.
    share: float | None = None
    #: What it tells of itself; None where it did not.
    report: Report | None = None


class Overview(msgspec.Struct, frozen=True):
    nodes: list[NodeState]
    instances: list[InstanceState]

    @property
    def all_up(self) -> bool:
        return all(n.up is not False for n in self.nodes) and all(i.ready for i in self.instances)

    def reports(self, node_id: str) -> list[Report]:
        """What the instances of a node tell of themselves."""
        return [i.report for i in self.instances if i.report is not None and i.report.node == node_id]


def last_probe(monitor: Monitor) -> float:
    """A node's probe by what is known of it already, so that a page waits for none.

    :return: seconds.
    :raises NetworkError: the node did not answer.
    """
    state = monitor.readiness()
    if not state.ready or state.latency_ms is None:
        raise NetworkError(state.reason)
    return state.latency_ms / 1000


class Totals:
    """Objects and bytes by node, counted anew at most every minute, and less often where counting takes long: it reads
    every record."""

    def __init__(self, count: Callable[[], dict[str, tuple[int, int]]]) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, int]] = {}
        self._until = 0.0

    def get(self) -> dict[str, tuple[int, int]]:
        """What was counted last; nothing where the records cannot be read."""
        with self._lock:
            start = time.monotonic()
            if start >= self._until:
                with contextlib.suppress(APIError):
                    self._known = self._count()
                now = time.monotonic()
                self._until = now + max(_COUNT_EVERY, 100 * (now - start))
            return self._known


def describe(
    deployment: Deployment,
    probes: Mapping[str, Callable[[], float]],
    totals: Mapping[str, tuple[int, int]],
    headers: Mapping[str, str],
    own: Report | None = None,
) -> Overview:
    """
    :param probes: of the nodes that can be asked from here, by their IDs: each answers in seconds, or raises an APIError.
    :param totals: objects and bytes by node (`Records.totals`).
    :param headers: of the requests to instances; they let this program see.
    :param own: of the instance that asks; it does not ask itself.
    """
    session = create_session(len(deployment.instances), deployment.ca_file)

    def ask(instance: Instance) -> InstanceState:
        if own is not None and instance.id == own.instance:
            return InstanceState(own.instance, own.node, own.ready, 0.0, own.reason, report=own)
        return _ask(session, instance, headers)

    with session, ThreadPoolExecutor(max(1, min(16, len(deployment.instances)))) as pool:
        overview = Overview([], list(pool.map(ask, deployment.instances.values())))
    requests_of_all = sum(i.report.recent.requests for i in overview.instances if i.report is not None)
    for instance in overview.instances:
        if instance.report is not None and requests_of_all:
            instance.share = instance.report.recent.requests / requests_of_all
    for node_id, config in deployment.nodes.items():
        up, latency, reason = _node(probes.get(node_id), overview.reports(node_id))
        overview.nodes.append(NodeState(node_id, up, latency, reason, config.drain, *totals.get(node_id, (0, 0))))
    for node_id in (n for n in totals if n not in deployment.nodes):
        reason = "not in this file any more" if node_id else "objects of v3.4.0's whose node was never asked"
        overview.nodes.append(NodeState(node_id, False if node_id else None, None, reason, False, *totals[node_id]))
    return overview


def _node(probe: Callable[[], float] | None, reports: list[Report]) -> tuple[bool | None, float | None, str]:
    """Whether it is up, milliseconds, and why not: down where one of its instances says so, which ask it every second;
    else as this program sees it."""
    for report in reports:
        if not report.ready:
            return False, None, report.reason
    if probe is not None:
        try:
            return True, round(probe() * 1000, 1), ""
        except APIError as e:
            return False, None, e.detail
    if reports:
        return True, reports[0].node_ms, ""
    return None, None, "no keys in this file"


def _ask(session: requests.Session, instance: Instance, headers: Mapping[str, str]) -> InstanceState:
    state = InstanceState(instance.id, instance.node, False, None, "")
    start = time.monotonic()
    try:
        response = send(session, "GET", instance.url, "/status.json", (_TIMEOUT, _TIMEOUT), headers=headers)
        state.latency_ms = round((time.monotonic() - start) * 1000, 1)
        report = msgspec.json.decode(response.content, type=Report)
    except Unreachable as e:
        state.reason = str(e)
    except msgspec.DecodeError:
        state.reason = (
            "it refuses to tell: is its auth.secret another, or its clock over a minute off?"
            if response.status_code == 403
            else f"HTTP {response.status_code}, and not from an instance of this version"
        )
    else:
        if report.instance != instance.id:
            state.reason = f"{instance.url} is instance {report.instance}"
        else:
            state.node, state.ready, state.reason, state.report = report.node, report.ready, report.reason, report
    return state
