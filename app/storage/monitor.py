"""Probes a node in the background, so that no request waits to find out whether it answers."""

from __future__ import annotations

import logging
import threading
import time

import msgspec

from app.core.errors import APIError, NetworkError
from app.observability import metrics
from app.storage.probe import Probing

log = logging.getLogger(__name__)

#: Seconds between two probes; a node that returns is used again after one.
INTERVAL = 1.0
#: The same for other instances' nodes, which are only asked what they hold.
PEER_INTERVAL = 3.0
#: Seconds between two tries to write to the own node: clients write to it without asking here. Sooner while it is closed.
WRITE_INTERVAL = 30.0
CLOSED_INTERVAL = 5.0


class Readiness(msgspec.Struct):
    """The body of `/readyz`."""

    instance: str
    node: str
    ready: bool
    #: Milliseconds that the last probe took; None before the first, and while the node does not answer.
    latency_ms: float | None
    #: Unix seconds since when the node does not answer.
    down_since: float | None
    reason: str


class Monitor:
    """Probes one node, in a thread of its own.

    :param own: the instance's own node, which is probed more often, and tried for write-once PUTs.
    """

    def __init__(self, instance_id: str, node: Probing, own: bool = True) -> None:
        self.node_id = node.id
        self._own = own
        self._instance_id = instance_id
        self._node = node
        self._latency: float | None = None
        self._put_probed = False
        #: When it was last tried to write, by the monotonic clock.
        self._tried_to_write = -WRITE_INTERVAL
        #: Unix time since when nothing new may come to the own node.
        self._closed_since: float | None = None
        self._refusal: tuple[float, str] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"probe-{node.id}", daemon=True)

    def start(self) -> None:
        self._node.availability.watched = True
        self._thread.start()

    def stop(self) -> None:
        self._node.availability.watched = False
        self._stop.set()
        self._thread.join(timeout=5)

    def readiness(self) -> Readiness:
        since, reason = self._node.availability.down_since, self._node.availability.reason
        if since is None and self._refusal is not None:
            since, reason = self._refusal
        if since is not None:
            return Readiness(self._instance_id, self._node.id, False, None, since, reason)
        if self._closed_since is not None:
            return Readiness(self._instance_id, self._node.id, False, None, self._closed_since, self._node.closed)
        if self._latency is None:
            return Readiness(self._instance_id, self._node.id, False, None, None, "not probed yet")
        return Readiness(self._instance_id, self._node.id, True, round(self._latency * 1000, 2), None, "")

    def probe(self) -> None:
        """Probe the node once. Never raises: what it finds is in `readiness`."""
        try:
            latency = self._node.probe()
            if self._own:
                self._try_to_write()
            self._latency = latency
            self._refusal = None
            metrics.probed(self._node.id, latency)
        except NetworkError:
            metrics.probed(self._node.id, None)
        except APIError as e:
            metrics.probed(self._node.id, None)
            if self._refusal is None or self._refusal[1] != e.detail:
                self._refusal = (time.time(), e.detail)
                log.error("node %s cannot be used: %s", self._node.id, e.detail)
        except Exception:
            log.exception("probing node %s", self._node.id)

    def _try_to_write(self) -> None:
        every = CLOSED_INTERVAL if self._node.closed else WRITE_INTERVAL
        if self._node.takes_uploads and time.monotonic() - self._tried_to_write >= every:
            self._node.probe_writes()
            self._tried_to_write = time.monotonic()
        # A call may have found it closed meanwhile.
        self._closed_since = (self._closed_since or time.time()) if self._node.closed else None
        if not self._put_probed and not self._node.closed:
            self._node.probe_put()
            self._put_probed = True

    def _run(self) -> None:
        while True:
            self.probe()
            if self._stop.wait(INTERVAL if self._own else PEER_INTERVAL):
                return
