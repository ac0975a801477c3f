"""Remembers whether a node answers, and decides which call may try one that did not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.core.errors import NetworkError

log = logging.getLogger(__name__)

#: Seconds after a failure until a call may try the node again, where no monitor probes it.
RETRY_AFTER = 1.0
#: Seconds of a failure for which calls wait for their try; after that all but one a second fail at once.
PATIENCE = 30.0


class Availability:
    """A node that answers, or has not since a time.

    While a monitor probes the node (`watched`), calls to one that is down fail at once, without touching the network, until
    a probe is answered: a client has another instance to go to. A command of the CLI has no monitor, and nowhere else to
    go: there a call waits until a second after the last failure and then tries, one call at a time, and an answer ends the
    failure. So a connection that is cut once, or a node that restarts, costs a command seconds and not its run.
    """

    def __init__(self, node_id: str, address: str) -> None:
        self._node_id = node_id
        self._address = address
        #: Whether a monitor probes the node.
        self.watched = False
        #: Unix time since when the node has not answered, or None.
        self.down_since: float | None = None
        self.reason = ""
        #: Of the monotonic clock.
        self._failed_at = 0.0
        self._turn = threading.Lock()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Hold this from a call's beginning to its answer; `answered` and `failed` tell how it went.

        :raises NetworkError: the node is down, and this call is not the one to try it.
        """
        since = self.down_since
        if since is None:
            yield
            return
        patient = time.time() - since < PATIENCE
        if self.watched or not self._turn.acquire(blocking=patient):
            raise self._error(since)
        try:
            wait = self._failed_at + RETRY_AFTER - time.monotonic()
            # The one that tried before may have been answered.
            if wait > 0 and self.down_since is not None:
                if not patient:
                    raise self._error(since)
                time.sleep(wait)
            yield
        finally:
            self._turn.release()

    def answered(self) -> None:
        """A probe was answered, or a call where no monitor probes."""
        since, self.down_since = self.down_since, None
        if since is not None:
            log.warning("node %s answers again after %.1f s", self._node_id, time.time() - since)
            self.reason = ""

    def failed(self, reason: str) -> NetworkError:
        """A probe or a call was not answered; returns the error to raise."""
        self._failed_at = time.monotonic()
        self.reason = reason
        if self.down_since is None:
            self.down_since = time.time()
            log.warning("node %s (%s) does not answer: %s", self._node_id, self._address, reason)
        return NetworkError(f"MinIO node {self._node_id} does not answer ({reason})")

    def _error(self, since: float) -> NetworkError:
        return NetworkError(
            f"MinIO node {self._node_id} has not answered for {time.time() - since:.0f} s ({self.reason}); "
            f"other nodes may, so try again"
        )
