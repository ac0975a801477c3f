"""Observes every request: its pin goes into a header, its time and outcome into the metrics and the request log."""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Flask, Response, g, request

from app.api.services import Services
from app.observability import metrics, request_log, trail
from app.routing import pinning
from app.routing.forwarding import MARK_HEADER, PREFIX_HEADER

#: Characters of a path in the log; names have up to 1,024 bytes.
_MAX_PATH = 300


def register(app: Flask, services: Services) -> None:
    """Registers first of all, so that the hooks below see what the others do."""

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        g.trail = trail.begin(request.headers.get("operationID", ""))
        g.forwarded_by = services.sealer.forwarded_by(request.headers.get(MARK_HEADER))
        g.pin = _pin(services)
        g.status = 500
        metrics.count("requests_in_flight")

    @app.after_request
    def add_pin(response: Response) -> Response:
        g.status = response.status_code
        if request.method == "POST":
            response.headers["X-OpenIM-Direct-Pin"] = g.pin
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        seconds = time.perf_counter() - g.started
        trail.end()
        route = route_name()
        metrics.request_ended(route, g.trail.code, g.pin, seconds)
        if request_log.requests.isEnabledFor(logging.INFO) and route not in ("health", "metrics"):
            request_log.requests.info(request_log.TEXT, _entry(services, route, seconds))


def route_name() -> str:
    """Return the route's name in metrics and logs: one of few, whatever is requested."""
    blueprint, _, view = (request.endpoint or "").partition(".")
    if blueprint == "objects" and request.method != "OPTIONS":
        return view
    return blueprint if blueprint in metrics.ASIDE else "other"


def _pin(services: Services) -> str:
    """Return what kept the client on this instance."""
    cookie = request.cookies.get(services.deployment.cookie.name)
    path = request.path
    prefix = path[3 : path.find("/", 3)] if path.startswith("/i/") else request.headers.get(PREFIX_HEADER)
    return pinning.pin(
        services.instance.id,
        cookie,
        cookie in services.deployment.instances,
        "token" in request.headers,
        prefix,
        g.forwarded_by is not None,
    )


def _entry(services: Services, route: str, seconds: float) -> dict[str, Any]:
    """Return the request's line in the log."""
    others = {"forwardedBy": g.forwarded_by, "forwardedTo": g.trail.forwarded_to}
    return {
        "instance": services.instance.id,
        "node": services.instance.node,
        "operationID": g.trail.operation,
        "user": g.trail.user,
        "method": request.method,
        "route": route,
        "path": request.path[:_MAX_PATH],
        "status": g.status,
        "errCode": g.trail.code,
        "pin": g.pin,
        "ms": round(seconds * 1000, 2),
        **{f"{part}_ms": round(spent * 1000, 2) for part, spent in g.trail.parts.items()},
        **{name: instance for name, instance in others.items() if instance},
    }
