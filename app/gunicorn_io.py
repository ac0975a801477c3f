"""Bytes between a connection and gunicorn's parser and response, in fewer system calls than its own.

At each of them a thread gives up Python's lock, and gets it back only when no other thread has it.
"""

from __future__ import annotations

import socket
from typing import Any

from gunicorn import util
from gunicorn.http import get_parser, wsgi
from gunicorn.http.unreader import Unreader

#: Most bytes of one read; a request with its headers fits.
_CHUNK = 16 << 10


class Reader(Unreader):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's `SocketUnreader`, but that it names no socket: gunicorn would set timeouts on it around every request. The
    socket has one of its own."""

    def __init__(self, client: socket.socket) -> None:
        super().__init__()
        self._client = client

    def chunk(self, size_hint: int | None = None) -> bytes:
        return self._client.recv(max(_CHUNK, min(size_hint or 0, 1 << 20)))

    def fill(self) -> bytes:
        """What has come, kept for the parser too; empty where the client has closed.

        :raises OSError: the connection is broken.
        """
        data = self._client.recv(_CHUNK)
        self.unread(data)
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

    def close(self, graceful: bool = False) -> None:
        """
        :param graceful: let the client read what was sent, though it may still be sending.
        """
        (util.close_graceful if graceful else util.close)(self.sock)


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
