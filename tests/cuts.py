"""A relay to a real server that cuts connections now and then, before or after the server got a request."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator


class Relay:
    """
    :param cuts: is told the number of each request, and says whether its connection is cut: `before` the server gets it,
        `after` the server did and before its answer, `half` in the middle of the answer, or None.
    :param http: else every message of a client is a request.
    """

    def __init__(self, port: int, cuts: Callable[[int], str | None], http: bool = True) -> None:
        self._to, self._cuts, self._http = port, cuts, http
        self._lock = threading.Lock()
        self.requests = 0
        #: Connections that were cut.
        self.cut = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server, contextlib.suppress(OSError):
            half = threading.Event()
            threading.Thread(target=self._back, args=(server, client, half), daemon=True).start()
            while block := client.recv(1 << 20):
                cut = None
                if not self._http or block.startswith((b"GET ", b"HEAD ", b"PUT ", b"POST ", b"DELETE ")):
                    with self._lock:
                        self.requests += 1
                        cut = self._cuts(self.requests)
                        self.cut += cut is not None
                if cut == "half":
                    half.set()
                if cut != "before":
                    server.sendall(block)
                if cut in ("before", "after"):
                    break
            end(client, server)

    @staticmethod
    def _back(server: socket.socket, client: socket.socket, half: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while block := server.recv(1 << 20):
                if half.is_set():
                    client.sendall(block[: len(block) // 2])
                    break
                client.sendall(block)
        end(client, server)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def end(client: socket.socket, server: socket.socket) -> None:
    """End both; the client sees a RST, as from a router that forgot the connection."""
    for connection in (client, server):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay(port: int, cuts: Callable[[int], str | None], http: bool = True) -> Iterator[Relay]:
    made = Relay(port, cuts, http)
    try:
        yield made
    finally:
        made.close()
