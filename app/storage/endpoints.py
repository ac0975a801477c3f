"""The ways to one node: one endpoint, or those of a MinIO cluster, of which any that answers will do."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO
from urllib.parse import urlsplit

from app.storage.http_pool import Answer, NoAnswerInTime, Pool, Response, Unreachable

log = logging.getLogger(__name__)


class Endpoints:
    """Kept connections to each endpoint. Requests go to the first that is not known to be down.

    :param urls: scheme and authority each; requests are signed for the first, whichever they go to.
    :param connect_timeout: seconds.
    """

    def __init__(self, node_id: str, urls: Sequence[str], connect_timeout: float) -> None:
        self._node_id = node_id
        self._urls = tuple(urls)
        self._pools = tuple(Pool(url, connect_timeout) for url in urls)
        # The signature holds the Host header. With one endpoint the client's own is the same.
        self._host = {"Host": urlsplit(urls[0]).netloc} if len(urls) > 1 else {}
        #: What each said last: None while it answers, else why it does not.
        self._down: list[str | None] = [None] * len(urls)

    def __len__(self) -> int:
        return len(self._urls)

    @property
    def any_up(self) -> bool:
        return None in self._down

    def request(
        self, method: str, target: str, timeout: float, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """As `http_pool.Pool.request`, on another endpoint where one cannot be reached.

        :raises NoAnswerInTime: it was sent, so that trying it elsewhere may do it twice; the next request goes elsewhere.
        :raises Unreachable: no endpoint can be reached.
        """
        headers = {**self._host, **(headers or {})}
        order = sorted(range(len(self._urls)), key=lambda n: self._down[n] is not None)
        last = Unreachable("no endpoint")
        for n in order:
            try:
                return self._pools[n].request(method, target, timeout, body, headers)
            except NoAnswerInTime as e:
                self.mark(n, str(e))
                raise
            except Unreachable as e:
                self.mark(n, str(e))
                last = e
        raise last

    @contextmanager
    def stream(
        self,
        method: str,
        target: str,
        timeout: float,
        body: IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Answer]:
        """As `http_pool.Pool.stream`, on an endpoint that is not known to be down; it is not tried elsewhere."""
        number = next((n for n, down in enumerate(self._down) if down is None), 0)
        try:
            with self._pools[number].stream(method, target, timeout, body, {**self._host, **(headers or {})}) as response:
                yield response
        except Unreachable as e:
            self.mark(number, str(e))
            raise

    def mark(self, number: int, down: str | None) -> None:
        """Say whether an endpoint answers: None, or why not."""
        before, self._down[number] = self._down[number], down
        if len(self._urls) > 1 and (before is None) != (down is None):
            what = "answers again" if down is None else f"does not answer: {down}"
            log.warning("node %s: endpoint %s %s", self._node_id, self._urls[number], what)

    def close(self) -> None:
        for pool in self._pools:
            pool.close()
