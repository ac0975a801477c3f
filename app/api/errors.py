"""Turns every failure into the answer that clients of v3.4.0 know: the envelope for a POST, a line of text for a GET."""

from __future__ import annotations

import logging

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from app.api.request import MAX_BODY
from app.api.responses import JSON
from app.core import wire
from app.core.errors import APIError, BodyTooLarge, InternalError
from app.observability import metrics

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    app.register_error_handler(APIError, answer_failure)
    app.register_error_handler(HTTPException, answer_http_exception)
    app.register_error_handler(Exception, answer_crash)


def answer_failure(error: APIError) -> Response:
    """Answer a failure by its number; HTTP 503 says when to try again."""
    g.trail.code = error.code
    if request.method == "POST":
        response = Response(wire.failure(error), error.post_status, content_type=JSON)
    else:
        # v3.4.0 calls this text JSON too.
        response = Response(wire.failure_text(error), error.get_status, content_type=JSON)
    if error.retry_after is not None and response.status_code == 503:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def answer_http_exception(error: HTTPException) -> Response:
    """Answer what Flask itself refuses: unknown routes as v3.4.0 does, which knows no 405."""
    if isinstance(error, RequestEntityTooLarge):
        return answer_failure(BodyTooLarge(f"the body is over {MAX_BODY} bytes"))
    if error.code in (404, 405):
        g.trail.code = 404
        return Response("404 page not found", 404, content_type="text/plain")
    return answer_failure(InternalError(f"HTTP {error.code}: {error.name}"))


def answer_crash(error: Exception) -> Response:
    """Log what nobody expected with its stack, and tell the client where to find it, nothing else."""
    metrics.count("crashes")
    operation = g.trail.operation
    log.error("%s %s failed, operationID %r", request.method, request.path[:200], operation, exc_info=error)
    return answer_failure(InternalError(f"internal error; the server's log has it under operationID {operation!r}"))
