"""The WSGI application: the object API, Flask for the rest, and every answer leaves through here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, Request, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from app.api import call, health, objects, openapi, status
from app.api.observe import observed
from app.api.services import Services
from app.core.errors import APIError, InternalError
from app.observability import trail

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: As v3.4.0 sends them with every answer, errors included.
_CORS_OPEN = {
    "Access-Control-Allow-Credentials": "false",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Allow-Origin": "*",
}
#: To an origin that the deployment lists. With credentials `*` means itself (Fetch standard), so that names are needed.
_CORS_CREDENTIALS = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Headers": "token, operationID, Content-Type, X-Request-Api",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
}
_COMMON = {
    "Access-Control-Expose-Headers": "Content-Length, Access-Control-Allow-Origin, Access-Control-Allow-Headers,"
    "Cache-Control,Content-Language,Content-Type,Expires,Last-Modified,Pragma,FooBar",
    "Access-Control-Max-Age": "172800",
    "X-Content-Type-Options": "nosniff",
}


class _PlainRequest(Request):
    max_content_length = call.MAX_BODY


class _PlainResponse(Response):
    # A relative Location stays as it is: this server does not know by which name it is called.
    autocorrect_location_header = False
    default_mimetype = "application/json"


def create_app(services: Services) -> Flask:
    app = Flask("openim-direct", static_folder=None)
    app.request_class = _PlainRequest
    app.response_class = _PlainResponse
    # A redirect to another path is not v3.4.0's answer to any.
    app.url_map.merge_slashes = False

    @app.before_request
    def preflight() -> Response | None:
        if request.method == "OPTIONS":
            # v3.4.0's answer to any path.
            return Response('"Options Request!"', content_type="application/json")
        return None

    app.register_error_handler(APIError, _failed)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(Exception, _crashed)
    health.add_routes(app, services)
    openapi.add_routes(app)
    status.add_routes(app, services)
    app.wsgi_app = call.before(app.wsgi_app, *objects.handlers(services))  # type: ignore[method-assign,assignment]
    app.wsgi_app = _with_headers(app.wsgi_app, services.instance.id, services.deployment.cors_origins)  # type: ignore[method-assign,assignment]
    app.wsgi_app = observed(app.wsgi_app, services, services.request_log)  # type: ignore[method-assign,assignment]
    return app


def _with_headers(wsgi_app: WSGIApplication, instance_id: str, origins: tuple[str, ...]) -> WSGIApplication:
    """Below Flask's own response handling, which checks every header anew at every request."""
    # Who answered, for people with curl. Not on views, which caches give to everyone.
    name = ("X-OpenIM-Direct-Instance", instance_id)
    open_to_all = [*_CORS_OPEN.items(), *_COMMON.items()]
    credentials = [*_CORS_CREDENTIALS.items(), *_COMMON.items()]

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(status.PATHS):
            # Not for other origins' pages: who sees these may be let in by address alone.
            return wsgi_app(environ, start_response)
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin in origins:
            extra = [*credentials, ("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
        else:
            extra = open_to_all
        if environ["REQUEST_METHOD"] == "POST":
            extra = [*extra, name]

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, headers + extra, *exc_info)

        return wsgi_app(environ, cast("StartResponse", start))

    return wrapped


def _failed(error: APIError) -> Response:
    reply = call.failed(error) if request.method == "POST" else call.failed_view(error)
    return Response(reply.body, reply.status, reply.headers)


def _refused(error: HTTPException) -> Response:
    if isinstance(error, RequestEntityTooLarge):
        return _failed(call.too_large())
    if error.code in (404, 405):
        trail.set_code(404)
        # v3.4.0 knows no 405.
        return Response("404 page not found", 404, content_type="text/plain")
    return _failed(InternalError(f"HTTP {error.code}: {error.name}"))


def _crashed(error: Exception) -> Response:
    return _failed(call.crash(request.method, request.path, error))
