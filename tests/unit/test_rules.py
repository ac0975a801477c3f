"""Pure rules: part sizes, names, headers, cookies, envelopes."""

from __future__ import annotations

import json

import pytest
from werkzeug.http import parse_options_header

from app.auth.tokens import Authenticator, make_token
from app.core import wire
from app.core.errors import APIError, ArgsError, InternalError, NetworkError, NoPermissionError, TokenUnknownError
from app.core.names import check_name, object_url
from app.downloads.views import content_disposition
from app.uploads.parts import MAX_PART_SIZE, MAX_SIZE, MIN_PART_SIZE, part_size


@pytest.mark.parametrize("edge", [1, MIN_PART_SIZE, MIN_PART_SIZE * 10000, 1 << 40, MAX_SIZE])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_part_size_by_invariants(edge: int, off: int) -> None:
    size = edge + off
    if not 0 < size <= MAX_SIZE:
        with pytest.raises(InternalError):
            part_size(size)
        return
    chosen = part_size(size)
    assert MIN_PART_SIZE <= chosen <= MAX_PART_SIZE
    assert -(-size // chosen) <= 10000
    # The smallest that holds.
    assert chosen == MIN_PART_SIZE or -(-size // (chosen - 1)) > 10000


@pytest.mark.parametrize("size", [0, -1, -(2**63), MAX_SIZE + 1, 2**63 - 1])
def test_sizes_that_cannot_be(size: int) -> None:
    with pytest.raises(InternalError):
        part_size(size)


def test_names() -> None:
    for name in ("u1/a", "u1/", "u1//", "u1/a..b", "u1/..."):
        check_name(name, "u1", False)
    check_name("any/thing", "admin", True)
    for name in ("", "/u1/a", "u1/a/..", "u1/../a", "u1/./a", "u1/a\x00"):
        with pytest.raises(ArgsError):
            check_name(name, "u1", False)
    # Also for an admin: those are not about rights.
    with pytest.raises(ArgsError):
        check_name("x/../y", "admin", True)
    for name in ("u2/a", "u1", "u11/a"):
        with pytest.raises(NoPermissionError):
            check_name(name, "u1", False)


def test_urls_of_names() -> None:
    assert object_url("http://h/api", "u1/图 a") == "http://h/api/object/u1/图 a"
    assert object_url("http://h", "%#?\\\"'\n\x7f") == "http://h/object/%25%23%3F%5C%22%27%0A%7F"


@pytest.mark.parametrize(
    "name", ["plain.txt", "a b.txt", 'q"u\\o.txt', "猫.png", "50%.png", "é\u0301", "a;b=c", "\r\nX: y", ""]
)
def test_content_disposition_reads_back(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    kind, options = parse_options_header(header)
    assert kind == "attachment"
    assert options.get("filename", "") == name


def test_envelopes() -> None:
    assert json.loads(wire.success(wire.PartSize(size=5))) == {"errCode": 0, "errMsg": "", "errDlt": "", "data": {"size": 5}}
    assert json.loads(wire.failure(ArgsError("name is empty"))) == {
        "errCode": 1001,
        "errMsg": "ArgsError",
        "errDlt": "name is empty: 1001 ArgsError",
    }
    assert wire.failure_text(NetworkError("x")) == ": 90004 NetworkError x: 90004 NetworkError"


def test_every_error_has_a_number_of_its_own() -> None:
    def below(cls: type[APIError]) -> set[type[APIError]]:
        return {cls}.union(*(below(c) for c in cls.__subclasses__()))

    named = {(c.code, c.name) for c in below(APIError)}
    assert len({code for code, _ in named}) == len(named)


def test_tokens_are_taken_again_only_for_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    auth = Authenticator(["s"], ("boss",))
    token = make_token("s", "boss", 10, 3)
    identity = auth.identify(token)
    assert (identity.user, identity.platform, identity.is_admin) == ("boss", 10, True)
    assert auth.identify(token) is identity
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 4)
    # Never beyond its own expiry, remembered or not.
    monkeypatch.setattr("jwt.api_jwt.datetime", _Later)
    with pytest.raises(TokenUnknownError, match="expired"):
        auth.identify(token)


class _Later:
    @staticmethod
    def now(tz: object = None) -> object:
        from datetime import datetime, timedelta, timezone

        return datetime.now(timezone.utc) + timedelta(seconds=4)


def test_the_memory_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.auth.tokens._REMEMBERED", 10)
    auth = Authenticator(["s"], ())
    for n in range(35):
        auth.identify(make_token("s", f"u{n}", 1, 60))
        assert len(auth._verified) <= 10
    monkeypatch.undo()


@pytest.mark.parametrize("claims", [{}, {"UserID": ""}, {"UserID": 5}, {"UserID": "u"}, {"UserID": "u", "PlatformID": "1"}])
def test_tokens_without_v3_4_0s_claims(claims: dict[str, object]) -> None:
    import time

    import jwt

    token = jwt.encode({**claims, "exp": time.time() + 60}, "s", algorithm="HS256")
    with pytest.raises(TokenUnknownError):
        Authenticator(["s"], ()).identify(token)


def test_a_token_without_expiry_or_of_another_algorithm() -> None:
    import jwt

    claims = {"UserID": "u", "PlatformID": 1}
    for token in (
        jwt.encode(claims, "s", algorithm="HS256"),
        jwt.encode({**claims, "exp": 4102444800}, "s", algorithm="HS512"),
    ):
        with pytest.raises(TokenUnknownError):
            Authenticator(["s"], ()).identify(token)
