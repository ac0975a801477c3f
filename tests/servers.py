"""Small TCP servers on loopback that misbehave on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Behaviour = Callable[[socket.socket], None]

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "e"\r\n\r\nhi'


class Server:
    """A listener that gives each connection, in turn, to a behaviour; the last one has all that follow."""

    def __init__(self, *behaviours: Behaviour, port: int = 0) -> None:
        self.behaviours = behaviours
        self.connections = 0
        #: Of these, ended.
        self.closed = 0
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                # Closed.
                return
            behave = self.behaviours[min(self.connections, len(self.behaviours) - 1)]
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection, behave), daemon=True).start()

    def _serve(self, connection: socket.socket, behave: Behaviour) -> None:
        with connection, contextlib.suppress(OSError):
            behave(connection)
        self.closed += 1

    def close(self) -> None:
        # Wakes the threads that wait for a connection or a request, as closing alone does not.
        for waiting in (self.listener, *self.open):
            with contextlib.suppress(OSError):
                waiting.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@contextlib.contextmanager
def server(*behaviours: Behaviour, port: int = 0) -> Iterator[Server]:
    found = Server(*behaviours, port=port)
    try:
        yield found
    finally:
        found.close()


def read_request(connection: socket.socket) -> bytes:
    """The head of the next request, and its body by Content-Length; nothing where the client went."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = connection.recv(65536)
        if not block:
            return b""
        data += block
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        block = connection.recv(65536)
        if not block:
            return b""
        body += block
    return head + b"\r\n\r\n" + body


def answers(*texts: bytes, seen: list[bytes] | None = None) -> Behaviour:
    """An answer to each request of a connection, the last one to all that follow; then it goes on until the client goes."""

    def behave(connection: socket.socket) -> None:
        number = 0
        while request := read_request(connection):
            if seen is not None:
                seen.append(request)
            connection.sendall(texts[min(number, len(texts) - 1)])
            number += 1

    return behave


def once(text: bytes = ANSWER) -> Behaviour:
    """One answer, and then the connection is closed just as the next request comes."""

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(text)
        read_request(connection)

    return behave


def cut(connection: socket.socket) -> None:
    """Take a request and close without an answer."""
    read_request(connection)


def silent(connection: socket.socket) -> None:
    """Take what comes and say nothing, until the client goes."""
    while connection.recv(65536):
        pass


def xml(body: str, status: str = "200 OK") -> bytes:
    data = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def error(code: str, status: str, message: str = "m") -> bytes:
    return xml(f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", status)
