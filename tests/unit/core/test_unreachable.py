"""Failures of real connections, by both HTTP clients, in the same words."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
import urllib3

from app.core.unreachable import reason


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does one thing with each connection, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        threading.Thread(target=run, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def by_requests(url: str) -> str:
    with pytest.raises(requests.RequestException) as e:
        requests.get(url, timeout=(0.3, 0.3))
    return reason(e.value)


def by_urllib3(url: str) -> str:
    timeout = urllib3.Timeout(connect=0.3, read=0.3)
    with pytest.raises((urllib3.exceptions.HTTPError, OSError)) as e, urllib3.PoolManager(retries=False) as pool:
        pool.request("GET", url, timeout=timeout)
    return reason(e.value)


def read_request(connection: socket.socket) -> None:
    connection.recv(65536)


def never(connection: socket.socket) -> None:
    read_request(connection)
    connection.recv(1)


def cut(connection: socket.socket) -> None:
    read_request(connection)


def half(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


def half_of_chunks(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")


@pytest.mark.parametrize("ask", [by_requests, by_urllib3])
def test_real_failures_have_a_reason(ask: Callable[[str], str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert ask(f"http://127.0.0.1:{unused.getsockname()[1]}/") == "connection refused"
    with server(never) as port:
        assert ask(f"http://127.0.0.1:{port}/?X-Amz-Signature=abc") == "no answer in time"
    for way in (cut, half, half_of_chunks):
        with server(way) as port:
            assert ask(f"http://127.0.0.1:{port}/") == "the connection was cut", way.__name__
    with server(cut) as port:
        assert ask(f"https://127.0.0.1:{port}/").startswith(("TLS failed", "the connection was cut"))
    assert ask("http://no-such-host.invalid/") == "its host name does not resolve"


def test_the_reason_of_a_certificate_says_what_is_wrong_with_it() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    assert reason(urllib3.exceptions.SSLError(error)) == "its TLS certificate is not trusted: self-signed certificate"
