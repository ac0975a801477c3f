"""Sends HTTP requests to other instances, and signed ones to nodes as a client would, through requests."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy

import requests
from requests.adapters import HTTPAdapter

from app import __version__
from app.core.names import encoded_target
from app.core.unreachable import CUT, reason

#: Connections to one server that are kept open while unused; more may be in use at once.
_KEPT = 32


class Unreachable(Exception):
    """No answer, or not all of it; the text says why, without host, path or query."""


def create_session(servers: int = 1, ca_file: str | None = None) -> requests.Session:
    """A session that keeps connections to `servers` servers, and nothing else: no cookies of one client for the next, no
    proxies or passwords of the environment.

    :param ca_file: trusted instead of the system's authorities; read for each connection, so that a renewed one is taken.
    """
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    session.headers["User-Agent"] = f"openim-direct/{__version__}"
    paths = ssl.get_default_verify_paths()
    session.verify = ca_file or paths.cafile or paths.capath or True
    adapter = HTTPAdapter(pool_connections=servers, pool_maxsize=_KEPT, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def send(
    session: requests.Session,
    method: str,
    origin: str,
    target: str,
    timeout: tuple[float, float],
    body: bytes | None = None,
    headers: Mapping[str, str | bytes] | None = None,
) -> requests.Response:
    """Send a request and read its whole answer; redirects are answers too. One that is cut is sent once more, since the
    server may have closed a kept connection just as it was used: everything that is sent here may be repeated.

    :param origin: scheme and authority.
    :param target: path and query, which arrive byte for byte: a name or a signature may hold `//`, `..` and `%2F`, which
        requests would change. Characters stand for bytes, as in WSGI (latin-1); what no target may hold is encoded.
    :param timeout: seconds to connect, and of silence after that.
    :raises Unreachable:
    """

    def send_once() -> requests.Response:
        response = session.send(request, timeout=timeout, allow_redirects=False)
        check_end(response)
        return response

    try:
        request = session.prepare_request(requests.Request(method, origin, headers=headers, data=body))
        # As requests' documentation has it for URLs that must stay as they are.
        request.url = origin + encoded_target(target)
        try:
            return send_once()
        except requests.RequestException as e:
            if reason(e) != CUT:
                raise
        return send_once()
    except OSError as e:
        # Those of requests are some of these; a file of certificates that is gone is none of requests'.
        raise Unreachable(reason(e)) from e


def check_end(response: requests.Response) -> None:
    """Refuse an answer that was cut before it said how long it is: to the standard library that is a whole one without
    body. Cut later, requests sees it.

    :raises requests.exceptions.ChunkedEncodingError: as requests raises for a cut body.
    """
    headers = response.headers
    known = "Content-Length" in headers or "Transfer-Encoding" in headers or "close" in headers.get("Connection", "")
    # Answers without a body have no length (RFC 9112, 6.3).
    if not known and response.request.method != "HEAD" and response.status_code not in (204, 304):
        raise requests.exceptions.ChunkedEncodingError
