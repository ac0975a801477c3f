"""What leaves this program by requests: unchanged, without memory of who was served before, and whole or an error."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from app.routing.http_client import Unreachable, create_session, send
from tests.sockets import CUT_ANSWERS, answers, server, silent, unused_url, whole

HI = whole(b"hi")


@pytest.mark.parametrize(
    "target",
    [
        "/object/u1/a%2Fb",
        "/object/u1/%41%7E%2E%2E/x",
        "/object/u1//a///b",
        "/object/u1/../b/./c",
        "/object/u1/%E5%9B%BE%20x.jpg?type=image&width=90",
        "/object/u1/a%25b%3Fc%23d?n=%2B+%20&m=a/b?c",
        "/object/u1/a;b=c,d@e:f!$&'()*+~",
        "/object/u1/x?X-Amz-Credential=root%2F20240101%2Fus-east-1&X-Amz-Signature=ab%3D",
    ],
)
def test_targets_arrive_byte_for_byte(target: str) -> None:
    with server(answers(HI)) as s, create_session() as session:
        assert send(session, "GET", s.url, target, (1, 1)).content == b"hi"
    assert s.targets() == [target]


@pytest.mark.parametrize(
    "target",
    [
        # Small hex digits, raw UTF-8 as WSGI gives it, and what no target may hold.
        "/object/u1/a%2fb%e5%9b%be",
        "/object/u1/" + "图.jpg".encode().decode("latin-1"),
        "/object/u1/100%/50%zz%2F%",
        '/object/u1/[a]|{b}^`"<c>\\',
        "/object/u1/a#b?c=d#e",
    ],
)
def test_other_targets_mean_the_same_name(target: str) -> None:
    with server(answers(HI)) as s, create_session() as session:
        send(session, "GET", s.url, target, (1, 1))
    (sent,) = s.targets()
    assert unquote_to_bytes(sent) == unquote_to_bytes(target.encode("latin-1"))
    # It ends where it ended: no stray `#` or space makes the server read less.
    assert not set(sent) & set('#[]|{}^`"<>\\ ')


def test_nothing_of_one_request_is_in_the_next() -> None:
    cookie = whole(b"hi", "Set-Cookie: OPENIM_INSTANCE=i1; Path=/", "Set-Cookie: s=secret; Path=/; Domain=127.0.0.1")
    with server(answers(cookie, HI)) as s, create_session() as session:
        send(session, "POST", s.url, "/object/a", (1, 1), b"x", {"token": "t1"})
        send(session, "POST", s.url, "/object/b", (1, 1), b"y", {})
        assert len(session.cookies) == 0
    assert s.connections == 1
    first, second = s.requests
    assert b"token: t1" in first
    assert b"cookie" not in second.lower()
    assert b"t1" not in second


def test_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password hidden\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with server(answers(HI)) as s, create_session() as session:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, unused_url())
        assert send(session, "GET", s.url, "/", (1, 1)).status_code == 200
    assert b"authorization" not in s.requests[0].lower()


def test_a_redirect_is_an_answer() -> None:
    away = whole(b"", "Location: http://127.0.0.1:1/x?X-Amz-Signature=1", status="302 Found")
    with server(answers(away)) as s, create_session() as session:
        answer = send(session, "GET", s.url, "/", (1, 1))
        assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.1:1/x?X-Amz-Signature=1")


def test_a_connection_is_kept_and_replaced_where_it_was_closed() -> None:
    with server(answers(HI, HI), answers(HI)) as s, create_session() as session:
        for _ in range(2):
            assert send(session, "POST", s.url, "/", (1, 1), b"x").content == b"hi"
        assert s.connections == 1
        assert send(session, "POST", s.url, "/", (1, 1), b"x").content == b"hi"
        assert s.connections == 2
    assert [request[-1:] for request in s.requests] == [b"x"] * 3


@pytest.mark.parametrize("text", CUT_ANSWERS.values(), ids=CUT_ANSWERS)
def test_an_answer_that_ends_early_is_asked_for_once_more_and_then_an_error(text: bytes) -> None:
    with server(answers(text), answers(HI)) as s, create_session() as session:
        assert send(session, "GET", s.url, "/", (1, 1)).content == b"hi"
    with server(answers(text)) as s, create_session() as session:
        with pytest.raises(Unreachable, match=r"^the connection was cut$"):
            send(session, "GET", s.url, "/", (1, 1))
        assert s.connections == 2


def test_silence_ends_in_time_and_is_not_asked_again() -> None:
    with server(silent) as s, create_session() as session:
        start = time.monotonic()
        with pytest.raises(Unreachable, match=r"^no answer in time$"):
            send(session, "GET", s.url, "/", (1, 0.3))
        assert time.monotonic() - start < 1
        assert s.connections == 1


@pytest.mark.parametrize(
    "text",
    [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n", b"HTTP/1.1 abc\r\n\r\n"],
    ids=["another protocol", "too many headers", "no status"],
)
def test_what_is_no_answer(text: bytes) -> None:
    with server(answers(text)) as s, create_session() as session, pytest.raises(Unreachable):
        send(session, "GET", s.url, "/", (1, 1))


def test_reasons_hold_no_url() -> None:
    with create_session() as session, pytest.raises(Unreachable) as e:
        send(session, "GET", unused_url(), "/bucket?X-Amz-Signature=abc", (1, 1))
    assert str(e.value) == "connection refused"
