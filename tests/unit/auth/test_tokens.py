"""Tokens as v3.4.0 makes them, and as others do."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import jwt
import pytest

from app.auth.tokens import Authenticator, make_token
from app.core.errors import TokenUnknownError


def test_tokens_are_taken_again_only_for_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
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
    token = jwt.encode({**claims, "exp": time.time() + 60}, "s", algorithm="HS256")
    with pytest.raises(TokenUnknownError):
        Authenticator(["s"], ()).identify(token)


def test_a_token_without_expiry_or_of_another_algorithm() -> None:
    claims = {"UserID": "u", "PlatformID": 1}
    for token in (
        jwt.encode(claims, "s", algorithm="HS256"),
        jwt.encode({**claims, "exp": 4102444800}, "s", algorithm="HS512"),
    ):
        with pytest.raises(TokenUnknownError):
            Authenticator(["s"], ()).identify(token)
