"""What a request is called in metrics and logs."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from app.api.app import create_app
from app.api.observe import route_name
from app.core.errors import APIError


def application() -> Flask:
    """An application with just what the hooks before and after a request read."""
    cookie = SimpleNamespace(name="OPENIM_INSTANCE")
    services: Any = SimpleNamespace(
        deployment=SimpleNamespace(cors_origins=(), cookie=cookie, instances={"i1": None}),
        instance=SimpleNamespace(id="i1", node="m1"),
        sealer=SimpleNamespace(forwarded_by=lambda _: None),
    )
    return create_app(services)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/object/auth_sign", "auth_sign"),
        ("GET", "/object/auth_sign", "view"),
        ("HEAD", "/object/u1/x", "view"),
        ("POST", "/object/u1/x", "other"),
        ("GET", "/i/i1/object/u1/x", "view"),
        ("GET", "/i/", "other"),
        ("GET", "/readyz", "health"),
        ("GET", "/metrics", "metrics"),
        ("POST", "/status", "status"),
        ("GET", "/status/upload", "status"),
        ("GET", "/openapi.json", "other"),
        ("OPTIONS", "/object/auth_sign", "other"),
        ("GET", "/anything/else", "other"),
    ],
)
def test_routes_have_few_names(method: str, path: str, route: str) -> None:
    with application().test_request_context(path, method=method) as context:
        # Refused further on, without a token; the route is known before.
        with suppress(APIError):
            context.app.preprocess_request()
        assert route_name() == route
