"""The kept connections, against small servers on loopback that misbehave on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from app.http_pool import NoAnswerInTime, Pool, Unreachable

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi"


@contextlib.contextmanager
def server(*behaviours: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A connection for each behaviour, in turn; what was received."""
    received: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        for behave in behaviours:
            connection, _ = listener.accept()
            with connection:
                behave(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
    finally:
        listener.close()
        thread.join(5)


def answer(times: int) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        for _ in range(times):
            if not connection.recv(65536):
                return
            connection.sendall(ANSWER)

    return behave


def cut(connection: socket.socket) -> None:
    connection.recv(65536)


def silent(connection: socket.socket) -> None:
    connection.recv(65536)
    time.sleep(1.5)


def test_a_connection_is_kept_and_used_again() -> None:
    with server(answer(3)) as (url, _):
        pool = Pool(url, 1)
        for _ in range(3):
            response = pool.request("GET", "/", 1)
            assert (response.status, response.body, response.headers.get("x-a")) == (200, b"hi", "b")
        pool.close()


def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    with server(answer(1), answer(1)) as (url, _):
        pool = Pool(url, 1)
        assert pool.request("POST", "/", 1, b"x").status == 200
        time.sleep(0.05)
        assert pool.request("POST", "/", 1, b"x").status == 200
        pool.close()


def test_a_new_connection_that_is_cut_fails_without_another_try() -> None:
    with server(cut) as (url, _), pytest.raises(Unreachable, match="cut"):
        Pool(url, 1).request("GET", "/", 1)


def test_silence_ends_in_time_and_is_told_from_a_refusal() -> None:
    with server(silent) as (url, _):
        start = time.monotonic()
        with pytest.raises(NoAnswerInTime):
            Pool(url, 1).request("GET", "/", 0.3)
        assert time.monotonic() - start < 1
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable, match="refused"):
        Pool(f"http://127.0.0.1:{port}", 1).request("GET", "/", 1)


def test_reasons_hold_no_url() -> None:
    with pytest.raises(Unreachable) as e:
        Pool("http://127.0.0.1:1", 1).request("GET", "/bucket?X-Amz-Signature=abc", 1)
    assert "Signature" not in str(e.value)
    assert "127.0.0.1" not in str(e.value)


def test_a_chunked_answer() -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")

    with server(behave) as (url, _):
        pool = Pool(url, 1)
        assert pool.request("GET", "/", 1).body == b"hi"
        pool.close()
