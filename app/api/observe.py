"""Observes every request: its pin goes into a header, its time and outcome into the metrics and the request log."""

from __future__ import annotations

import time

from flask import Flask, Response, g, request

from app.api.services import Services
from app.observability import metrics, request_log, trail
from app.routing import pinning
from app.routing.forwarding import MARK_HEADER, PREFIX_HEADER

#: Characters of a path in the log; names have up to 1,024 bytes.
_MAX_PATH = 300


def register(app: Flask, services: Services) -> None:
    """Registers first of all, so that the hooks below see what the others do."""
    instance, node = services.instance.id, services.instance.node
    instances, cookie_name = frozenset(services.deployment.instances), services.deployment.cookie.name

    @app.before_request
    def begin() -> None:
        headers = request.headers
        sender = services.sealer.forwarded_by(headers.get(MARK_HEADER))
        cookie = request.cookies.get(cookie_name) if "Cookie" in headers else None
        path = request.path
        prefix = path[3:].partition("/")[0] if path.startswith("/i/") else headers.get(PREFIX_HEADER)
        g.started = time.perf_counter()
        g.trail = trail.begin(headers.get("operationID", ""))
        g.forwarded_by = sender
        g.cookie = cookie
        g.pin = pinning.pin(instance, cookie, cookie in instances, "token" in headers, prefix, sender is not None)
        g.status = 500
        metrics.count("requests_in_flight")

    @app.after_request
    def add_pin(response: Response) -> Response:
        g.status = response.status_code
        if request.method == "POST":
            response.headers.add("X-OpenIM-Direct-Pin", g.pin)
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        seconds = time.perf_counter() - g.started
        trail.end()
        this, pin, route = g.trail, g.pin, route_name()
        metrics.request_ended(route, this.code, pin, seconds)
        if route in ("health", "metrics"):
            return
        others = {"forwardedBy": g.forwarded_by, "forwardedTo": this.forwarded_to}
        entry = {
            "instance": instance,
            "node": node,
            "operationID": this.operation,
            "user": this.user,
            "method": request.method,
            "route": route,
            "path": request.path[:_MAX_PATH],
            "status": g.status,
            "errCode": this.code,
            "pin": pin,
            "ms": round(seconds * 1000, 2),
            **{f"{part}_ms": round(spent * 1000, 2) for part, spent in this.parts.items()},
            **{name: value for name, value in others.items() if value},
        }
        request_log.log_request(entry)


def route_name() -> str:
    """Return the route's name in metrics and logs: one of few, whatever is requested."""
    blueprint, _, view = (request.endpoint or "").partition(".")
    if blueprint == "objects" and request.method != "OPTIONS":
        return view
    return blueprint if blueprint in metrics.ASIDE else "other"
