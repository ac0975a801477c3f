"""Adds the headers that every answer carries: v3.4.0's CORS headers, and who answered."""

from __future__ import annotations

from flask import Flask, Response, request

from app.api.services import Services

_COMMON = (
    (
        "Access-Control-Expose-Headers",
        "Content-Length, Access-Control-Allow-Origin, Access-Control-Allow-Headers,"
        "Cache-Control,Content-Language,Content-Type,Expires,Last-Modified,Pragma,FooBar",
    ),
    ("Access-Control-Max-Age", "172800"),
    ("X-Content-Type-Options", "nosniff"),
)
#: As v3.4.0 sends them with every answer, errors included.
_OPEN = (
    ("Access-Control-Allow-Credentials", "false"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Allow-Methods", "*"),
    ("Access-Control-Allow-Origin", "*"),
    *_COMMON,
)
#: To an origin that the deployment lists. With credentials `*` means itself (Fetch standard), so that names are needed.
_WITH_CREDENTIALS = (
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Allow-Headers", "token, operationID, Content-Type, X-Request-Api"),
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
    ("Vary", "Origin"),
    *_COMMON,
)
#: Pages for operators: not for other origins' scripts, since who sees these may be let in by address alone.
PRIVATE_PATHS = ("/status", "/metrics")


def register(app: Flask, services: Services) -> None:
    origins, instance_id = services.deployment.cors_origins, services.instance.id

    @app.before_request
    def answer_preflight() -> Response | None:
        """Answer OPTIONS on any path as v3.4.0 does."""
        if request.method == "OPTIONS":
            return Response('"Options Request!"', content_type="application/json")
        return None

    @app.after_request
    def add_headers(response: Response) -> Response:
        if request.path.startswith(PRIVATE_PATHS):
            return response
        origin = request.headers.get("Origin")
        if origin in origins:
            response.headers.extend((*_WITH_CREDENTIALS, ("Access-Control-Allow-Origin", origin)))
        else:
            response.headers.extend(_OPEN)
        if request.method == "POST":
            # Who answered, for people with curl. Not on views, which caches give to everyone.
            response.headers.add("X-OpenIM-Direct-Instance", instance_id)
        return response
