"""Hand a request that reached the wrong instance to one that can serve it, once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from app.auth.sealing import Sealer
from app.config.models import Instance
from app.core.errors import NetworkError
from app.observability import metrics
from app.storage.http_pool import Pool, Unreachable

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


class Answer(msgspec.Struct, frozen=True):
    #: The instance whose it is.
    instance: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Forwarder:
    """
    :param instance_id: the instance that forwards.
    """

    def __init__(self, instance_id: str, sealer: Sealer) -> None:
        self._instance_id = instance_id
        self._sealer = sealer
        self._pools: dict[str, Pool] = {}

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

        :param target: path and query.
        :param header: gives the incoming request's headers by name.
        :raises NetworkError: none did; names the node and what each instance said.
        """
        start = time.perf_counter()
        answered = False
        try:
            answer = self._ask(node_id, owners, target, header, body, method)
            answered = True
        finally:
            metrics.forwarded(node_id, answered, time.perf_counter() - start)
        return answer

    def _ask(
        self,
        node_id: str,
        owners: Sequence[Instance],
        target: str,
        header: Callable[[str], str | None],
        body: bytes,
        method: str,
    ) -> Answer:
        send = {name: value for name in _REQUEST_HEADERS for value in [header(name)] if value is not None}
        send[MARK_HEADER] = self._sealer.mark_forward(self._instance_id)
        total = COMPLETE_TOTAL_TIMEOUT if target.endswith("/complete_multipart_upload") else TOTAL_TIMEOUT
        deadline = time.monotonic() + total
        tried: list[str] = []
        for owner in owners:
            left = deadline - time.monotonic()
            if left <= 0:
                tried.append(f"{owner.id} (not asked: out of time)")
                continue
            pool = self._pools.setdefault(owner.id, Pool(owner.url, CONNECT_TIMEOUT))
            try:
                answer = pool.request(method, target, left, body or None, send)
            except Unreachable as e:
                log.warning("forwarding to %s failed: %s", owner.id, e)
                tried.append(f"{owner.id} ({e})")
                continue
            if answer.status in (502, 503, 504):
                tried.append(f"{owner.id} (HTTP {answer.status})")
                continue
            kept = [(name, value) for name in _ANSWER_HEADERS for value in answer.headers.get_all(name)]
            return Answer(owner.id, answer.status, kept, answer.body)
        names = ", ".join(tried) or "none is configured"
        raise NetworkError(f"this belongs to MinIO node {node_id}, and no instance of it can be reached: {names}")
