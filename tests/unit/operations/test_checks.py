"""What `check` says of answers that a real server cannot be made to give: cut ones, and clocks in summer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config.load import parse
from app.config.models import Deployment
from app.operations.checks import FAULT, OK, WARNING, Check
from app.operations.checks.addresses import check_sign_endpoint
from app.operations.checks.instance import check_instance
from app.operations.checks.node import check_node
from tests.sockets import CUT_ANSWERS, answers, server, whole

READY = whole(b'{"instance":"i1","node":"m1","reason":""}')


def deployment(instance_url: str = "http://127.0.0.1:3", **node: str) -> Deployment:
    keys = {"endpoint": "http://127.0.0.1:2", "access_key": "k", "secret_key": "hidden-value"}
    document = {
        "public_url": "http://127.0.0.1:1",
        "auth": {"secret": "s3cr3t-value"},
        "nodes": {"m1": {**keys, **node}},
        "instances": {"i1": {"node": "m1", "bind": "127.0.0.1:3", "url": instance_url}},
    }
    return parse(yaml.safe_dump(document), {}, Path("/"))


def instance(*texts: bytes) -> Check:
    with server(*(answers(text) for text in texts)) as s:
        return check_instance(deployment(s.url).instances["i1"])


def test_an_instance_whose_answer_is_cut() -> None:
    assert instance(READY).result == OK
    for text in (*CUT_ANSWERS.values(), READY[:-1]):
        found = instance(text)
        assert (found.result, found.name) == (FAULT, "ready")
        assert found.detail.startswith("the connection was cut at http://127.0.0.1:")


CONTENT = b"openim-direct check"
DONE = whole(b"")
CUT_SEQUENCES = [
    *([answers(text)] for text in CUT_ANSWERS.values()),
    # Of the GET; it is asked once more, on a new connection.
    *([answers(DONE, text), answers(text)] for text in (*CUT_ANSWERS.values(), whole(CONTENT)[:-1])),
]


@pytest.mark.parametrize("cut", CUT_SEQUENCES)
def test_a_sign_endpoint_whose_answers_are_cut(cut: list[Any]) -> None:
    # The first connection is the look whether anything listens.
    with server(answers(), *cut) as s:
        found = check_sign_endpoint("nodes.m1", deployment(sign_endpoint=s.url).nodes["m1"])
    assert (found.result, found.detail) == (
        FAULT,
        "the connection was cut; this is the address that clients send parts to",
    )


def test_a_sign_endpoint_gets_the_url_as_it_was_signed_and_the_object_is_removed() -> None:
    gone = b"HTTP/1.1 204 No Content\r\n\r\n"
    with server(answers(), answers(DONE, whole(CONTENT), gone)) as s:
        config = deployment(sign_endpoint=f"{s.url}/s3/m1", session_token="a/b+c=d").nodes["m1"]
        found = check_sign_endpoint("nodes.m1", config)
    assert (found.result, found.detail) == (OK, "")
    assert s.connections == 2
    assert [request.split(b" ")[0] for request in s.requests] == [b"PUT", b"GET", b"DELETE"]
    for target in s.targets():
        assert target.startswith("/s3/m1/openim/openim/probe/")
        assert "X-Amz-Security-Token=a%2Fb%2Bc%3Dd" in target
        assert "X-Amz-Signature=" in target
    with server(answers(), answers(DONE, whole(b"other"), gone)) as s:
        found = check_sign_endpoint("nodes.m1", deployment(sign_endpoint=s.url).nodes["m1"])
    assert (found.result, found.detail) == (FAULT, "a signed PUT works, and a GET of it answers HTTP 200")


class NodeWithClock:
    """Answers with a date, and refuses the rest."""

    write_once = True

    def __init__(self, date: str) -> None:
        self._date = date

    def diagnose(self) -> tuple[str, str]:
        return "SignatureDoesNotMatch", self._date


@pytest.fixture
def summer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone with summer time all year round, as far as this machine knows."""
    monkeypatch.setenv("TZ", "AAA0BBB-1,J1/0,J365/23")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("summer")
@pytest.mark.parametrize(
    ("date", "result", "words"),
    [
        (lambda: formatdate(usegmt=True), OK, ""),
        (lambda: formatdate(time.time() + 150, usegmt=True), WARNING, "differs by 1"),
        (lambda: formatdate(time.time() - 900, usegmt=True), FAULT, "differs by 90"),
        (lambda: "", WARNING, "does not say its time"),
        (lambda: "yesterday", WARNING, "cannot be read"),
    ],
)
def test_the_clock(date: Any, result: str, words: str) -> None:
    with server(answers()) as s:
        whole_deployment = deployment(endpoint=s.url)
        found = list(check_node(whole_deployment.nodes["m1"], NodeWithClock(date()), whole_deployment))  # type: ignore[arg-type]
    (clock,) = [check for check in found if check.name == "clock"]
    assert clock.result == result
    assert words in clock.detail
    (credentials,) = [check for check in found if check.name == "credentials"]
    assert credentials.detail == "the secret_key is wrong"
