"""gunicorn's threaded worker with a shorter way for requests, answering those it cannot read with the envelope instead of an
HTML page.

gunicorn's own hands each request from its main thread to a pool and back, which costs more than most requests here do. In
this one the threads wait for readable connections themselves: who gets one answers it, and lets it be waited for again.
None waits for the rest of a request: a client that stops in the middle of one keeps no thread. Views take half of the
threads at most: a chat list full of thumbnails does not keep an upload waiting. HTTP/1.1 only, without TLS: that is the
balancer's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from datetime import datetime
from typing import Any

from gunicorn.http import errors as http
from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

from app.core import wire
from app.core.errors import APIError, ArgsError, InternalError
from app.server import gunicorn_io

#: Seconds of silence within a request or its answer, and as the kernel takes them (struct timeval).
RECEIVE_TIMEOUT = 20
_TIMEVAL = struct.pack("ll", RECEIVE_TIMEOUT, 0)
#: One event for one thread; the connection is waited for again only after its answer.
_READABLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT
#: Seconds that a stopping worker keeps unused connections, for a request that may be on its way.
_LINGER = 2.0
#: Seconds between two looks at what has to be closed.
_HOUSEKEEPING = 1.0
#: How views begin.
_VIEWS = (b"GET /object/", b"HEAD /object/")
#: Of a client that went away.
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        if cfg.is_ssl:
            raise SystemExit(
                "openim-direct: certfile and keyfile are set, and an instance speaks no TLS: let the balancer do that "
                "(balancer.certificate in instances.yaml), and take them out of gunicorn's settings"
            )
        super().check_config(cfg, log)

    def init_process(self) -> None:
        self._epoll = select.epoll()
        self._lock = threading.Lock()
        #: Open connections by file descriptor.
        self._open: dict[int, gunicorn_io.Connection] = {}
        #: Descriptors of those that nobody works on, between requests or in the middle of one that has not come yet, and
        #: until when they may stay so (monotonic seconds).
        self._unused: dict[int, float] = {}
        self._ended = False
        #: Views that are being answered, and connections whose view waits for one of them to end.
        self._views = 0
        self._later: deque[tuple[int, gunicorn_io.Connection]] = deque()
        self._most_views = max(1, self.cfg.threads // 2)
        super().init_process()

    def get_thread_pool(self) -> Any:
        return _NoPool()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.alive = False

    def run(self) -> None:
        """The main thread: accepts, closes what is left, and tells the arbiter that it lives."""
        threads = [threading.Thread(target=self._serve, name=f"serve-{n}", daemon=True) for n in range(self.cfg.threads)]
        for thread in threads:
            thread.start()
        listening = select.poll()
        for listener in self.sockets:
            listener.setblocking(False)
            listening.register(listener, select.POLLIN)
        by_descriptor = {listener.fileno(): listener for listener in self.sockets}
        # A signal writes there, so that a stop is seen at once.
        listening.register(self.PIPE[0], select.POLLIN)
        looked = 0.0
        while self.alive and self.is_parent_alive():
            self.notify()
            for descriptor, _ in listening.poll(_HOUSEKEEPING * 1000):
                if descriptor == self.PIPE[0]:
                    with contextlib.suppress(OSError):
                        os.read(descriptor, 64)
                elif len(self._open) < self.worker_connections:
                    self.accept(by_descriptor[descriptor])
                else:
                    # Full: other workers may take it.
                    time.sleep(0.01)
            if time.monotonic() - looked > _HOUSEKEEPING:
                looked = time.monotonic()
                self._close_unused(looked)
        self._drain()

    def accept(self, listener: Any) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            # Another worker was first, or the client has left.
            return
        except OSError as e:
            self.log.error("cannot take a connection: %s", e)
            # Out of file descriptors, most likely, and at once again.
            time.sleep(0.1)
            return
        client.setblocking(True)
        # For what a thread does wait for: a large body, one after `100 Continue`, a client that does not read its answer.
        with contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL)
        connection = gunicorn_io.Connection(self.cfg, client, address, listener.getsockname())
        descriptor = client.fileno()
        with self._lock:
            self._open[descriptor] = connection
            self._unused[descriptor] = time.monotonic() + self.cfg.keepalive
        self._epoll.register(descriptor, _READABLE)

    def _serve(self) -> None:
        """One thread: the next readable connection, its request, again."""
        while not self._ended:
            try:
                events = self._epoll.poll(_HOUSEKEEPING, 1)
            except (OSError, ValueError):
                # Closed at the end.
                return
            for descriptor, _ in events:
                with self._lock:
                    connection = self._open.get(descriptor)
                    if connection is None or self._unused.pop(descriptor, None) is None:
                        continue
                self._take(descriptor, connection)

    def _take(self, descriptor: int, connection: gunicorn_io.Connection) -> None:
        """Read what has come, and answer it when it is a whole request. A view may wait until others are answered."""
        try:
            received = connection.reader.fill()
        except OSError:
            received = b""
        if not received:
            self._drop(descriptor, connection, graceful=False)
            return
        request = connection.kept
        if not gunicorn_io.is_whole(request):
            self._wait(descriptor, connection, RECEIVE_TIMEOUT)
            return
        # `/readyz` and the like are not kept waiting by views.
        if not request.startswith(_VIEWS):
            self._answer(descriptor, connection)
            return
        with self._lock:
            if self._views >= self._most_views:
                self._later.append((descriptor, connection))
                return
            self._views += 1
        while True:
            self._answer(descriptor, connection)
            with self._lock:
                if not self._later:
                    self._views -= 1
                    return
                descriptor, connection = self._later.popleft()

    def _answer(self, descriptor: int, connection: gunicorn_io.Connection) -> None:
        """Answer the request that has come, and those that came with it, which make no event."""
        keep = False
        try:
            keep = self.handle(connection)
            while keep and gunicorn_io.is_whole(connection.kept):
                keep = self.handle(connection)
        except Exception:
            self.log.exception("cannot answer a request")
            keep = False
        if keep:
            idle = self.cfg.keepalive if self.alive else _LINGER
            self._wait(descriptor, connection, RECEIVE_TIMEOUT if connection.kept else idle)
        else:
            self._drop(descriptor, connection)

    def _wait(self, descriptor: int, connection: gunicorn_io.Connection, seconds: float) -> None:
        """Let it be waited for what comes next."""
        with self._lock:
            self._unused[descriptor] = time.monotonic() + seconds
        try:
            self._epoll.modify(descriptor, _READABLE)
        except (OSError, ValueError):
            self._drop(descriptor, connection)

    def _drop(self, descriptor: int, connection: gunicorn_io.Connection, graceful: bool = True) -> None:
        with self._lock:
            self._open.pop(descriptor, None)
            self._unused.pop(descriptor, None)
        # Closing takes it out of the epoll set too.
        connection.close(graceful)

    def handle(self, connection: gunicorn_io.Connection) -> bool:
        """Answer one request; whether the connection takes another."""
        request = None
        try:
            request = next(connection.parser)
            if not self.handle_request(request, connection):
                return False
        except (http.NoMoreData, StopIteration):
            # The client has gone, or wants no more.
            return False
        except Exception as e:  # noqa: BLE001 (logged there)
            if not (isinstance(e, OSError) and e.errno in _GONE):
                self.handle_error(request, connection.sock, connection.client, e)
            return False
        return connection.skip_body()

    def handle_request(self, request: Any, connection: gunicorn_io.Connection) -> bool:
        """gunicorn's own, without what this worker has no use for."""
        response, environ = None, {}
        begun = datetime.now()
        try:
            self.cfg.pre_request(self, request)
            response, environ = wsgi.create(
                request, connection.sock, connection.client, connection.server, self.cfg, gunicorn_io.Response
            )
            environ["wsgi.multithread"] = True
            self._count_request()
            if not self.alive:
                response.force_close()
            pieces = self.wsgi(environ, response.start_response)
            try:
                for piece in pieces:
                    response.write(piece)
                response.close()
            finally:
                self.log.access(response, request, environ, datetime.now() - begun)
                if hasattr(pieces, "close"):
                    pieces.close()
            return not response.should_close()
        except Exception as e:
            if response is None or not response.headers_sent:
                raise
            # Another answer on the same connection would be read as part of this one.
            if not isinstance(e, OSError):
                self.log.exception("cannot finish an answer")
            return False
        finally:
            try:
                self.cfg.post_request(self, request, environ, response)
            except Exception:
                self.log.exception("post_request of gunicorn's settings failed")

    def _count_request(self) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("%d requests were answered: this worker makes place for a new one", self.nr)
            self.alive = False

    def _close_unused(self, now: float) -> None:
        """Close what has waited for too long, and tell who stopped in the middle of a request."""
        with self._lock:
            late = [descriptor for descriptor, until in self._unused.items() if until < now]
            # Threads that are all busy have not seen yet what came.
            late = [descriptor for descriptor in late if not _has_more(self._open[descriptor])]
            connections = [self._open.pop(descriptor) for descriptor in late]
            for descriptor in late:
                del self._unused[descriptor]
        for connection in connections:
            if connection.kept:
                # This thread waits for nobody.
                connection.sock.setblocking(False)
                self.handle_error(None, connection.sock, connection.client, TimeoutError())
            connection.close()

    def _drain(self) -> None:
        """Accept no more, let running requests end within `graceful_timeout`, then leave."""
        for listener in self.sockets:
            listener.close()
        end = time.monotonic() + self.cfg.graceful_timeout
        linger = time.monotonic() + _LINGER
        with self._lock:
            for descriptor, until in self._unused.items():
                # One in the middle of a request has its time.
                if not self._open[descriptor].kept:
                    self._unused[descriptor] = min(until, linger)
        while self._open and time.monotonic() < end:
            self.notify()
            self._close_unused(time.monotonic())
            time.sleep(0.05)
        self._ended = True
        self._epoll.close()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        error: APIError = ArgsError("not a request that this server can read")
        status = "400 Bad Request"
        if isinstance(exc, http.LimitRequestLine):
            error, status = ArgsError("the URL is too long"), "414 URI Too Long"
        elif isinstance(exc, http.LimitRequestHeaders):
            error, status = ArgsError("the headers are too large"), "431 Request Header Fields Too Large"
        elif isinstance(exc, (BlockingIOError, TimeoutError)):
            error, status = (
                ArgsError(f"the rest of the request did not come within {RECEIVE_TIMEOUT} s"),
                "408 Request Timeout",
            )
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


def _has_more(connection: gunicorn_io.Connection) -> bool:
    """Something has come that nobody has read, or its end."""
    try:
        connection.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


class _NoPool:
    """What gunicorn shuts down at a SIGQUIT."""

    def shutdown(self, wait: bool = True) -> None:
        pass
