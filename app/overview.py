"""Every node and instance at a glance, as seen from this machine, with what the records say lies where."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

import msgspec

from app.config import Deployment
from app.errors import APIError
from app.http_pool import Pool, Unreachable

#: Seconds.
_TIMEOUT = 3.0


class NodeCalls(Protocol):
    def probe(self) -> float: ...


class RecordCalls(Protocol):
    def totals(self) -> dict[str, tuple[int, int]]: ...


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


class InstanceState(msgspec.Struct, frozen=True):
    id: str
    node: str
    ready: bool
    #: Milliseconds that /readyz took; None where nothing answered.
    latency_ms: float | None
    reason: str


class Overview(msgspec.Struct, frozen=True):
    nodes: list[NodeState]
    instances: list[InstanceState]

    @property
    def all_up(self) -> bool:
        return all(n.up is not False for n in self.nodes) and all(i.ready for i in self.instances)


def look(deployment: Deployment, nodes: Mapping[str, NodeCalls], records: RecordCalls) -> Overview:
    """
    :param nodes: those that the file holds keys for.
    :raises DatabaseError: the records cannot be read.
    """
    totals = records.totals()
    states = []
    for node_id, config in deployment.nodes.items():
        objects, size = totals.pop(node_id, (0, 0))
        up, latency, reason = _probe(nodes.get(node_id))
        states.append(NodeState(node_id, up, latency, reason, config.drain, objects, size))
    for node_id, (objects, size) in totals.items():
        reason = "not in this file any more" if node_id else "objects of v3.4.0's whose node was never asked"
        states.append(NodeState(node_id, False if node_id else None, None, reason, False, objects, size))
    return Overview(states, [_ask(i.id, i.node, i.url) for i in deployment.instances.values()])


def _probe(node: NodeCalls | None) -> tuple[bool | None, float | None, str]:
    if node is None:
        return None, None, "no keys in this file"
    try:
        return True, round(node.probe() * 1000, 1), ""
    except APIError as e:
        return False, None, e.detail


def _ask(instance_id: str, node: str, url: str) -> InstanceState:
    pool = Pool(url, _TIMEOUT)
    start = time.monotonic()
    try:
        response = pool.request("GET", "/readyz", _TIMEOUT)
    except Unreachable as e:
        return InstanceState(instance_id, node, False, None, str(e))
    finally:
        pool.close()
    latency = round((time.monotonic() - start) * 1000, 1)
    try:
        told = msgspec.json.decode(response.body, type=dict)
    except msgspec.DecodeError:
        return InstanceState(instance_id, node, False, latency, f"HTTP {response.status}, and not from an instance")
    return InstanceState(instance_id, node, response.status == 200, latency, str(told.get("reason", "")))
