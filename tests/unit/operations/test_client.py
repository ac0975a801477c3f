"""The upload client against answers that end early: each is an error that says at which step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.operations.client import Client, ClientError
from app.operations.recovery import Patience
from tests.sockets import CUT_ANSWERS, answers, server, whole


def client(url: str) -> Client:
    return Client(url, "token", patience=Patience(0))


@pytest.mark.parametrize("text", [*CUT_ANSWERS.values(), whole(b"all of it")[:-1]])
def test_a_download_that_is_cut(text: bytes) -> None:
    with server(answers(text)) as s, pytest.raises(ClientError, match=r"GET http.*: no answer \(the connection was cut\)"):
        client(s.url).download(f"{s.url}/object/u1/a")


def test_a_whole_download_of_each_kind() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nall of\r\n3\r\n it\r\n0\r\n\r\n"
    until_closed = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"
    for text in (whole(b"all of it"), chunked, until_closed):
        with server(answers(text)) as s:
            assert client(s.url).download(f"{s.url}/object/u1/a") == b"all of it"


@pytest.mark.parametrize("text", CUT_ANSWERS.values(), ids=CUT_ANSWERS)
def test_an_answer_of_the_api_that_is_cut(text: bytes) -> None:
    with server(answers(text)) as s, pytest.raises(ClientError, match=r"^part_size: "):
        client(s.url).call("part_size", {"size": 1})


def envelope(data: Any) -> bytes:
    return whole(json.dumps({"errCode": 0, "errMsg": "", "errDlt": "", "data": data}).encode())


@pytest.mark.parametrize("text", [CUT_ANSWERS["no byte"], CUT_ANSWERS["body"], CUT_ANSWERS["chunks"]])
def test_a_part_whose_answer_is_cut(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"content")
    with server(answers(text)) as node:
        part = {"partNumber": 1, "url": f"{node.url}/openim/key?X-Amz-Signature=abc", "header": []}
        upload = {"uploadID": "U", "sign": {"parts": [part]}}
        steps = [envelope({"size": 5 << 20}), envelope({"url": "", "upload": upload})]
        with server(answers(*steps)) as api, pytest.raises(ClientError, match=r"^PUT of part 1: no answer") as e:
            client(api.url).upload(file, "u1/a", "text/plain")
    assert "the connection was cut" in str(e.value)
    assert "Signature" not in str(e.value)
    assert node.requests[0].endswith(b"\r\n\r\ncontent")


def test_one_cut_at_each_step_ends_nothing(tmp_path: Path) -> None:
    """The PUT whose answer was cut has come through: the object is there."""
    file = tmp_path / "a"
    file.write_bytes(b"content")
    cut = answers(b"")
    busy = answers(whole(b'{"errCode": 90004, "errMsg": "NetworkError", "errDlt": "m1"}', status="503 Service Unavailable"))
    with server(cut, answers(whole(b"", status="412 Precondition Failed"))) as node:
        part = {"partNumber": 1, "url": f"{node.url}/openim/key?X-Amz-Signature=abc", "header": []}
        upload = {"uploadID": "U", "sign": {"parts": [part]}}
        done = envelope({"url": "http://x/object/u1/a"})
        steps = [envelope({"size": 5 << 20}), envelope({"url": "", "upload": upload}), done]
        ways = [way for step in steps for way in (cut, busy, answers(step))]
        with server(*ways) as api:
            assert client(api.url).upload(file, "u1/a", "text/plain") == ("http://x/object/u1/a", False)
        assert len(node.requests) == 2
    with server(cut, answers(whole(b"", status="503 Busy")), answers(whole(b"all"))) as s:
        assert client(s.url).download(f"{s.url}/object/u1/a") == b"all"
