"""Adds the headers that every answer carries: v3.4.0's CORS headers, and who answered."""

from __future__ import annotations

from flask import Flask, Response, request

from app.api.services import Services
from app.core import cors

_COMMON = (
    ("Access-Control-Expose-Headers", cors.EXPOSED),
    ("Access-Control-Max-Age", str(cors.MAX_AGE)),
    # Pages with `Cross-Origin-Embedder-Policy: require-corp` may show pictures too; `*` above lets them read anyway.
    ("Cross-Origin-Resource-Policy", "cross-origin"),
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
#: To an origin that the deployment lists, beside its name.
_WITH_CREDENTIALS = (
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Allow-Methods", cors.METHODS),
    *_COMMON,
)
#: Pages for operators: not for other origins' scripts, since who sees these may be let in by address alone.
PRIVATE_PATHS = ("/status", "/metrics")


def register(app: Flask, services: Services) -> None:
    origins, instance_id = services.deployment.cors_origins, services.instance.id
    # Also in answers that name nobody: a cache must not give them to a listed origin.
    varies = (("Vary", "Origin"),) if origins else ()
    others = (*_OPEN, *varies)
    listed = {o: (("Access-Control-Allow-Origin", o), *_WITH_CREDENTIALS, *varies) for o in origins}

    @app.before_request
    def answer_preflight() -> Response | None:
        """Answer OPTIONS on any path as v3.4.0 does."""
        if request.method == "OPTIONS":
            return Response(cors.PREFLIGHT_BODY, content_type="application/json")
        return None

    @app.after_request
    def add_headers(response: Response) -> Response:
        if request.path.startswith(PRIVATE_PATHS):
            return response
        response.headers.extend(listed.get(request.headers.get("Origin", ""), others))
        if request.method == "POST":
            # Who answered, for people with curl. Not on views, which caches give to everyone.
            response.headers.add("X-OpenIM-Direct-Instance", instance_id)
        elif request.method == "OPTIONS":
            asked = request.headers.get("Access-Control-Request-Headers", "")
            response.headers["Access-Control-Allow-Headers"] = cors.allowed_headers(asked)
            response.headers.add("Vary", "Access-Control-Request-Headers")
        return response
