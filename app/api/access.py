"""Decides who may see the pages for operators: this machine itself, admins, and the deployment's other instances."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import g, request

from app.api.request import current_services, first_value
from app.core.errors import APIError

COOKIE = "openim_direct_status"
#: What proxies add. Behind one on this machine, every client's address is a loopback one.
_PROXIED = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Via")


def may_see() -> bool:
    """Whether the current request comes from this machine, an admin, or an instance of this deployment."""
    sealer = current_services().sealer
    if is_local() or sealer.session_user(request.cookies.get(COOKIE)) is not None or g.forwarded_by is not None:
        return True
    return admin_of(first_value("token")) is not None


def admin_of(token: str) -> str | None:
    """Return the admin whose token this is; None where it is no admin's, or no token."""
    try:
        identity = current_services().authenticator.identify(token) if token else None
    except APIError:
        return None
    return identity.user if identity is not None and identity.is_admin else None


def is_proxied() -> bool:
    return any(name in request.headers for name in _PROXIED)


def is_local() -> bool:
    """Whether the client is on this machine itself.

    Its address does not tell, behind a balancer on the same machine: so nothing that a proxy adds may be there, HTTP/1.0 is
    nginx's own default, and the requested host name must be this machine's (which also keeps out pages of other sites
    whose host name was made to resolve to it).
    """
    if is_proxied() or request.environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return False
    host = urlsplit(f"//{request.host}").hostname or ""
    return _is_loopback(request.remote_addr or "") and (host == "localhost" or _is_loopback(host))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
