"""Several endpoints of one node: which one a call goes to."""

from __future__ import annotations

import io

import pytest
import urllib3

from app.core.errors import NetworkError
from tests.servers import ANSWER, answers, cut, server, silent
from tests.stack import free_port
from tests.unit.storage.nodes import node

HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\nETag: "e"\r\n\r\n'


def test_a_refused_connection_goes_on_to_the_next_and_stays_there() -> None:
    with server(answers(HEAD), answers(ANSWER)) as second:
        c1 = node(f"http://127.0.0.1:{free_port()}", second.url)
        assert c1.stat("k") is not None
        assert c1.endpoints[0].down == "connection refused"
        assert c1.availability.down_since is None
        assert c1.stat("k") is not None
        # The stream's connections are others.
        assert c1.write("k", io.BytesIO(b"12"), 2, "") == "e"
        c1.close()


def test_each_endpoint_is_signed_for_itself() -> None:
    seen: list[bytes] = []
    with server(answers(HEAD, ANSWER, seen=seen)) as second:
        c1 = node(f"http://127.0.0.1:{free_port()}", second.url)
        c1.stat("k")
        c1.put_once("k", b"x", "a/b")
        c1.close()
        assert all(f"127.0.0.1:{second.port}".encode() in request for request in seen)
    assert len(seen) == 2


def test_silence_is_raised_and_the_next_call_goes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent may have been done."""
    monkeypatch.setattr("app.storage.endpoints.CALL_TIMEOUT", urllib3.Timeout(connect=1, read=0.3))
    with server(silent) as first, server(answers(HEAD)) as second:
        c1 = node(first.url, second.url)
        with pytest.raises(NetworkError, match=r"an endpoint of MinIO node m1 does not answer \(no answer in time\)"):
            c1.stat("k")
        assert second.connections == 0
        assert c1.availability.down_since is None
        assert c1.stat("k") is not None
        assert (first.connections, second.connections) == (1, 1)
        c1.close()


def test_a_cut_connection_is_repeated_at_the_same_endpoint_and_then_raised() -> None:
    with server(cut) as first, server(answers(HEAD)) as second:
        c1 = node(first.url, second.url)
        with pytest.raises(NetworkError, match="cut"):
            c1.stat("k")
        assert (first.connections, second.connections) == (2, 0)
        assert c1.stat("k") is not None
        c1.close()


def test_the_node_is_down_when_none_answers_and_up_when_one_does() -> None:
    ports = [free_port(), free_port()]
    c1 = node(*(f"http://127.0.0.1:{port}" for port in ports))
    with pytest.raises(NetworkError, match="m1 does not answer"):
        c1.stat("k")
    assert c1.availability.down_since is not None
    with server(answers(HEAD), port=ports[1]):
        assert c1.probe() < 1
        assert (c1.endpoints[0].down, c1.endpoints[1].down) == ("connection refused", None)
        assert c1.ready
        assert c1.stat("k") is not None
    c1.close()


def test_a_stream_goes_on_only_where_nothing_was_read_of_it() -> None:
    with server(cut) as first, server(answers(ANSWER)) as second:
        c1 = node(first.url, second.url)
        with pytest.raises(NetworkError, match="cut"):
            c1.write("k", io.BytesIO(b"12"), 2, "")
        assert second.connections == 0
        c1.close()
