"""`/healthz` and `/readyz`, for the balancer and for people."""

from __future__ import annotations

import msgspec
from flask import Flask, Response

from app.api.services import Services


def add_routes(app: Flask, services: Services) -> None:
    def healthz() -> Response:
        """The process answers."""
        return Response("ok\n", content_type="text/plain")

    def readyz() -> Response:
        """The own node answers: 200, else 503 with the node, since when, and why."""
        state = services.monitor.readiness()
        response = Response(msgspec.json.encode(state), 200 if state.ready else 503, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    app.add_url_rule("/healthz", "healthz", healthz)
    app.add_url_rule("/readyz", "readyz", readyz)
