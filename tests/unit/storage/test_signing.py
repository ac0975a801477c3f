"""Signatures equal to the SDK's where it can make them; what it cannot sign is tested on a real node."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlsplit

import pytest
from minio.credentials import Credentials
from minio.signer import presign_v4

from app.storage.signing import Presigner

AT = datetime(2026, 11, 25, 23, 59, 58, tzinfo=timezone.utc)
KEYS = [
    "plain",
    "openim/data/hash/69a329523ce1ec88bf63061863d9cb14",
    "a b+c%d#e?f&g=h",
    "图片/猫.png",
    "a//b/../c",
    "tab\tnew\nline",
    "~-_.!*'()",
    "x" * 900,
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("query", [{}, {"uploadId": "a+/=", "partNumber": "7"}, {"response-content-type": "text/html; x=é"}])
def test_equal_to_the_sdk(key: str, method: str, query: dict[str, str]) -> None:
    ours = Presigner("http://127.0.0.1:9000", "root", "openIM123", "eu-west-1").presign(
        method, "openim", key, 3600, query, at=AT.timestamp()
    )
    plain = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in query.items())
    sdk = presign_v4(
        method=method,
        url=urlsplit(f"http://127.0.0.1:9000/openim/{quote(key, safe='/~')}" + (f"?{plain}" if plain else "")),
        region="eu-west-1",
        credentials=Credentials(access_key="root", secret_key="openIM123"),
        date=AT,
        expires=3600,
    )
    assert _pairs(ours) == _pairs(sdk.geturl())


def _pairs(url: str) -> tuple[str, list[str]]:
    base, _, query = url.partition("?")
    return base, sorted(query.split("&"))


def test_a_path_of_the_endpoint_is_in_the_url_and_not_in_the_signature() -> None:
    plain = Presigner("https://im.example.com", "k", "s", "us-east-1").presign("GET", "b", "key", 60, at=0)
    behind = Presigner("https://im.example.com/s3/m1/", "k", "s", "us-east-1").presign("GET", "b", "key", 60, at=0)
    assert behind == plain.replace("example.com/", "example.com/s3/m1/", 1)


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("http://h", "h"),
        ("http://h:80", "h"),
        ("https://h:443", "h"),
        ("https://h:80", "h:80"),
        ("http://h:443", "h:443"),
        ("http://[::1]:9000", "[::1]:9000"),
    ],
)
def test_the_signed_host_is_what_clients_send(endpoint: str, host: str) -> None:
    assert Presigner(endpoint, "k", "s", "us-east-1")._host == host


def test_the_key_of_a_day_is_not_that_of_the_next() -> None:
    signer = Presigner("http://h", "k", "s", "us-east-1")
    urls = []
    for day in range(3):
        at = (AT + timedelta(days=day)).timestamp()
        urls.append(signer.presign("GET", "b", "k", 60, at=at))
        assert urls[-1] == Presigner("http://h", "k", "s", "us-east-1").presign("GET", "b", "k", 60, at=at)
    assert len(set(urls)) == 3


@pytest.mark.parametrize(("asked", "given"), [(-5, 1), (0, 1), (1, 1), (604800, 604800), (10**9, 604800)])
def test_expiry_stays_within_s3s_bounds(asked: int, given: int) -> None:
    assert f"X-Amz-Expires={given}&" in Presigner("http://h", "k", "s", "us-east-1").presign("GET", "b", "k", asked)


def test_signed_headers_are_named_in_order() -> None:
    signer = Presigner("http://h", "k", "s", "us-east-1")
    url = signer.presign("PUT", "b", "k", 60, headers={"if-none-match": "*", "content-length": "5"})
    assert "X-Amz-SignedHeaders=content-length%3Bhost%3Bif-none-match&" in url


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("token", [None, "a+b/c="])
def test_parts_are_signed_as_each_alone(key: str, token: str | None) -> None:
    signer = Presigner("http://127.0.0.1:9000/s3/m1", "root", "openIM123", "eu-west-1", token)
    upload = "a+/=-_~ é"
    parts = [(1, 5 << 20), (7, 5 << 20), (10_000, 3)]
    at = AT.timestamp()
    together = signer.presign_parts("openim", key, upload, parts, 3600, at=at)
    alone = [
        signer.presign(
            "PUT",
            "openim",
            key,
            3600,
            {"partNumber": str(number), "uploadId": upload},
            {"content-length": str(length)},
            at=at,
        )
        for number, length in parts
    ]
    assert together == alone
    # More than SigV4 allows is cut for both.
    assert "X-Amz-Expires=604800&" in signer.presign_parts("b", key, "u", [(1, 1)], 10**9, at=at)[0]
