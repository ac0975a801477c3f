"""Handing a request to another instance: which answers count, what goes along, and that it ends in time."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app.auth.sealing import Sealer
from app.core.errors import NetworkError
from app.routing import forwarding
from app.routing.forwarding import MARK_HEADER, Answer, Forwarder
from tests.sockets import CUT_ANSWERS, Behaviour, Server, answers, dripping, server, silent, unused_url, whole
from tests.unit.routing.forward_under_gevent import owners

REPO = Path(__file__).resolve().parents[3]

SEALER = Sealer(["secret"])
GOOD = whole(b'{"errCode":0}', "Content-Type: application/json", "X-Other: 1")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(forwarding, "TOTAL_TIMEOUT", 1.0)
    yield


def forward(*urls: str, forwarder: Forwarder | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    used = forwarder or Forwarder("i9", SEALER, 3)
    return used.forward("m1", owners(*urls), "/object/auth_sign", (headers or {}).get, b"{}")


@pytest.mark.parametrize("text", CUT_ANSWERS.values(), ids=CUT_ANSWERS)
def test_a_cut_answer_is_none_and_the_next_owner_is_asked(text: bytes) -> None:
    with server(answers(text)) as cutting, server(answers(GOOD)) as sound:
        answer = forward(cutting.url, sound.url)
        assert (answer.instance, answer.status, answer.body) == ("i2", 200, b'{"errCode":0}')
        with pytest.raises(NetworkError, match=r"m1, .*i1 \(the connection was cut\)$") as e:
            forward(cutting.url)
    assert e.value.post_status == 503


def test_each_failure_is_named() -> None:
    busy = whole(b"", status="503 Service Unavailable")
    with server(answers(busy)) as a, pytest.raises(NetworkError) as e:
        forward(a.url, unused_url())
    assert e.value.detail.endswith("i1 (HTTP 503), i2 (connection refused)")
    with pytest.raises(NetworkError, match="none is configured"):
        forward()


def dripping_headers(connection: socket.socket, requests: list[bytes]) -> None:
    """Begins to answer, a byte of the headers every tenth of a second."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("behave", [silent, dripping, dripping_headers])
def test_all_tries_together_end_in_time(behave: Behaviour) -> None:
    """Also where each byte comes in time, and the answer never ends: in a process of gevent's sockets, as a worker is."""
    script = [sys.executable, "-m", "gevent.monkey", "--module", "tests.unit.routing.forward_under_gevent"]
    with server(behave) as slow, server(answers(GOOD)) as sound:
        done = subprocess.run(
            [*script, slow.url, sound.url], capture_output=True, text=True, check=False, cwd=REPO, timeout=30
        )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert 0.9 < seen["seconds"] < 1.5
    assert seen["detail"].endswith("i1 (no answer in time), i2 (not asked: out of time)")


def test_what_goes_along() -> None:
    headers = {"token": "t", "operationID": "\xa0nbsp \xe5\x9b\xbe", "Content-Type": "text/json", "Cookie": "c", "Host": "h"}
    with server(answers(GOOD)) as s:
        forward(s.url, headers=headers)
    (request,) = s.requests
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines[0] == b"POST /object/auth_sign HTTP/1.1"
    sent = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines[1:])}
    assert sent[b"token"] == b"t"
    assert sent[b"operationid"] == b"\xa0nbsp \xe5\x9b\xbe"
    assert sent[b"content-type"] == b"text/json"
    assert sent[b"host"] == s.url.removeprefix("http://").encode()
    assert SEALER.forwarded_by(sent[MARK_HEADER.lower().encode()].decode()) == "i9"
    assert set(sent) <= {
        b"token", b"operationid", b"content-type", b"host", b"content-length", b"user-agent", b"accept-encoding",
        MARK_HEADER.lower().encode(),
    }  # fmt: skip
    assert request.endswith(b"\r\n\r\n{}")


def test_headers_that_come_back() -> None:
    text = whole(
        b"", "Set-Cookie: a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT", "Cache-Control: no-cache", "Set-Cookie: b=2",
        "X-Accel-Expires: 9", "Location: /x", "Server: other", status="302 Found",
    )  # fmt: skip
    with server(answers(text)) as s:
        answer = forward(s.url)
    assert answer.status == 302
    assert answer.headers == [
        ("Set-Cookie", "a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT"),
        ("Set-Cookie", "b=2"),
        ("Location", "/x"),
        ("X-Accel-Expires", "9"),
        ("Cache-Control", "no-cache"),
    ]


def test_one_clients_cookie_is_not_sent_for_the_next() -> None:
    forwarder = Forwarder("i9", SEALER, 1)
    cookie = whole(b"{}", "Set-Cookie: OPENIM_INSTANCE=i1; Path=/")

    def twice(s: Server) -> None:
        assert forward(s.url, forwarder=forwarder).headers == [("Set-Cookie", "OPENIM_INSTANCE=i1; Path=/")]
        forward(s.url, forwarder=forwarder)

    with server(answers(cookie, GOOD)) as s:
        twice(s)
    assert s.connections == 1
    assert b"OPENIM_INSTANCE" not in b"".join(s.requests)
