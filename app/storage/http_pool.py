"""Kept HTTP connections to one server, over the standard library's client.

urllib3 spends several times the CPU of a whole call on re-encoding a signed URL; on the way of every upload that is most
of what this program costs. Here a request target is sent as it was signed.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import IO
from urllib.parse import urlsplit

import msgspec

#: Connections kept open while unused; more may be in use at once.
_KEPT = 64
#: Bytes read and sent at a time.
_BLOCK = 1 << 18
_MAX_LINE, _MAX_HEADERS = 65536, 200


class Unreachable(Exception):
    """No answer; the text says why, without host, path or query."""


class NoAnswerInTime(Unreachable):
    """Connected, and then silence. What was asked may have been done."""


class Headers:
    """An answer's headers, by name in any case."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._last = {name.lower(): value for name, value in pairs}

    def get(self, name: str, default: str = "") -> str:
        return self._last.get(name.lower(), default)

    def get_all(self, name: str) -> list[str]:
        return [value for found, value in self._pairs if found.lower() == name.lower()]


class Response(msgspec.Struct, frozen=True):
    status: int
    headers: Headers
    body: bytes


class Answer(http.client.HTTPResponse):
    """The standard library's, which reads headers as those of a mail: that costs more than the rest of a call."""

    #: Those of the answer; `headers` is not set.
    pairs: Headers

    @property
    def content_type(self) -> str:
        return self.pairs.get("Content-Type")

    def begin(self) -> None:
        while True:
            self.version_text, self.code, self.reason = self._read_status()  # type: ignore[attr-defined]
            pairs = self._read_headers()
            if self.code != http.client.CONTINUE:
                break
        self.status = self.code
        self.version = 10 if self.version_text in ("HTTP/1.0", "HTTP/0.9") else 11
        self.pairs = Headers(pairs)
        self.chunked = self.pairs.get("transfer-encoding").lower() == "chunked"
        self.chunk_left = None
        connection = self.pairs.get("connection").lower()
        self.will_close = "close" in connection or (self.version == 10 and "keep-alive" not in connection)
        length = self.pairs.get("content-length")
        self.length = int(length) if length.isdigit() and not self.chunked else None
        if self.status in (204, 304) or self._method == "HEAD":  # type: ignore[attr-defined]
            self.length = 0
        if not self.will_close and not self.chunked and self.length is None:
            self.will_close = True

    def _read_headers(self) -> list[tuple[str, str]]:
        pairs: list[tuple[str, str]] = []
        while True:
            line = self.fp.readline(_MAX_LINE + 1)
            if len(line) > _MAX_LINE:
                raise http.client.LineTooLong("header line")
            if line in (b"\r\n", b"\n", b""):
                return pairs
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or len(pairs) >= _MAX_HEADERS:
                raise http.client.HTTPException("not headers")
            pairs.append((name, value.strip()))


class Pool:
    """
    :param base_url: scheme and authority.
    :param connect_timeout: seconds.
    """

    def __init__(self, base_url: str, connect_timeout: float) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connect_timeout = connect_timeout
        self._idle: deque[http.client.HTTPConnection] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def request(
        self, method: str, target: str, timeout: float, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request and read its whole answer. A kept connection that turns out closed is replaced once.

        :param timeout: seconds of silence after connecting.
        :raises NoAnswerInTime, Unreachable:
        """
        connection = self._take()
        if connection is not None:
            try:
                return self._send(connection, method, target, timeout, body, headers)
            except TimeoutError:
                raise NoAnswerInTime("no answer in time") from None
            except (OSError, http.client.HTTPException):
                # The server closed it just as it was used.
                pass
        connection = self._connect()
        try:
            return self._send(connection, method, target, timeout, body, headers)
        except TimeoutError:
            raise NoAnswerInTime("no answer in time") from None
        except (OSError, http.client.HTTPException) as e:
            raise Unreachable(_reason(e)) from e

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        target: str,
        timeout: float,
        body: IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Answer]:
        """Send a request on a connection of its own, its body as it is read; the answer is for the caller to read.

        :param headers: with Content-Length where there is a body.
        :raises NoAnswerInTime, Unreachable: also while the caller reads.
        """
        connection = self._connect()
        try:
            connection.blocksize = _BLOCK
            connection.sock.settimeout(timeout)
            connection.request(method, target, body=body, headers=headers or {})
            yield _answer_of(connection)
        except TimeoutError:
            raise NoAnswerInTime("no answer in time") from None
        except (OSError, http.client.HTTPException) as e:
            raise Unreachable(_reason(e)) from e
        finally:
            connection.close()

    def close(self) -> None:
        while (connection := self._take()) is not None:
            connection.close()

    def _take(self) -> http.client.HTTPConnection | None:
        with self._lock:
            # The last one used is the least likely to have been closed meanwhile.
            return self._idle.pop() if self._idle else None

    def _connect(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._connect_timeout)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._connect_timeout, context=self._tls
            )
        connection.response_class = Answer
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as e:
            raise Unreachable(_reason(e)) from e
        return connection

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        timeout: float,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Response:
        kept = False
        try:
            connection.sock.settimeout(timeout)
            connection.request(method, target, body=body, headers=headers or {})
            answer = _answer_of(connection)
            content = answer.read()
            kept = not answer.will_close
            return Response(answer.status, answer.pairs, content)
        finally:
            if not kept:
                connection.close()
            else:
                self._give_back(connection)

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        with contextlib.suppress(OSError):
            connection.close()


def read_all(answer: Answer) -> Response:
    return Response(answer.status, answer.pairs, answer.read())


def _answer_of(connection: http.client.HTTPConnection) -> Answer:
    answer = connection.getresponse()
    if not isinstance(answer, Answer):
        raise TypeError("the connection was not made here")
    return answer


def _reason(e: Exception) -> str:
    if isinstance(e, ConnectionRefusedError):
        return "connection refused"
    if isinstance(e, socket.gaierror):
        return "its host name does not resolve"
    if isinstance(e, TimeoutError):
        return "no connection in time"
    if isinstance(e, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted: {e.verify_message}"
    if isinstance(e, ssl.SSLError):
        return f"TLS failed: {e.reason}"
    if isinstance(e, (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)):
        return "the connection was cut"
    if isinstance(e, OSError) and e.strerror:
        return e.strerror.lower()
    return type(e).__name__
