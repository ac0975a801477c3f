"""Checks the address that clients send parts to: a signed PUT and GET as a client sends them, and why they fail."""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlsplit

import requests

from app.config.models import Node as NodeConfig
from app.operations.checks.reach import reach
from app.operations.checks.result import FAULT, OK, Check
from app.routing.http_client import Unreachable, create_session, send
from app.storage.signing import Presigner

#: Seconds.
_TIMEOUT = 3.0
_PROBE = b"openim-direct check"


def check_sign_endpoint(subject: str, config: NodeConfig) -> Check:
    name, whose = "sign_endpoint", "this is the address that clients send parts to"
    result, detail = reach(config.sign_endpoint)
    if result == FAULT:
        return Check(subject, name, FAULT, f"{detail}; {whose}")
    key = f"openim/probe/{secrets.token_hex(8)}"
    try:
        with create_session() as session:
            put = _send(session, config, config.sign_endpoint, "PUT", key, _PROBE)
            if put.status_code != 200:
                return Check(subject, name, FAULT, _why(session, config, key, put))
            try:
                got = _send(session, config, config.sign_endpoint, "GET", key)
            finally:
                _send(session, config, config.sign_endpoint, "DELETE", key)
    except Unreachable as e:
        return Check(subject, name, FAULT, f"{e}; {whose}")
    if got.status_code == 200 and got.content == _PROBE:
        return Check(subject, name, OK)
    return Check(subject, name, FAULT, f"a signed PUT works, and a GET of it answers HTTP {got.status_code}")


def _send(
    session: requests.Session,
    config: NodeConfig,
    endpoint: str,
    method: str,
    key: str,
    body: bytes | None = None,
    signed_for: str | None = None,
) -> requests.Response:
    """Send a signed request to `endpoint`, signed for `signed_for` instead where that is given."""
    signer = Presigner(
        signed_for or endpoint, config.access_key or "", config.secret_key or "", config.region, config.session_token
    )
    headers = {} if body is None else {"content-length": str(len(body))}
    signed = urlsplit(signer.presign(method, config.bucket, key, 300, headers=headers))
    url = urlsplit(endpoint)
    return send(session, method, f"{url.scheme}://{url.netloc}", f"{signed.path}?{signed.query}", (_TIMEOUT, _TIMEOUT), body)


def _why(session: requests.Session, config: NodeConfig, key: str, answer: requests.Response) -> str:
    """What a proxy in between did to a request whose signature is good without it."""
    sign = urlsplit(config.sign_endpoint)
    prefix = sign.path.rstrip("/")
    seen = re.search(rb"<Resource>([^<]*)</Resource>", answer.content)
    resource = seen.group(1).decode(errors="replace") if seen else ""
    if b"HTTP request to an HTTPS server" in answer.content or b"plain HTTP request was sent to HTTPS" in answer.content:
        return "it is http:// to a port that speaks https: write https:// in sign_endpoint"
    if prefix and resource.startswith(f"{prefix}/"):
        return (
            f"the prefix {prefix} reaches the node: the proxy must strip it. nginx: `proxy_pass http://NODE` with the rest "
            f"of $request_uri behind it, as `openim-direct nginx` renders it"
        )
    if resource and resource != (expected := f"/{config.bucket}/{key}") and expected.endswith(resource):
        return f"the node sees the path {resource}: the proxy strips too much; it must keep {expected}"
    if answer.status_code == 403 and b"SignatureDoesNotMatch" in answer.content:
        host = _signed_host(session, config, key)
        if host is not None:
            return (
                f"the proxy changes the Host header to {host}, which is signed. nginx: `proxy_set_header Host $http_host;` "
                f"(not $host, which loses the port, and not $proxy_host)"
            )
        return "the signature fails on this way alone: the proxy changes Host, path or query. Compare `openim-direct nginx`"
    if not seen:
        return f"HTTP {answer.status_code}, and not from S3: the proxy does not lead {sign.path or '/'} to the node"
    code = re.search(rb"<Code>(\w+)</Code>", answer.content)
    return f"HTTP {answer.status_code} {code.group(1).decode() if code else ''}"


def _signed_host(session: requests.Session, config: NodeConfig, key: str) -> str | None:
    """The Host that the node saw, found by signing for likely ones until one is taken."""
    sign, endpoint = urlsplit(config.sign_endpoint), urlsplit(config.endpoint)
    candidates = [
        sign.hostname or "",
        endpoint.netloc,
        endpoint.hostname or "",
        f"{sign.hostname}:{endpoint.port or 80}",
        "localhost",
        f"localhost:{endpoint.port or 80}",
        f"minio_{config.id}",
        f"oim_s3_{config.id}",
        "minio",
        "minio:9000",
    ]
    for host in dict.fromkeys(candidates):
        if host and host != sign.netloc:
            signed_for = f"{sign.scheme}://{host}{sign.path}"
            if _send(session, config, config.sign_endpoint, "PUT", key, _PROBE, signed_for).status_code == 200:
                _send(session, config, config.endpoint, "DELETE", key)
                return host
    return None
