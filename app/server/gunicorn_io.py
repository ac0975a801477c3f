"""Bytes between a connection and gunicorn's parser and response, in fewer system calls than its own.

At each of them a thread gives up Python's lock, and gets it back only when no other thread has it.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from gunicorn import util
from gunicorn.http import get_parser, wsgi
from gunicorn.http.unreader import Unreader

#: Most bytes of one read; a request with its headers fits.
_CHUNK = 16 << 10
#: Most bytes of a request that are kept until the rest has come; 10,000 part hashes take 350 KB.
MOST_KEPT = 512 << 10


class Reader(Unreader):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's `SocketUnreader`, but that it names no socket: gunicorn would set timeouts on it around every request. The
    socket has one of its own."""

    def __init__(self, client: socket.socket) -> None:
        super().__init__()
        self._client = client
        #: Whether to wait for what has not come.
        self.waits = True

    def chunk(self, size_hint: int | None = None) -> bytes:
        if not self.waits:
            raise BlockingIOError
        return self._client.recv(max(_CHUNK, min(size_hint or 0, 1 << 20)))

    def fill(self) -> bytes:
        """What has come now, kept for the parser; empty where the client has closed.

        :raises OSError: the connection is broken.
        """
        data = self._client.recv(_CHUNK)
        self.buf.seek(0, os.SEEK_END)
        self.buf.write(data)
        return data


class Connection:
    """One client's.

    :param client: a blocking socket.
    """

    def __init__(self, cfg: Any, client: socket.socket, address: Any, server: Any) -> None:
        #: Under gunicorn's own names.
        self.sock, self.client, self.server = client, address, server
        self.parser = get_parser(cfg, client, address)
        self.reader = self.parser.unreader = Reader(client)

    @property
    def kept(self) -> bytes:
        """What has come of the next request."""
        held: bytes = self.reader.buf.getvalue()
        return held

    def skip_body(self) -> bool:
        """Leave out what nobody has read of a request's body, lest it be read as the next request; whether all of it had
        come."""
        self.reader.waits = False
        try:
            return self.parser.finish_body() is True
        except Exception:  # noqa: BLE001 (not all of it, or malformed: the parser's many ways to say so)
            return False
        finally:
            self.reader.waits = True

    def close(self, graceful: bool = False) -> None:
        """
        :param graceful: let the client read what was sent, though it may still be sending.
        """
        (util.close_graceful if graceful else util.close)(self.sock)


def is_whole(request: bytes) -> bool:
    """Whether nothing is to be waited for: the request is all there, or will be refused as it is, or its client waits for
    `100 Continue`."""
    end = request.find(b"\r\n\r\n")
    if end < 0:
        return len(request) > MOST_KEPT
    head = request[:end].lower()
    if b"\r\nexpect:" in head:
        return True
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        return b"\r\ntransfer-encoding:" not in head or b"0\r\n\r\n" in request[end:] or len(request) > MOST_KEPT
    length = head[at + 17 :].partition(b"\r\n")[0].strip()
    return not length.isdigit() or int(length) > MOST_KEPT or len(request) >= end + 4 + int(length)


class Response(wsgi.Response):  # type: ignore[misc]
    """Sends an answer's head and body in one piece where they come in one."""

    headers_sent: bool

    def write(self, data: bytes) -> None:
        if self.headers_sent or not data or self.response_length != len(data) or self.req.method == "HEAD":
            super().write(data)
            return
        head = "".join([*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in self.headers), "\r\n"])
        self.headers_sent = True
        self.sent = len(data)
        util.write(self.sock, head.encode("latin-1") + data)
