"""gunicorn's threaded worker, answering requests it cannot read with the envelope instead of an HTML page."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

from gunicorn.http import errors as http
from gunicorn.workers.gthread import ThreadWorker

from app import wire
from app.errors import APIError, ArgsError, InternalError

#: Seconds of silence within a request, as the kernel takes them (struct timeval).
_RECEIVE_TIMEOUT = struct.pack("ll", 20, 0)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def handle(self, conn: Any) -> Any:
        # A client that stops in the middle of its headers or body must not keep a thread.
        with contextlib.suppress(OSError):
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _RECEIVE_TIMEOUT)
        return super().handle(conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        error: APIError = ArgsError("not a request that this server can read")
        status = "400 Bad Request"
        if isinstance(exc, http.LimitRequestLine):
            error, status = ArgsError("the URL is too long"), "414 URI Too Long"
        elif isinstance(exc, http.LimitRequestHeaders):
            error, status = ArgsError("the headers are too large"), "431 Request Header Fields Too Large"
        elif isinstance(exc, BlockingIOError):
            error, status = ArgsError("the request did not come in time"), "408 Request Timeout"
        elif not isinstance(exc, (http.ParseException, OSError)):
            self.log.exception("cannot answer a request")
            error, status = InternalError("internal error; see the server's log"), "500 Internal Server Error"
        body = wire.failure(error)
        head = (
            f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"Access-Control-Allow-Origin: *\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            client.sendall(head.encode() + body)
