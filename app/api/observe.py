"""Around every request: who answers and what pinned the client there, in a header, the metrics and the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from app.api.call import Call
from app.api.services import Services
from app.core import wire
from app.observability import metrics, trail
from app.routing import pinning
from app.routing.forwarding import MARK_HEADER, PREFIX_HEADER

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PIN_HEADER = "X-OpenIM-Direct-Pin"
_MARK = "HTTP_" + MARK_HEADER.upper().replace("-", "_")
_PREFIX = "HTTP_" + PREFIX_HEADER.upper().replace("-", "_")
_OBJECT = "/object/"
#: Characters of a path in the log; names have up to 1,024 bytes.
_MAX_PATH = 300
_ASIDE = {"/healthz": "health", "/readyz": "health", "/metrics": "metrics"}


def route_of(method: str, path: str) -> str:
    """The route's name in metrics and logs: one of few, whatever is asked for."""
    if path.startswith("/i/"):
        path = path[path.find("/", 3) :]
    if path.startswith(_OBJECT):
        if method in ("GET", "HEAD"):
            return "view"
        route = path[len(_OBJECT) :]
        return route if method == "POST" and route in wire.ROUTES else "other"
    return _ASIDE.get(path) or ("status" if path.startswith("/status") else "other")


def observed(
    wsgi_app: WSGIApplication, services: Services, write: Callable[[Mapping[str, Any]], None] | None
) -> WSGIApplication:
    """
    :param write: takes a log entry for each request but health checks and scrapes; None for no log.
    """
    instance, node = services.instance.id, services.instance.node
    known = services.deployment.instances
    cookie_name = services.deployment.cookie.name

    def pin_of(environ: WSGIEnvironment, path: str) -> tuple[str, str | None]:
        """What brought the request here, and who forwarded it."""
        sender = services.sealer.forwarded_by(environ[_MARK]) if _MARK in environ else None
        cookie = Call(environ).cookie(cookie_name)
        prefix = path[3 : path.find("/", 3)] if path.startswith("/i/") else environ.get(_PREFIX)
        token = "HTTP_TOKEN" in environ
        return pinning.pin(instance, cookie, cookie in known, token, prefix, sender is not None), sender

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        route = route_of(method, path)
        pin, sender = pin_of(environ, path)
        this = trail.begin(environ.get("HTTP_OPERATIONID", ""))
        answered = "500"

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal answered
            answered = status[:3]
            if method == "POST":
                headers.append((PIN_HEADER, pin))
            return start_response(status, headers, *exc_info)

        metrics.request_began()
        try:
            return wsgi_app(environ, cast("StartResponse", start))
        finally:
            seconds = time.perf_counter() - started
            trail.end()
            metrics.request_ended(route, this.code, pin, seconds)
            if write is not None and route not in ("health", "metrics"):
                entry: dict[str, Any] = {
                    "instance": instance,
                    "node": node,
                    "operationID": this.operation,
                    "user": this.user,
                    "method": method,
                    "route": route,
                    "path": path.encode("latin-1", "replace").decode("utf-8", "replace")[:_MAX_PATH],
                    "status": int(answered),
                    "errCode": this.code,
                    "pin": pin,
                    "ms": round(seconds * 1000, 2),
                    **{f"{part}_ms": round(spent * 1000, 2) for part, spent in this.parts.items()},
                }
                if sender is not None:
                    entry["forwardedBy"] = sender
                if this.forwarded_to:
                    entry["forwardedTo"] = this.forwarded_to
                write(entry)

    return wrapped
