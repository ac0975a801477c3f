"""`/healthz` and `/readyz`, for the balancer and for people."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response

from app.api.request import current_services

health = Blueprint("health", __name__)


@health.get("/healthz")
def healthz() -> Response:
    """Say that the process answers."""
    return Response("ok\n", content_type="text/plain")


@health.get("/readyz")
def readyz() -> Response:
    """Answer 200 where the own node answers, else 503 with the node, since when, and why."""
    state = current_services().monitor.readiness()
    response = Response(msgspec.json.encode(state), 200 if state.ready else 503, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
