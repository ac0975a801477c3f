"""`/healthz` and `/readyz` for the balancer and for people, `/metrics` for Prometheus."""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response

from app.api.access import is_proxied
from app.api.request import current_services
from app.observability.metrics import exposition

health = Blueprint("health", __name__)
metrics = Blueprint("metrics", __name__)


@health.get("/healthz")
def healthz() -> Response:
    """Say that the process answers."""
    return Response("ok\n", content_type="text/plain")


@health.get("/readyz")
def readyz() -> Response:
    """Answer 200 where the own node answers, else 503 with the node, since when, and why."""
    state = current_services().monitor.readiness()
    code = 200 if state.ready else 503
    return Response(msgspec.json.encode(state), code, {"Cache-Control": "no-store"}, content_type="application/json")


@metrics.get("/metrics")
def scrape() -> Response:
    """Answer who reaches the instance itself; never through a balancer."""
    if is_proxied():
        return Response("404 page not found", 404, content_type="text/plain")
    body, content_type = exposition()
    return Response(body, content_type=content_type)
