"""`/metrics` for Prometheus; `/status`, `/status.json` and `/status/upload` for operators."""

from __future__ import annotations

import ipaddress
import secrets
from urllib.parse import urlsplit

import msgspec
from flask import Flask, Response, request

from app.api.pages.status import login_page, status_page
from app.api.pages.texts import Language, language
from app.api.pages.upload import upload_page
from app.api.services import Services
from app.auth.sealing import SESSION_MAX_AGE
from app.core.errors import APIError
from app.observability import metrics
from app.routing.forwarding import MARK_HEADER
from app.status.history import report

PATHS = ("/status", "/metrics")
_COOKIE = "openim_direct_status"
#: What proxies add. Behind one on this machine, every client's address is a loopback one.
_PROXIED = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Via")


def add_routes(app: Flask, services: Services) -> None:
    deployment, instance = services.deployment, services.instance
    # Nodes by instance, for the try-it page's table of steps.
    nodes = {i.id: i.node for i in deployment.instances.values()}

    def scrape() -> Response:
        """For who reaches the instance itself; never through a balancer."""
        if _is_proxied():
            return Response("404 page not found", 404, content_type="text/plain")
        body, content_type = metrics.exposition()
        return Response(body, content_type=content_type)

    def allowed() -> bool:
        if _is_local() or services.sealer.session_user(request.cookies.get(_COOKIE)) is not None:
            return True
        if services.sealer.forwarded_by(request.headers.get(MARK_HEADER)) is not None:
            return True
        return _is_admin(request.headers.get("token", ""))

    def _is_admin(token: str) -> bool:
        try:
            return bool(token) and services.authenticator.identify(token).is_admin
        except APIError:
            return False

    def status_json() -> Response:
        if not allowed():
            return Response(
                '{"error":"for admins: send an admin\'s token in the header `token`, or ask from this machine itself"}\n',
                403,
                content_type="application/json",
            )
        return _private(
            Response(msgspec.json.encode(report(services.monitor, services.history)), content_type="application/json")
        )

    def page(html: str, nonce: str, everywhere: bool = False) -> Response:
        # The try-it page speaks to the nodes, by the URLs that it is given.
        where = "* data: blob:" if everywhere else "'self'"
        response = _private(Response(html, content_type="text/html; charset=utf-8"))
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src {where}; "
            f"img-src {where}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return response

    def login(spoken: Language, refused: bool, action: str = "status") -> Response:
        nonce = secrets.token_urlsafe(16)
        response = page(login_page(spoken, refused, nonce=nonce, action=action), nonce)
        response.status_code = 403 if refused else 401
        return response

    def status() -> Response:
        spoken = language(request.headers.get("Accept-Language", ""))
        if request.method == "POST":
            token = request.form.get("token", "").strip()
            if not _is_admin(token):
                return login(spoken, refused=True)
            # Relative: this server does not know by which path it is reached.
            response = Response(status=303, headers={"Location": "status"})
            secure = urlsplit(deployment.public_url).scheme == "https" and not _is_local()
            user = services.authenticator.identify(token).user
            response.set_cookie(
                _COOKIE,
                services.sealer.seal_session(user),
                max_age=SESSION_MAX_AGE,
                httponly=True,
                secure=secure,
                samesite="Strict",
            )
            return _private(response)
        if not allowed():
            return login(spoken, refused=False)
        nonce = secrets.token_urlsafe(16)
        name = request.args.get("name", "")
        found = services.record(name) if name else None
        return page(status_page(services.look(), instance.id, spoken, name, found, nonce=nonce), nonce)

    def try_it() -> Response:
        spoken = language(request.headers.get("Accept-Language", ""))
        if not allowed():
            return login(spoken, refused=False, action="../status")
        nonce = secrets.token_urlsafe(16)
        # Relative to `/status/upload`, whatever stands before that.
        return page(upload_page(nodes, "..", spoken, nonce=nonce), nonce, everywhere=True)

    app.add_url_rule("/metrics", "metrics", scrape)
    app.add_url_rule("/status.json", "status_json", status_json)
    app.add_url_rule("/status", "status", status, methods=["GET", "POST"])
    app.add_url_rule("/status/upload", "try_it", try_it)


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _is_proxied() -> bool:
    return any(name in request.headers for name in _PROXIED)


def _is_local() -> bool:
    """Whether the client is on this machine itself.

    Its address does not tell, behind a balancer on the same machine: so nothing that a proxy adds may be there, HTTP/1.0 is
    nginx's own default, and the name that was asked for must be this machine's (which also keeps out pages of other sites
    whose host name was made to resolve to it).
    """
    if _is_proxied() or request.environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return False
    host = urlsplit(f"//{request.host}").hostname or ""
    return _is_loopback(request.remote_addr or "") and (host == "localhost" or _is_loopback(host))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
