"""The CORS headers of answers: v3.4.0's for everyone, names and credentials for listed origins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, Response
from werkzeug.datastructures import Headers

from app.api import headers

LISTED, OTHER = "https://web.example.com", "https://other.example.com"
#: Of a preflight: what a page of an application with tracing asks for.
ASKED = "authorization,baggage,operationid,range,sentry-trace,token,traceparent,x-requested-with"


def answered(*origins: str, method: str = "GET", path: str = "/object/x", status: int = 302, **sent: str) -> Headers:
    """Headers of an answer of a deployment that lists `origins`."""
    services: Any = SimpleNamespace(deployment=SimpleNamespace(cors_origins=origins), instance=SimpleNamespace(id="i1"))
    app = Flask("test")
    headers.register(app, services)
    app.add_url_rule("/<path:_>", view_func=lambda _: Response(status=status), methods=["GET", "POST"])
    named = {name.replace("_", "-"): value for name, value in sent.items()}
    return app.test_client().open(path, method=method, headers=named).headers


@pytest.mark.parametrize("status", [200, 302, 304, 404, 503])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_each_answer_says_for_whom_it_is_once(method: str, status: int) -> None:
    for origin, named, credentials in ((LISTED, LISTED, "true"), (OTHER, "*", "false"), ("null", "*", "false")):
        got = answered(LISTED, method=method, status=status, Origin=origin)
        assert got.getlist("Access-Control-Allow-Origin") == [named]
        assert got.getlist("Access-Control-Allow-Credentials") == [credentials]
        assert len(got.getlist("Access-Control-Expose-Headers")) == 1
        assert got["Access-Control-Max-Age"] == "172800"
        assert got["Cross-Origin-Resource-Policy"] == "cross-origin"
        # Also what is for everyone: a cache must not give it to a listed origin.
        assert "Origin" in got.getlist("Vary")
    assert answered(LISTED, method=method, status=status)["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("origin", [LISTED + ".evil", LISTED.upper(), LISTED + ":443", LISTED + "/", f"{LISTED},{OTHER}"])
def test_an_origin_that_is_nearly_listed_is_not(origin: str) -> None:
    assert answered(LISTED, Origin=origin)["Access-Control-Allow-Origin"] == "*"


def test_without_listed_origins_no_answer_depends_on_one() -> None:
    assert "Vary" not in answered(Origin=OTHER)
    assert answered(method="OPTIONS", Origin=OTHER).getlist("Vary") == ["Access-Control-Request-Headers"]


@pytest.mark.parametrize("origin", [LISTED, OTHER])
def test_a_preflight_says_back_what_it_was_asked(origin: str) -> None:
    got = answered(LISTED, method="OPTIONS", Origin=origin, Access_Control_Request_Headers=ASKED)
    assert got.getlist("Access-Control-Allow-Headers") == [f"*, {ASKED}"]
    assert set(got.getlist("Vary")) == {"Origin", "Access-Control-Request-Headers"}
    methods = got["Access-Control-Allow-Methods"].split(", ")
    assert methods[0] == "*"
    # By name where `*` is one: with credentials.
    assert origin == OTHER or {"GET", "HEAD", "POST", "PUT", "DELETE"} < set(methods)


@pytest.mark.parametrize("path", headers.PRIVATE_PATHS)
def test_operators_pages_are_for_no_other_origin(path: str) -> None:
    for method in ("GET", "OPTIONS"):
        got = answered(LISTED, path=path, method=method, Origin=LISTED)
        assert not [name for name, _ in got if name.startswith("Access-Control")]
