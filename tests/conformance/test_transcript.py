"""Every recorded exchange of a real v3.4.0 server about `/object/`, replayed in order against this one.

HTTP status, headers, errCode, errMsg, and the keys and types of `data` are equal, but for DIFFERENCES. What the recording
did to the storage between two exchanges (PUTs to signed URLs) is done here at the same places.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from tests.databases import Redis
from tests.stack import SECRET, MinIONode, Stack, put_part, running, same

pytestmark = pytest.mark.integration

TRANSCRIPT = json.loads((Path(__file__).parent / "v3.4.0-transcript.json").read_text())
EXCHANGES = [e for e in TRANSCRIPT if "request" in e and e["request"]["path"].startswith("/object/")]

_BLOCK = bytes(range(256)) * 20480
BIG_PARTS = [_BLOCK, _BLOCK, b"tail"]

OWN_URLS = "each part has a signed URL that works as long as the upload; v3.4.0 signs headers that die after 15 minutes"
NEVER_NULL = "sign.parts and sign are never null: JavaScript clients slice by it, the Go SDK crashes"

#: Exchange to (what is compared instead, why). A shape is a status, an errCode and the types of data.
DIFFERENCES: dict[str, tuple[dict[str, Any], str]] = {
    "auth_sign presigned": (
        {"errCode": 0},
        "a small file's one part can be signed again, so that an interrupted upload of it can be resumed",
    ),
    "head": ({"status": 302}, "HEAD is redirected to a URL signed for HEAD; v3.4.0 answers 404 to what GET finds"),
    "initiate multipart": ({"data": "Sign"}, OWN_URLS),
    "initiate multipart maxParts=1": ({"data": "Sign"}, OWN_URLS),
    "initiate multipart maxParts=0": ({"data": "Sign"}, NEVER_NULL),
    "auth_sign": ({"data": "Sign"}, OWN_URLS),
    "auth_sign empty": ({"data": "Sign"}, OWN_URLS + "; " + NEVER_NULL),
    "auth_sign 0": ({"errCode": 1001}, "part 0 does not exist: the storage would refuse what v3.4.0 signs here"),
    "auth_sign 10001": ({"errCode": 1001}, "as above"),
}
#: States as the recording had set them; all others are normal.
STATES = {"kicked": 2, "odd state": 7}
NOW = int(time.time())
#: A small file's part carries If-None-Match, so that its signed URL takes one PUT and no other after it.
HEADER_LISTS = ("data.upload.sign.parts[].header", "data.parts[].header")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One node, one instance, as in the recording; returned URLs begin as they did there."""
    folder = tmp_path_factory.mktemp("conformance")
    node, redis = MinIONode("m1", folder / "m1"), Redis(folder / "redis")
    node.start()

    def change(document: dict[str, Any]) -> None:
        document["public_url"] = "http://127.0.0.1:10002"
        document["auth"]["redis"] = redis.url

    try:
        redis.start()
        for title in {e["title"] for e in EXCHANGES} - {"unregistered"}:
            token = _token(title)
            if "." in token:
                user = jwt.decode(token, options={"verify_signature": False})["UserID"]
                redis.set_state(user, token, STATES.get(title, 0))
        node.wait()
        with running(Stack(folder, {"m1": node}, {"i1": "m1"}, change, balancer=None)) as stack:
            yield stack
    finally:
        redis.stop()
        node.process.stop()


@pytest.fixture(scope="module")
def replayed(deployment: Stack) -> dict[str, tuple[dict[str, Any], requests.Response]]:
    """Title to the recorded exchange and today's answer."""
    ids: dict[str, str] = {}
    answers: dict[str, tuple[dict[str, Any], requests.Response]] = {}
    for exchange in EXCHANGES:
        title = exchange["title"]
        if title == "complete wrong content":
            part = answers["initiate small"][1].json()["data"]["upload"]["sign"]["parts"][0]
            assert put_part(part, b"wrong").status_code == 200
        if title == "complete ok":
            part = answers["initiate small again"][1].json()["data"]["upload"]["sign"]["parts"][0]
            assert put_part(part, b"hello").status_code == 200
        if title == "complete multipart ok":
            for part in answers["initiate multipart"][1].json()["data"]["upload"]["sign"]["parts"]:
                assert put_part(part, BIG_PARTS[part["partNumber"] - 1]).status_code == 200
        answer = _send(deployment, exchange, ids)
        answers[title] = (exchange, answer)
        recorded = _upload_id(exchange["response"]["body"])
        if recorded is not None:
            ours = _upload_id(answer.json())
            assert ours is not None, f"{title}: {answer.text}"
            ids[recorded] = ours
    assert len(answers) == len(EXCHANGES), "two exchanges have one title"
    return answers


def _upload_id(body: Any) -> str | None:
    upload = (body.get("data") or {}).get("upload") if isinstance(body, dict) else None
    return upload["uploadID"] if upload else None


def _token(title: str) -> str:
    # A token of its own for each title, the same at each call.
    now = NOW + sum(title.encode())
    claims = {"UserID": "u1", "PlatformID": 1, "exp": now + 3600, "nbf": NOW - 300, "iat": NOW - 300}
    if title == "malformed token":
        return "garbage"
    if title == "admin other name":
        claims["UserID"] = "openIMAdmin"
    if title == "expired token":
        claims["exp"] = NOW - 10
    if title == "not yet valid":
        claims["nbf"] = NOW + 600
    return jwt.encode(claims, "another secret" if title == "wrong secret" else SECRET, algorithm="HS256")


def _send(deployment: Stack, exchange: dict[str, Any], ids: dict[str, str]) -> requests.Response:
    recorded = exchange["request"]
    headers = {k: v for k, v in recorded["headers"].items() if v}
    if recorded["token"] is not None:
        headers["token"] = _token(exchange["title"])
    body = recorded["body"]
    if isinstance(body, dict):
        if body.get("uploadID") in ids:
            body = {**body, "uploadID": ids[body["uploadID"]]}
        body = json.dumps(body)
    return requests.request(
        recorded["method"],
        deployment.instance_url("i1") + recorded["path"],
        headers=headers,
        data=body,
        allow_redirects=False,
        timeout=30,
    )


def _shape(value: Any, path: str = "data") -> Any:
    """Keys and types; the pairs of a part's header are compared by test of their own."""
    if path in HEADER_LISTS:
        return "header"
    if isinstance(value, dict):
        return {k: _shape(v, f"{path}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_shape(v, f"{path}[]") for v in value]
    return type(value).__name__


SIGNED = {"url": "str", "query": "NoneType", "header": "NoneType"}


@pytest.mark.parametrize("title", [e["title"] for e in EXCHANGES])
def test_exchange(title: str, replayed: dict[str, tuple[dict[str, Any], requests.Response]]) -> None:
    exchange, answer = replayed[title]
    recorded = exchange["response"]
    expected, _ = DIFFERENCES.get(title, ({}, ""))

    assert answer.status_code == expected.get("status", recorded["status"]), answer.text
    for name, value in recorded["headers"].items():
        if name in ("Content-Length", "Location") or (title == "head" and name == "Content-Type"):
            continue
        assert answer.headers.get(name) == value, name

    if not isinstance(recorded["body"], dict):
        assert (answer.json() if title == "options" else answer.text) == recorded["body"]
        if "Location" in recorded["headers"]:
            assert answer.headers["Location"].startswith("http://127.0.0.1:")
        return
    body = answer.json()
    if "errCode" in expected:
        assert body["errCode"] == expected["errCode"], body
        assert ("data" in body) == (body["errCode"] == 0)
        return
    assert (body["errCode"], body["errMsg"]) == (recorded["body"]["errCode"], recorded["body"]["errMsg"]), body
    if body["errCode"] != 0:
        assert body["errDlt"]
    if expected.get("data") == "Sign":
        _assert_signs(body["data"], recorded["body"]["data"])
    else:
        assert _shape(body.get("data")) == _shape(recorded["body"].get("data"))


def _assert_signs(data: dict[str, Any], recorded: dict[str, Any]) -> None:
    """The same keys; as many parts with the same numbers; each with a URL, and nothing that all share."""
    if "upload" in data:
        assert data.keys() == recorded.keys()
        assert data["upload"].keys() == recorded["upload"].keys()
        assert data["upload"]["partSize"] == recorded["upload"]["partSize"]
        data, recorded = data["upload"]["sign"], recorded["upload"]["sign"] or {}
    numbers = [p["partNumber"] for p in recorded.get("parts") or []]
    assert _shape(data) == {**SIGNED, "parts": [{"partNumber": "int", **SIGNED, "header": "header"} for _ in numbers]}
    assert [p["partNumber"] for p in data["parts"]] == numbers
    assert all("X-Amz-Signature=" in p["url"] for p in data["parts"])


def test_no_difference_is_out_of_date() -> None:
    assert set(DIFFERENCES) <= {e["title"] for e in EXCHANGES}
    assert all(why for _, why in DIFFERENCES.values())
    assert len(EXCHANGES) >= 79


def test_the_recorded_content_reads_back(
    replayed: dict[str, tuple[dict[str, Any], requests.Response]], deployment: Stack
) -> None:
    assert replayed["complete ok"][1].json()["data"]["url"] == "http://127.0.0.1:10002/object/u1/hello.txt"
    small = requests.get(f"{deployment.instance_url('i1')}/object/u1/hello.txt", timeout=30)
    assert (small.content, small.headers["Content-Type"]) == (b"hello", "text/plain")
    big = requests.get(f"{deployment.instance_url('i1')}/object/u1/big.bin", timeout=30)
    assert same(big.content, b"".join(BIG_PARTS))
