"""What a preflight is told it may send."""

from __future__ import annotations

import pytest

from app.core.cors import MAX_ASKED, allowed_headers


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("", "*"),
        ("authorization", "*, authorization"),
        ("baggage,range, sentry-trace,x_odd.name", "*, baggage,range, sentry-trace,x_odd.name"),
        ("x" * MAX_ASKED, "*, " + "x" * MAX_ASKED),
        # More than a balancer's buffer should hold, or no list of names that a browser sends.
        ("x" * (MAX_ASKED + 1), "*"),
        ("a\r\nSet-Cookie: b=c", "*"),
        ("a\n", "*"),
        ("token;x", "*"),
        ("\u0130", "*"),
    ],
)
def test_what_is_asked_for_is_said_back_by_name(asked: str, allowed: str) -> None:
    assert allowed_headers(asked) == allowed
