"""`/status`, `/status.json` and `/status/upload`, for operators."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, Response, request

from app.api.access import COOKIE, admin_of, is_local, may_see
from app.api.pages.render import TEXTS, render
from app.api.pages.status import status_page
from app.api.request import current_services, read_body
from app.auth.sealing import SESSION_MAX_AGE
from app.status.history import report

status = Blueprint("status", __name__)


@status.after_request
def keep_private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@status.get("/status.json")
def status_json() -> Response:
    """Describe this instance, for `openim-direct status` and the other instances' pages."""
    if not may_see():
        refusal = '{"error":"for admins: send an admin\'s token in the header `token`, or ask from this machine itself"}\n'
        return Response(refusal, 403, content_type="application/json")
    services = current_services()
    return Response(msgspec.json.encode(report(services.monitor, services.history)), content_type="application/json")


@status.get("/status")
def show_status() -> Response:
    """Show the whole deployment as this instance sees it, and which node holds `?name=`."""
    if not may_see():
        return _login(401)
    services = current_services()
    name = request.args.get("name", "")
    record = services.record(name) if name else None
    return _page(partial(status_page, services.describe(), services.instance.id, name, record))


@status.post("/status")
def log_in() -> Response:
    """Open the pages to an admin's browser, by a cookie of this deployment."""
    read_body()
    user = admin_of(request.form.get("token", "").strip())
    if user is None:
        return _login(403)
    services = current_services()
    # Relative: this server does not know by which path it is reached.
    response = Response(status=303, headers={"Location": "status"})
    response.set_cookie(
        COOKIE,
        services.sealer.seal_session(user),
        max_age=SESSION_MAX_AGE,
        httponly=True,
        secure=urlsplit(services.deployment.public_url).scheme == "https" and not is_local(),
        samesite="Strict",
    )
    return response


@status.get("/status/upload")
def try_upload() -> Response:
    """Show the page that uploads a file from the browser, step by step."""
    if not may_see():
        return _login(401, "../status")
    # Nodes by instance, for the page's table of steps.
    nodes = {i.id: i.node for i in current_services().deployment.instances.values()}
    # The API is relative to `/status/upload`, whatever stands before that. The page speaks to any node, by its signed URLs.
    return _page(partial(render, "upload.html", instances=nodes, api=".."), connect="* data: blob:")


def page_language() -> str:
    """Return the language of ours that the browser likes best; English where it likes none."""
    liked = (tag.lower().split("-")[0] for tag, quality in request.accept_languages if quality > 0)
    return next((language for language in liked if language in TEXTS), "en")


def _login(code: int, action: str = "status") -> Response:
    """
    :param code: 403 where the token that was sent just now is no administrator's.
    :param action: the status page, relative to the requested path.
    """
    return _page(partial(render, "login.html", refused=code == 403, action=action), code)


def _page(write: Callable[..., str], code: int = 200, connect: str = "'self'") -> Response:
    """
    :param write: writes the page, given its language and nonce.
    :param connect: what the page may read and show, as the Content-Security-Policy writes it.
    """
    nonce = secrets.token_urlsafe(16)
    response = Response(write(language=page_language(), nonce=nonce), code, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src {connect}; "
        f"img-src {connect}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return response
