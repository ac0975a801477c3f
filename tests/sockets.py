"""Small servers on loopback that misbehave on purpose, as no real one can be made to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Behaviour = Callable[[socket.socket, list[bytes]], None]


@dataclass
class Server:
    port: int
    #: Each request that was read, with what came of its body.
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def targets(self) -> list[str]:
        return [request.split(b" ")[1].decode("latin-1") for request in self.requests]


@contextlib.contextmanager
def server(*behaviours: Behaviour) -> Iterator[Server]:
    """A server that treats each connection as the next of `behaviours` does, and those after the last as that one."""
    listener = socket.create_server(("127.0.0.1", 0))
    made = Server(listener.getsockname()[1])

    def treat(connection: socket.socket, behave: Behaviour) -> None:
        # The client may have gone.
        with connection, contextlib.suppress(OSError):
            behave(connection, made.requests)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            behave = behaviours[min(made.connections, len(behaviours) - 1)]
            made.connections += 1
            threading.Thread(target=treat, args=(connection, behave), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        # Wakes the thread that waits for a connection, as closing alone does not.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def read_request(connection: socket.socket, requests: list[bytes]) -> bool:
    """Read a request with its body; false where the client closed instead."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (block := connection.recv(65536)):
            return False
        data += block
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(h[15:]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        if not (block := connection.recv(65536)):
            break
        body += block
    requests.append(head + b"\r\n\r\n" + body)
    return True


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


#: Answers that end before they should.
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b'{"half'
HALF_OF_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n" + b'{"half\r\n'
HALF_OF_HEADERS = b"HTTP/1.1 200 OK\r\nContent-Le"
CUT_ANSWERS = {"no byte": b"", "headers": HALF_OF_HEADERS, "body": HALF, "chunks": HALF_OF_CHUNKS}


def answers(*texts: bytes) -> Behaviour:
    """One answer a request on the same connection, and then the end of it."""

    def behave(connection: socket.socket, requests: list[bytes]) -> None:
        for text in texts:
            if not read_request(connection, requests):
                return
            connection.sendall(text)

    return behave


def silent(connection: socket.socket, requests: list[bytes]) -> None:
    """Reads the request, and answers nothing until the client goes."""
    if read_request(connection, requests):
        connection.recv(1)


def dripping(connection: socket.socket, requests: list[bytes]) -> None:
    """Answers a byte every tenth of a second, for ever."""
    if read_request(connection, requests):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.1)


def unused_url() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"
