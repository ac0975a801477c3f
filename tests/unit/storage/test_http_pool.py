"""The kept connections, against small servers on loopback that misbehave on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from app.storage.http_pool import NoAnswerInTime, Pool, Unreachable

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi"


@contextlib.contextmanager
def server(*behaviours: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A connection for each behaviour, in turn; what was received."""
    received: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        for behave in behaviours:
            try:
                connection, _ = listener.accept()
            except OSError:
                # Closed: nobody came.
                return
            with connection:
                behave(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
    finally:
        # Wakes a thread that waits for a connection, as closing alone does not.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
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


def raw(*answers: bytes) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        for text in answers:
            if not connection.recv(65536):
                return
            connection.sendall(text)

    return behave


def test_kinds_of_answers_on_one_connection() -> None:
    """Chunked, without a body, to a HEAD, in pieces, and with a header of several values."""
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\n yo\r\n0\r\n\r\n"
    empty = b'HTTP/1.1 204 No Content\r\nETag: "e"\r\n\r\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nContent-Type: image/png\r\n\r\n"
    several = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    )
    with server(raw(chunked, empty, head, several, ANSWER)) as (url, _):
        pool = Pool(url, 1)
        try:
            assert pool.request("GET", "/", 1).body == b"hi yo"
            gone = pool.request("DELETE", "/", 1)
            assert (gone.status, gone.body, gone.headers.get("etag")) == (204, b"", '"e"')
            seen = pool.request("HEAD", "/", 1)
            assert (seen.body, seen.headers.get("content-length"), seen.headers.get("CONTENT-TYPE")) == (
                b"",
                "12345",
                "image/png",
            )
            found = pool.request("GET", "/", 1)
            assert (found.status, found.headers.get_all("Set-Cookie")) == (302, ["a=1", "b=2"])
            assert found.headers.get("none", "-") == "-"
            assert pool.request("GET", "/", 1).body == b"hi"
        finally:
            pool.close()


@pytest.mark.parametrize(
    "answer_text",
    [
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    ],
)
def test_what_is_no_answer(answer_text: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer_text)

    with server(behave, behave) as (url, _), pytest.raises(Unreachable):
        Pool(url, 1).request("GET", "/", 1)


def test_an_answer_that_ends_with_its_connection() -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    with server(behave, behave) as (url, _):
        pool = Pool(url, 1)
        for _ in range(2):
            assert pool.request("GET", "/", 1).body == b"all of it"
