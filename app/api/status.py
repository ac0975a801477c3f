"""`/metrics` for Prometheus; `/status`, `/status.json` and `/status/upload` for operators."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, Response, request

from app.api.access import COOKIE, admin_of, is_local, is_proxied, may_see
from app.api.pages.status import login_page, status_page
from app.api.pages.texts import Language, language
from app.api.pages.upload import upload_page
from app.api.request import current_services, read_body
from app.auth.sealing import SESSION_MAX_AGE
from app.observability import metrics
from app.status.history import report

status = Blueprint("status", __name__)


@status.get("/metrics")
def scrape() -> Response:
    """Answer who reaches the instance itself; never through a balancer."""
    if is_proxied():
        return Response("404 page not found", 404, content_type="text/plain")
    body, content_type = metrics.exposition()
    return Response(body, content_type=content_type)


@status.get("/status.json")
def status_json() -> Response:
    """Describe this instance, for `openim-direct status` and the other instances' pages."""
    if not may_see():
        refusal = '{"error":"for admins: send an admin\'s token in the header `token`, or ask from this machine itself"}\n'
        return Response(refusal, 403, content_type="application/json")
    services = current_services()
    body = msgspec.json.encode(report(services.monitor, services.history))
    return _private(Response(body, content_type="application/json"))


@status.get("/status")
def show_status() -> Response:
    """Show the whole deployment as this instance sees it, and which node holds `?name=`."""
    if not may_see():
        return _login(refused=False)
    services = current_services()
    name = request.args.get("name", "")
    found = services.record(name) if name else None
    nonce = secrets.token_urlsafe(16)
    html = status_page(services.look(), services.instance.id, _language(), name, found, nonce=nonce)
    return _page(html, nonce)


@status.post("/status")
def log_in() -> Response:
    """Open the pages to an admin's browser, by a cookie of this deployment."""
    read_body()
    user = admin_of(request.form.get("token", "").strip())
    if user is None:
        return _login(refused=True)
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
    return _private(response)


@status.get("/status/upload")
def try_upload() -> Response:
    """Show the page that uploads a file from the browser, step by step."""
    if not may_see():
        return _login(refused=False, action="../status")
    # Nodes by instance, for the page's table of steps.
    nodes = {i.id: i.node for i in current_services().deployment.instances.values()}
    nonce = secrets.token_urlsafe(16)
    # Relative to `/status/upload`, whatever stands before that.
    return _page(upload_page(nodes, "..", _language(), nonce=nonce), nonce, everywhere=True)


def _language() -> Language:
    return language(request.headers.get("Accept-Language", ""))


def _login(refused: bool, action: str = "status") -> Response:
    nonce = secrets.token_urlsafe(16)
    response = _page(login_page(_language(), refused, nonce=nonce, action=action), nonce)
    response.status_code = 403 if refused else 401
    return response


def _page(html: str, nonce: str, everywhere: bool = False) -> Response:
    """
    :param everywhere: the page speaks to the nodes, by the URLs that it is given.
    """
    where = "* data: blob:" if everywhere else "'self'"
    response = _private(Response(html, content_type="text/html; charset=utf-8"))
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src {where}; "
        f"img-src {where}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return response


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
