"""What an instance says brought a request to it."""

from __future__ import annotations

import pytest

from app.routing.pinning import PINS, pin


@pytest.mark.parametrize(
    ("cookie", "known", "token", "prefix", "forwarded", "expected"),
    [
        ("i1", True, True, None, False, "cookie"),
        ("i2", True, True, None, False, "none"),
        ("zz", False, True, None, False, "hash"),
        (None, False, True, None, False, "hash"),
        (None, False, False, None, False, "none"),
        ("i2", True, True, "i1", False, "prefix"),
        ("i1", True, True, "i2", False, "cookie"),
        ("i1", True, True, "i1", True, "forwarded"),
    ],
)
def test_what_kept_a_client_here(
    cookie: str | None, known: bool, token: bool, prefix: str | None, forwarded: bool, expected: str
) -> None:
    assert pin("i1", cookie, known, token, prefix, forwarded) == expected
    assert expected in PINS
