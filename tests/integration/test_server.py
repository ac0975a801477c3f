"""Connections as gunicorn's worker handles them: slow, cut, many, idle; and a stop."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.stack import MinIONode, Process, Stack, running, started, wait_for


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode]) -> Iterator[Stack]:
    """One worker, which keeps unused connections for 3 s and has room for 300."""
    folder = tmp_path_factory.mktemp("server")
    settings = folder / "gunicorn.py"
    settings.write_text("keepalive = 3\nworkers = 1\nworker_connections = 300\n")
    made = Stack(folder / "s", nodes, {"i1": "m1"}, balancer=None)
    process = made.instances["i1"]
    made.instances["i1"] = Process([*process.command, "--settings", str(settings)], process.log, process.env)
    with running(made) as started:
        yield started


def connect(stack: Stack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stack.ports["i1"]), timeout=30)


REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def post(stack: Stack, body: bytes, *headers: bytes) -> bytes:
    """A request to part_size as it is on the wire."""
    lines = [b"POST /object/part_size HTTP/1.1", b"Host: x", b"operationID: wire", f"token: {stack.token()}".encode()]
    return b"\r\n".join([*lines, *headers, b"", body])


def read_answers(client: socket.socket, count: int) -> bytes:
    received = b""
    while received.count(b"HTTP/1.1 200") < count or not received.endswith(b"\r\n\r\nok\n"):
        part = client.recv(65536)
        if not part:
            break
        received += part
    return received


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def worker(stack: Stack) -> psutil.Process:
    (only,) = psutil.Process(stack.instances["i1"].pid).children()
    return only


def healthz(stack: Stack) -> float:
    """Seconds that a health check on a connection of its own takes; it must be answered."""
    start = time.monotonic()
    assert requests.get(f"{stack.instance_url('i1')}/healthz", timeout=30).text == "ok\n"
    return time.monotonic() - start


def test_200_clients_that_stop_in_the_middle_of_a_request_keep_nobody_waiting(stack: Stack) -> None:
    """In the request line, in the headers, in the body, in a chunk, and after `Expect: 100-continue`."""
    halves = [
        b"GET /hea",
        b"POST /object/part_size HTTP/1.1\r\nHost: x\r\nX-Half: ",
        post(stack, b'{"size":', b"Content-Length: 10"),
        post(stack, b'8\r\n{"si', b"Transfer-Encoding: chunked"),
        post(stack, b"", b"Content-Length: 10", b"Expect: 100-continue"),
        b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 700000\r\n\r\n" + b"x" * 100_000,
    ]
    clients = [connect(stack) for _ in range(200)]
    try:
        for number, client in enumerate(clients):
            client.sendall(halves[number % len(halves)])
        time.sleep(0.5)
        slowest = max(healthz(stack) for _ in range(20))
        assert slowest < 1, f"a health check took {slowest:.1f} s"
        assert stack.api(stack.instance_url("i1")).ok("part_size", {"size": 5})["size"] == 5 << 20
    finally:
        for client in clients:
            client.close()


def test_a_body_that_does_not_come_in_time_is_answered_408(stack: Stack) -> None:
    """By Content-Length, in chunks, and on a route without a token; within 20 s and a little."""
    requests_in_part = [
        post(stack, b'{"size":', b"Content-Length: 10"),
        post(stack, b'8\r\n{"si', b"Transfer-Encoding: chunked"),
        b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 700000\r\n\r\n" + b"x" * 1000,
    ]

    def answered(request: bytes) -> tuple[bytes, float]:
        with connect(stack) as client:
            client.sendall(request)
            start = time.monotonic()
            return read_all(client), time.monotonic() - start

    with ThreadPoolExecutor(len(requests_in_part)) as pool:
        for answer, seconds in pool.map(answered, requests_in_part):
            assert answer.startswith(b"HTTP/1.1 408 "), answer
            assert b'"errCode":1001' in answer
            assert 18 < seconds < 28


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        # What has come would be whole JSON.
        (b'{"size":5}', (b"Content-Length: 20",)),
        (b'{"size":', (b"Content-Length: 20",)),
        (b'a\r\n{"size":5}\r\n', (b"Transfer-Encoding: chunked",)),
        (b'a\r\n{"size":5', (b"Transfer-Encoding: chunked",)),
    ],
)
def test_a_body_that_ends_early_is_none(stack: Stack, body: bytes, headers: tuple[bytes, ...]) -> None:
    with connect(stack) as client:
        client.sendall(post(stack, body, *headers))
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)
    assert answer.split()[1] in (b"400", b"408"), answer
    assert b'"errCode":1001' in answer


@pytest.mark.parametrize(
    "request_on_the_wire",
    [
        (b'{"size":5}', b"Content-Length: 10"),
        # The end of the chunks stands in the data too.
        (b'17\r\n{"size":5, "x":"0\\r\\n"}\r\n0\r\n\r\n', b"Transfer-Encoding: chunked"),
        (b'9\r\n{"size":5\r\n1\r\n}\r\n0\r\nX-Trailer: 1\r\n\r\n', b"Transfer-Encoding: chunked"),
        (b'a;ext=1\r\n{"size":5}\r\n0\r\n\r\n', b"Transfer-Encoding: chunked"),
    ],
)
def test_forms_of_a_body(stack: Stack, request_on_the_wire: tuple[bytes, bytes]) -> None:
    body, *headers = request_on_the_wire
    with connect(stack) as client:
        client.sendall(post(stack, body, *headers, b"Connection: close"))
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert b'"size":5242880' in answer


def test_a_large_body_after_expect_100_continue(stack: Stack) -> None:
    body = b'{"size":5,"x":"' + b"x" * 600_000 + b'"}'
    headers = (f"Content-Length: {len(body)}".encode(), b"Expect: 100-continue", b"Connection: close")
    with connect(stack) as client:
        client.sendall(post(stack, b"", *headers))
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(body)
        assert b'"size":5242880' in read_all(client)


def test_more_unused_connections_than_threads(stack: Stack) -> None:
    clients = [connect(stack) for _ in range(100)]
    try:
        assert healthz(stack) < 1
        # Each of them works too, again and again.
        for _ in range(2):
            for client in clients:
                client.sendall(REQUEST)
                assert read_answers(client, 1).startswith(b"HTTP/1.1 200")
    finally:
        for client in clients:
            client.close()


def test_two_requests_at_once_on_one_connection(stack: Stack) -> None:
    with connect(stack) as client:
        client.sendall(REQUEST * 3)
        assert read_answers(client, 3).count(b"HTTP/1.1 200") == 3


def test_a_request_that_comes_in_pieces(stack: Stack) -> None:
    with connect(stack) as client:
        for part in (REQUEST[:5], REQUEST[5:20], REQUEST[20:]):
            client.sendall(part)
            time.sleep(0.2)
        assert read_answers(client, 1).startswith(b"HTTP/1.1 200")


def test_unused_connections_are_closed_in_time(stack: Stack) -> None:
    with connect(stack) as fresh, connect(stack) as used:
        used.sendall(REQUEST)
        assert read_answers(used, 1)
        start = time.monotonic()
        for client in (fresh, used):
            assert client.recv(10) == b""
        assert 2 < time.monotonic() - start < 7


def test_connections_that_clients_close_leave_nothing(stack: Stack) -> None:
    time.sleep(4)
    before = worker(stack).num_fds()
    for _ in range(40):
        with connect(stack) as client:
            client.sendall(REQUEST)
            read_answers(client, 1)
        connect(stack).close()
    wait_for("descriptors to be given back", lambda: worker(stack).num_fds() <= before + 1)


def test_more_connections_than_there_is_room_for(stack: Stack) -> None:
    clients = [connect(stack) for _ in range(330)]
    try:
        # The first ones are kept and served; the others wait in the kernel's queue until those are closed.
        clients[0].sendall(REQUEST)
        assert read_answers(clients[0], 1)
        for client in clients[:300]:
            client.close()
        clients[329].sendall(REQUEST)
        assert read_answers(clients[329], 1).startswith(b"HTTP/1.1 200")
    finally:
        for client in clients:
            client.close()


def test_a_stop_answers_what_runs_and_ends_soon_after(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    """With kept connections that nothing comes on, gunicorn alone would wait 30 s."""
    made = Stack(tmp_path / "s", nodes, {"i1": "m1"}, balancer=None)
    with running(made):
        idle = [connect(made) for _ in range(5)]
        answers: list[Any] = []

        def slow_body() -> Iterator[bytes]:
            yield b'{"size":'
            time.sleep(4)
            yield b" 5}"

        def call() -> None:
            headers = {"token": made.token(), "operationID": "drain"}
            url = f"{made.instance_url('i1')}/object/part_size"
            answers.append(requests.post(url, data=slow_body(), headers=headers, timeout=20))

        thread = threading.Thread(target=call)
        thread.start()
        time.sleep(1)
        process = made.instances["i1"]
        start = time.monotonic()
        process.signal(signal.SIGTERM)
        assert process.child is not None
        assert process.child.wait(30) == 0
        # 3 s of the request, 2 s for one that may be on its way, and a little.
        assert 3 < time.monotonic() - start < 9
        thread.join(20)
        assert answers[0].json()["data"] == {"size": 5 << 20}
        log = process.log.read_text()
        assert "Worker exiting" in log
        # Python's word for a line that could not be written.
        assert "Logging error" not in log
        for client in idle:
            client.close()


def test_views_that_hang_keep_neither_uploads_nor_checks_waiting(tmp_path: Path) -> None:
    node = MinIONode("m1", tmp_path / "m1")

    def one_view(document: dict[str, Any]) -> None:
        document["server"] = {"workers": 1, "views": 1}

    made = Stack(tmp_path / "s", {"m1": node}, {"i1": "m1"}, one_view, balancer=None)
    with started({"m1": node}), running(made):
        api = made.api(made.instance_url("i1"))
        urls = [api.upload(b"GIF89a" + bytes([n]) * 50, f"u1/hangs{n}") for n in range(4)]
        views = [url.replace(made.url, made.instance_url("i1")) + "?type=image" for url in urls]
        node.process.signal(signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(4) as pool:
                hanging = [pool.submit(requests.get, view, timeout=60, allow_redirects=False) for view in views[:2]]
                hanging += [pool.submit(requests.head, view, timeout=60) for view in views[2:]]
                time.sleep(0.5)
                assert not any(view.done() for view in hanging)
                assert healthz(made) < 1
                assert made.api(made.instance_url("i1")).ok("part_limit", {})
                assert requests.get(f"{made.instance_url('i1')}/readyz", timeout=60).status_code in (200, 503)
                node.process.signal(signal.SIGCONT)
                assert {view.result().status_code for view in hanging} <= {302, 503}
        finally:
            node.process.signal(signal.SIGCONT)


def test_a_locked_database_keeps_neither_checks_nor_views_waiting(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    """SQLite waits for the lock in C, which would stop every greenlet of the worker."""

    def one_worker(document: dict[str, Any]) -> None:
        document["server"] = {"workers": 1}

    made = Stack(tmp_path / "s", nodes, {"i1": "m1"}, one_worker, balancer=None)
    with running(made):
        api = made.api(made.instance_url("i1"))
        shown = api.upload(os.urandom(100), "u1/shown").replace(made.url, made.instance_url("i1"))
        contents = [os.urandom(100) for _ in range(20)]
        begun = [api.initiate(content, f"u1/locked{n}") for n, content in enumerate(contents)]
        for content, upload in zip(contents, begun, strict=True):
            api.put(content, upload)

        def complete(n: int) -> Any:
            body = api.complete_body(contents[n], begun[n]["upload"]["uploadID"], f"u1/locked{n}")
            return made.api(made.instance_url("i1")).ok("complete_multipart_upload", body)

        lock = sqlite3.connect(made.folder / "data/records.db", isolation_level=None, check_same_thread=False)
        lock.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(20) as pool:
            completions = [pool.submit(complete, n) for n in range(20)]
            end = time.monotonic() + 3
            checks = 0
            while time.monotonic() < end:
                assert healthz(made) < 1
                assert requests.head(shown, timeout=5).status_code == 302
                checks += 1
            assert checks > 5
            assert not any(completion.done() for completion in completions)
            lock.execute("ROLLBACK")
            assert all(completion.result()["url"] for completion in completions)
        lock.close()
