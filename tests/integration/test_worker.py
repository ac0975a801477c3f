"""The worker's own handling of connections."""

from __future__ import annotations

import signal
import socket
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
    """One worker of two threads, which keeps unused connections for 3 s and has room for 60."""
    folder = tmp_path_factory.mktemp("worker")
    settings = folder / "gunicorn.py"
    settings.write_text("keepalive = 3\nworkers = 1\nthreads = 2\nworker_connections = 60\n")
    made = Stack(folder / "s", nodes, {"i1": "m1"}, balancer=None)
    process = made.instances["i1"]
    made.instances["i1"] = Process([*process.command, "--settings", str(settings)], process.log, process.env)
    with running(made) as started:
        yield started


def connect(stack: Stack) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stack.ports["i1"]), timeout=10)


REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def read_answers(client: socket.socket, count: int) -> bytes:
    received = b""
    while received.count(b"HTTP/1.1 200") < count or not received.endswith(b"\r\n\r\nok\n"):
        part = client.recv(65536)
        if not part:
            break
        received += part
    return received


def descriptors(stack: Stack) -> int:
    (worker,) = psutil.Process(stack.instances["i1"].pid).children()
    return worker.num_fds()


def test_more_unused_connections_than_threads(stack: Stack) -> None:
    clients = [connect(stack) for _ in range(30)]
    try:
        for _ in range(5):
            assert requests.get(f"{stack.instance_url('i1')}/healthz", timeout=5).status_code == 200
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
            client.settimeout(10)
            assert client.recv(10) == b""
        assert 2 < time.monotonic() - start < 7


def test_connections_that_clients_close_leave_nothing(stack: Stack) -> None:
    wait_for("a quiet worker", lambda: len(psutil.Process(stack.instances["i1"].pid).children()) == 1)
    time.sleep(4)
    before = descriptors(stack)
    for _ in range(40):
        with connect(stack) as client:
            client.sendall(REQUEST)
            read_answers(client, 1)
        connect(stack).close()
    wait_for("descriptors to be given back", lambda: descriptors(stack) <= before + 1)


def test_more_connections_than_there_is_room_for(stack: Stack) -> None:
    clients = [connect(stack) for _ in range(90)]
    try:
        # The first ones are kept and served; the others wait in the backlog until those are closed.
        clients[0].sendall(REQUEST)
        assert read_answers(clients[0], 1)
        for client in clients[:60]:
            client.close()
        clients[89].sendall(REQUEST)
        assert read_answers(clients[89], 1).startswith(b"HTTP/1.1 200")
    finally:
        for client in clients:
            client.close()


def test_a_stop_answers_what_runs_and_ends_at_once(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    made = Stack(tmp_path / "s", nodes, {"i1": "m1"}, balancer=None)
    made.start()
    idle = [socket.create_connection(("127.0.0.1", made.ports["i1"]), timeout=10) for _ in range(5)]
    try:
        start = time.monotonic()
        made.stop()
        # Unused connections are kept for 2 s, for requests that may be on their way.
        assert time.monotonic() - start < 8
    finally:
        for client in idle:
            client.close()


def test_views_that_hang_keep_neither_uploads_nor_checks_waiting(tmp_path: Path) -> None:
    """Of two threads, views take one."""
    node = MinIONode("m1", tmp_path / "m1")

    def two_threads(document: dict[str, Any]) -> None:
        document["server"] = {"workers": 1, "threads": 2}

    made = Stack(tmp_path / "s", {"m1": node}, {"i1": "m1"}, two_threads, balancer=None)
    with started({"m1": node}), running(made):
        api = made.api(made.instance_url("i1"))
        urls = [api.upload(b"BM" + bytes([n]) * 50, f"u1/hangs{n}") for n in range(4)]
        views = [url.replace(made.url, made.instance_url("i1")) + "?type=image" for url in urls]
        node.process.signal(signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(4) as pool:
                hanging = [pool.submit(requests.get, view, timeout=60, allow_redirects=False) for view in views[:2]]
                hanging += [pool.submit(requests.head, view, timeout=60) for view in views[2:]]
                time.sleep(0.5)
                # In turn, on connections of their own: each of them would be the second of two that hang.
                assert requests.get(f"{made.instance_url('i1')}/healthz", timeout=60).status_code == 200
                assert made.api(made.instance_url("i1")).ok("part_limit", {})
                assert requests.get(f"{made.instance_url('i1')}/readyz", timeout=60).status_code in (200, 503)
                assert not any(view.done() for view in hanging)
                node.process.signal(signal.SIGCONT)
                assert {view.result().status_code for view in hanging} <= {302, 503}
        finally:
            node.process.signal(signal.SIGCONT)
