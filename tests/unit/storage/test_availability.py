"""Down and up of a node, on a server that comes and goes."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from app.core.errors import NetworkError
from app.storage import availability
from app.storage.availability import Availability
from app.storage.monitor import Monitor
from tests.servers import answers, cut, read_request, server
from tests.stack import free_port, wait_for
from tests.unit.storage.nodes import node

HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\nETag: "e"\r\n\r\n'


def test_without_a_monitor_a_call_tries_again_after_a_second_and_its_answer_clears() -> None:
    """So a command whose connection is cut goes on."""
    with server(cut, cut, answers(HEAD)) as storage:
        m1 = node(storage.url)
        with pytest.raises(NetworkError, match="cut"):
            m1.stat("k")
        assert m1.availability.down_since is not None
        start = time.monotonic()
        assert m1.stat("k") is not None
        assert 0.9 < time.monotonic() - start < 3
        assert m1.availability.down_since is None
        start = time.monotonic()
        assert m1.stat("k") is not None
        assert time.monotonic() - start < 0.5
        m1.close()


def test_a_refusal_is_an_answer_too() -> None:
    with server(cut, cut, answers(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as storage:
        m1 = node(storage.url)
        with pytest.raises(NetworkError):
            m1.stat("k")
        assert m1.stat("k") is None
        assert m1.availability.down_since is None
        m1.close()


def test_one_call_at_a_time_tries_and_the_others_go_on_after_it() -> None:
    trying: list[str] = []
    most = 0
    down = Availability("m1", "http://h")
    down.failed("connection refused")

    def attempt(number: int) -> None:
        nonlocal most
        with down.attempt():
            trying.append(f"{number}")
            most = max(most, len(trying))
            time.sleep(0.05)
            down.answered()
            trying.pop()

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(5)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == 1
    # Only the first one waits: the others find the node up.
    assert time.monotonic() - start < 2


def test_a_node_that_stays_down_is_tried_once_a_second_and_no_longer_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "PATIENCE", 0.0)
    monkeypatch.setattr(availability, "RETRY_AFTER", 0.3)
    down = Availability("m1", "http://h")
    down.failed("connection refused")
    start = time.monotonic()
    with pytest.raises(NetworkError, match=r"has not answered for .* \(connection refused\)"), down.attempt():
        pass
    assert time.monotonic() - start < 0.2
    time.sleep(0.35)
    with down.attempt():
        # Another one meanwhile.
        with pytest.raises(NetworkError), down.attempt():
            pass
        down.failed("no answer in time")
    with pytest.raises(NetworkError, match="no answer in time"), down.attempt():
        pass
    # The turn was given back.
    time.sleep(0.35)
    with down.attempt():
        down.answered()
    assert down.down_since is None


def test_the_turn_is_given_back_by_a_try_that_raises() -> None:
    down = Availability("m1", "http://h")
    for _ in range(2):
        down.failed("cut")
        with pytest.raises(KeyError), down.attempt():
            raise KeyError


def test_while_a_monitor_runs_calls_fail_at_once_until_a_probe_is_answered() -> None:
    port = free_port()
    m1 = node(f"http://127.0.0.1:{port}")
    monitor = Monitor("i1", m1, own=False)
    monitor.start()
    try:
        wait_for("the first probe", lambda: m1.availability.down_since is not None)
        start = time.monotonic()
        for _ in range(20):
            with pytest.raises(NetworkError, match=r"has not answered for .* \(connection refused\)"):
                m1.stat("k")
        assert time.monotonic() - start < 0.5
        assert not m1.ready
        assert not monitor.readiness().ready
        with server(answers(HEAD), port=port) as storage:
            # No call touches the network before a probe.
            with pytest.raises(NetworkError):
                m1.stat("k")
            assert storage.connections == 0
            monitor.probe()
            assert m1.ready
            assert monitor.readiness().ready
            assert m1.stat("k") is not None
    finally:
        monitor.stop()
        m1.close()
    assert not m1.availability.watched


def test_a_call_that_was_under_way_does_not_speak_for_the_probe() -> None:
    """It may have been answered before the node went down."""

    def goes_down_meanwhile(connection: socket.socket) -> None:
        read_request(connection)
        m1.availability.failed("no answer in time")
        connection.sendall(HEAD)

    with server(goes_down_meanwhile) as storage:
        m1 = node(storage.url)
        m1.availability.watched = True
        assert m1.stat("k") is not None
        assert m1.availability.down_since is not None
        m1.close()
