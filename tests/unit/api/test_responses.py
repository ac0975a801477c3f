"""Answers as Flask writes them, without an instance behind them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, g

from app.api.request import EXTENSION
from app.api.responses import redirect, success
from app.core import wire


def answering(cookie: dict[str, Any], cache: int = 5) -> Flask:
    """An application with just the settings that answers depend on."""
    app = Flask("test")
    deployment = SimpleNamespace(
        cookie=SimpleNamespace(**cookie), instances={"i1": None, "i2": None}, views=SimpleNamespace(cache=cache)
    )
    app.extensions[EXTENSION] = SimpleNamespace(deployment=deployment, instance=SimpleNamespace(id="i1"))
    return app


PLAIN = {"name": "OPENIM_INSTANCE", "max_age": None, "secure": False, "same_site": "Lax", "domain": None}
RICH = {"name": "C", "max_age": 60, "secure": True, "same_site": "None", "domain": "example.com"}


@pytest.mark.parametrize(
    ("cookie", "attributes"),
    [
        (PLAIN, {"OPENIM_INSTANCE=i1", "Path=/", "HttpOnly", "SameSite=Lax"}),
        (RICH, {"C=i1", "Path=/", "HttpOnly", "Max-Age=60", "Domain=example.com", "Secure", "SameSite=None"}),
    ],
)
def test_the_cookie_of_an_instance(cookie: dict[str, Any], attributes: set[str]) -> None:
    with answering(cookie).test_request_context(method="POST"):
        g.cookie = g.forwarded_by = None
        (header,) = success(wire.PartSize(size=5)).headers.getlist("Set-Cookie")
    # Max-Age's older form may be there too.
    assert {a for a in header.split("; ") if not a.startswith("Expires=")} == attributes


@pytest.mark.parametrize(
    ("sent", "forwarded_by", "sets"),
    [
        (None, None, True),
        ("i1", None, False),
        # A stand-in does not steal the client of an instance that is down.
        ("i2", None, False),
        ("i9", None, True),
        ("i2", "i2", True),
    ],
)
def test_who_is_given_the_cookie(sent: str | None, forwarded_by: str | None, sets: bool) -> None:
    with answering(PLAIN).test_request_context(method="POST"):
        g.cookie, g.forwarded_by = sent, forwarded_by
        assert bool(success(wire.PartSize(size=5)).headers.getlist("Set-Cookie")) is sets


@pytest.mark.parametrize(("cache", "instead", "kept"), [(5, "", "4"), (1, "", None), (0, "", None), (5, "busy", None)])
def test_how_long_a_balancer_keeps_a_redirect(cache: int, instead: str, kept: str | None) -> None:
    with answering(PLAIN, cache).test_request_context():
        response = redirect("http://node/x", instead)
    assert (response.status_code, response.headers["Location"]) == (302, "http://node/x")
    assert response.headers.get("X-Accel-Expires") == kept
    assert response.headers.get("X-OpenIM-Direct-Thumbnail") == (instead or None)
    names = list(response.headers.keys())
    # nginx before 1.23 takes the first of the two.
    assert kept is None or names.index("X-Accel-Expires") < names.index("Cache-Control")
    assert "Set-Cookie" not in response.headers
