"""The ways to one node: one endpoint, or those of a MinIO cluster, of which any that answers will do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from app.config.models import Node as NodeConfig
from app.core.errors import InternalError, NetworkError
from app.core.unreachable import reason
from app.storage.availability import Availability
from app.storage.client import CALL_TIMEOUT, PROBE_TIMEOUT, SLOW_TIMEOUT, STREAM_TIMEOUT, NodeClient
from app.storage.s3_errors import CALL_ERRORS, StorageFull, of_answer

log = logging.getLogger(__name__)

T = TypeVar("T")


class Endpoint:
    """One address of a node: its dedicated clients, by how long their calls may take."""

    def __init__(self, config: NodeConfig, url: str) -> None:
        self.url = url
        self.client = NodeClient(config, url, CALL_TIMEOUT)
        self.slow = NodeClient(config, url, SLOW_TIMEOUT)
        self.stream = NodeClient(config, url, STREAM_TIMEOUT)
        self.probe = NodeClient(config, url, PROBE_TIMEOUT, counted=False)
        #: What it said last: None while it answers, else why it does not.
        self.down: str | None = None


class ClusterCalls:
    """Calls to a node's bucket, over the first of its endpoints that is not known to be down.

    Raises NetworkError where waiting or another node is the cure, InternalError where the node refuses for good.

    :param own: the instance's own node, whose bucket is made where it is not there.
    :raises ValueError: the configuration holds no keys for the node.
    """

    def __init__(self, config: NodeConfig, own: bool = True) -> None:
        self._config = config
        self._own = own
        self.id = config.id
        self.bucket = config.bucket
        self.availability = Availability(config.id, config.endpoint)
        #: Why nothing new may come to the node, while what is there can be read: it is full, or cannot be trusted with
        #: content. Empty where all is well.
        self.closed = ""
        self.endpoints = tuple(Endpoint(config, url) for url in config.endpoints)

    def call(self, do: Callable[[Endpoint], T], quiet: bool = False) -> T:
        """What `do` returns of an endpoint that answers.

        A connection that does not come about goes on to the next endpoint. Silence, or a connection that was cut, does not:
        the call may have been done, and would be done twice; the next call goes elsewhere.

        :param quiet: a refusal is for the caller to report, and not logged here.
        :raises NetworkError, InternalError, NoSuchUpload, InvalidParts: see `s3_errors`.
        """
        with self.availability.attempt():
            error = NetworkError(f"MinIO node {self.id} has no endpoint")
            for endpoint in sorted(self.endpoints, key=lambda e: e.down is not None):
                try:
                    found = do(endpoint)
                except CALL_ERRORS as e:
                    if not isinstance(e, HTTPError | OSError):
                        self._answered(endpoint)
                        raise self._refusal(e, quiet) from e
                    error = self.failed(endpoint, e)
                    if not isinstance(e, NewConnectionError | ConnectTimeoutError | SSLError):
                        raise error from e
                else:
                    self._answered(endpoint)
                    return found
            raise error

    def failed(self, endpoint: Endpoint, cause: Exception) -> NetworkError:
        """An endpoint did not answer: remember it; the error to raise."""
        why = reason(cause)
        self.mark(endpoint, why)
        if any(e.down is None for e in self.endpoints):
            # The next call goes to an endpoint of the cluster that answers.
            return NetworkError(f"an endpoint of MinIO node {self.id} does not answer ({why}); try again")
        return self.availability.failed(why)

    def mark(self, endpoint: Endpoint, down: str | None) -> None:
        """Remember whether an endpoint answers: None, or why not."""
        before, endpoint.down = endpoint.down, down
        if len(self.endpoints) > 1 and (before is None) != (down is None):
            what = "answers again" if down is None else f"does not answer: {down}"
            log.warning("node %s: endpoint %s %s", self.id, endpoint.url, what)

    def close_to_writes(self, why: str) -> None:
        """Let nothing new come, until a probe finds that it may again: where `why` is empty."""
        if why != self.closed:
            log.warning("node %s: %s", self.id, why or "takes new objects again")
        self.closed = why

    def accept(self) -> None:
        """
        :raises NetworkError: nothing new may come to this node now, so that no URL is to be signed for it.
        """
        if self.closed:
            raise NetworkError(self.closed)

    def close(self) -> None:
        """Close kept connections."""
        for endpoint in self.endpoints:
            for client in (endpoint.client, endpoint.slow, endpoint.stream, endpoint.probe):
                client.connections.clear()

    def _answered(self, endpoint: Endpoint) -> None:
        self.mark(endpoint, None)
        if not self.availability.watched:
            self.availability.answered()

    def _refusal(self, cause: Exception, quiet: bool) -> Exception:
        error = of_answer(self.id, cause)
        if isinstance(error, StorageFull):
            self.close_to_writes(error.detail)
        if type(error) is InternalError and not quiet:
            log.error("node %s refused: %s", self.id, error.detail)
        return error
