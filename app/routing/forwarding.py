"""Hands a request that reached the wrong instance to one that can serve it, once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import gevent
import msgspec
import requests

from app.auth.sealing import Sealer
from app.config.models import Instance
from app.core.errors import NetworkError
from app.observability import metrics
from app.routing.http_client import Unreachable, create_session, send

log = logging.getLogger(__name__)

#: Says that another instance sent the request on. Its value is sealed: a client's own is not believed.
MARK_HEADER = "X-OpenIM-Direct-Forwarded"
#: Says which instance the path named, where the balancer took it off.
PREFIX_HEADER = "X-OpenIM-Direct-Prefix"
#: Request headers that go along; answers keep their own of `_ANSWER_HEADERS`.
_REQUEST_HEADERS = ("token", "operationID", "Content-Type", "X-Request-Api")
_ANSWER_HEADERS = (
    "Content-Type",
    "Set-Cookie",
    "Retry-After",
    "Location",
    # Before Cache-Control: nginx before 1.23 takes the first of the two.
    "X-Accel-Expires",
    "Cache-Control",
    "X-OpenIM-Direct-Thumbnail",
)

#: Seconds for one try, and for all of them; both end before the balancer gives up (see `balancer/context.py`).
CONNECT_TIMEOUT = 1.0
TOTAL_TIMEOUT = 7.0
COMPLETE_TOTAL_TIMEOUT = 65.0
_COMPLETE = "/object/complete_multipart_upload"


class Answer(msgspec.Struct, frozen=True):
    #: The instance whose it is.
    instance: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Forwarder:
    """
    :param instance_id: the instance that forwards.
    :param instances: how many there are.
    :param ca_file: see `http_client.create_session`.
    """

    def __init__(self, instance_id: str, sealer: Sealer, instances: int, ca_file: str | None = None) -> None:
        self._instance_id = instance_id
        self._sealer = sealer
        self._session = create_session(instances, ca_file)

    def forward(
        self,
        node_id: str,
        owners: Sequence[Instance],
        target: str,
        header: Callable[[str], str | None],
        body: bytes = b"",
        method: str = "POST",
    ) -> Answer:
        """Send a request to the first of `owners` that answers other than 502, 503 or 504.

        :param target: path and query as the client sent them.
        :param header: gives the incoming request's headers by name.
        :raises NetworkError: none did; names the node and what each instance said.
        """
        # As bytes, as they came: requests takes a text that begins with a no-break space for a fault.
        headers = {name: value.encode("latin-1") for name in _REQUEST_HEADERS if (value := header(name)) is not None}
        headers[MARK_HEADER] = self._sealer.mark_forward(self._instance_id).encode()
        start = time.monotonic()
        end = start + (COMPLETE_TOTAL_TIMEOUT if target.partition("?")[0] == _COMPLETE else TOTAL_TIMEOUT)
        tried: list[str] = []
        for owner in owners:
            try:
                response = self._send(end - time.monotonic(), method, owner.url, target, body, headers)
            except Unreachable as e:
                log.warning("forwarding to %s failed: %s", owner.id, e)
                tried.append(f"{owner.id} ({e})")
                continue
            metrics.forwarded(node_id, True, time.monotonic() - start)
            # Not `response.headers`, which joins several Set-Cookie with commas.
            kept = [(name, value) for name in _ANSWER_HEADERS for value in response.raw.headers.getlist(name)]
            return Answer(owner.id, response.status_code, kept, response.content)
        metrics.forwarded(node_id, False, time.monotonic() - start)
        names = ", ".join(tried) or "none is configured"
        raise NetworkError(f"this belongs to MinIO node {node_id}, and no instance of it can be reached: {names}")

    def _send(
        self, left: float, method: str, url: str, target: str, body: bytes, headers: dict[str, bytes]
    ) -> requests.Response:
        """
        :param left: seconds for all of it.
        :raises Unreachable: also where the instance says that it cannot serve.
        """
        if left <= 0:
            raise Unreachable("not asked: out of time")
        # Timeouts of sockets are for one operation each. This one bounds all of them together, also where a name server does
        # not answer, or each byte comes just in time. It needs gevent's sockets, as the worker has.
        with gevent.Timeout(left, Unreachable("no answer in time")):
            response = send(self._session, method, url, target, (CONNECT_TIMEOUT, left), body or None, headers)
        if response.status_code in (502, 503, 504):
            raise Unreachable(f"HTTP {response.status_code}")
        return response
