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
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

import msgspec

#: Connections kept open while unused; more may be in use at once.
_KEPT = 64
#: Bytes read and sent at a time.
_BLOCK = 1 << 18


class Unreachable(Exception):
    """No answer; the text says why, without host, path or query."""


class NoAnswerInTime(Unreachable):
    """Connected, and then silence. What was asked may have been done."""


class Response(msgspec.Struct, frozen=True):
    status: int
    headers: Message
    body: bytes


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
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request on a connection of its own, its body as it is read; the answer is for the caller to read.

        :param headers: with Content-Length where there is a body.
        :raises NoAnswerInTime, Unreachable: also while the caller reads.
        """
        connection = self._connect()
        try:
            connection.blocksize = _BLOCK
            connection.sock.settimeout(timeout)
            connection.request(method, target, body=body, headers=headers or {})
            yield connection.getresponse()
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
            answer = connection.getresponse()
            content = answer.read()
            kept = not answer.will_close
            return Response(answer.status, answer.headers, content)
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
