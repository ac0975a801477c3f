"""Checks addresses of a node: DNS, TCP and TLS, and a signed PUT and GET as clients send them, with why they fail."""

from __future__ import annotations

import re
import secrets
import socket
import ssl
from urllib.parse import urlsplit

import requests

from app.config.models import Node as NodeConfig
from app.core.addresses import endpoint
from app.operations.checks.result import FAULT, OK, Check
from app.routing.http_client import Unreachable, create_session, send
from app.storage.signing import Presigner

#: Seconds.
_TIMEOUT = 3.0
_PROBE = b"openim-direct check"


def check_sign_endpoint(subject: str, config: NodeConfig) -> Check:
    detail = _fault(config)
    return Check(subject, "sign_endpoint", FAULT if detail else OK, detail)


def _fault(config: NodeConfig) -> str:
    whose = "this is the address that clients send parts to"
    # The balancer's certificate may be of an authority that everyone knows, where the nodes' are of a private one.
    ca_file = None
    result, detail = reach(config.sign_endpoint)
    if result == FAULT and config.ca_file:
        ca_file = config.ca_file
        result, detail = reach(config.sign_endpoint, ca_file)
    if result == FAULT:
        return f"{detail}; {whose}"
    key = f"openim/probe/{secrets.token_hex(8)}"
    try:
        with create_session(ca_file=ca_file) as session:
            put = _send(session, config, "PUT", key, _PROBE)
            if put.status_code != 200:
                return _why(config, key, put)
            try:
                got = _send(session, config, "GET", key)
            finally:
                _send(session, config, "DELETE", key)
    except Unreachable as e:
        return f"{e}; {whose}"
    if got.status_code != 200 or got.content != _PROBE:
        return f"a signed PUT works, and a GET of it answers HTTP {got.status_code}"
    return ""


def _send(
    session: requests.Session, config: NodeConfig, method: str, key: str, body: bytes | None = None
) -> requests.Response:
    keys = config.access_key or "", config.secret_key or "", config.region, config.session_token
    headers = {} if body is None else {"content-length": str(len(body))}
    url = urlsplit(Presigner(config.sign_endpoint, *keys).presign(method, config.bucket, key, 300, headers=headers))
    return send(session, method, f"{url.scheme}://{url.netloc}", f"{url.path}?{url.query}", (_TIMEOUT, _TIMEOUT), body)


def _why(config: NodeConfig, key: str, answer: requests.Response) -> str:
    """What a proxy in between did to a request whose signature is good without it, by what the node says that it got."""
    path, expected, text = urlsplit(config.sign_endpoint).path.rstrip("/"), f"/{config.bucket}/{key}", answer.text
    code, resource = (m[1] if (m := re.search(f"<{tag}>([^<]*)</{tag}>", text)) else "" for tag in ("Code", "Resource"))
    if "HTTP request to an HTTPS server" in text or "plain HTTP request was sent to HTTPS" in text:
        return "it is http:// to a port that speaks https: write https:// in sign_endpoint"
    if path and resource.startswith(f"{path}/"):
        return (
            f"the prefix {path} reaches the node: the proxy must strip it. nginx: `proxy_pass http://NODE` with the rest "
            f"of $request_uri behind it, as `openim-direct nginx` renders it"
        )
    if resource and resource != expected and expected.endswith(resource):
        return f"the node sees the path {resource}: the proxy strips too much; it must keep {expected}"
    if code == "SignatureDoesNotMatch":
        return (
            "the proxy changes the Host header, which is signed, or the query. nginx: `proxy_set_header Host $http_host;` "
            "(not $host, which loses the port, and not $proxy_host). Compare `openim-direct nginx`"
        )
    if not resource:
        return f"HTTP {answer.status_code}, and not from S3: the proxy does not lead {path or '/'} to the node"
    return f"HTTP {answer.status_code} {code}"


def reach(url: str, ca_file: str | None = None) -> tuple[str, str]:
    """Whether a URL's host can be reached: result, and where it ends if not.

    :param ca_file: trusted instead of the system's authorities.
    """
    host, port = endpoint(url)
    name = host.strip("[]")
    try:
        with socket.create_connection((name, port), _TIMEOUT) as connection:
            if url.startswith("https:"):
                with ssl.create_default_context(cafile=ca_file).wrap_socket(connection, server_hostname=name):
                    pass
    except socket.gaierror:
        return FAULT, f"{host} does not resolve: is the name right, and known to this machine's DNS?"
    except ConnectionRefusedError:
        return FAULT, f"nothing listens at {host}:{port}"
    except TimeoutError:
        return FAULT, f"no answer from {host}:{port}: a firewall, or the wrong address"
    except ssl.SSLCertVerificationError as e:
        cure = "is its authority in ca_file?" if ca_file else "a private authority's certificate belongs into ca_file"
        return FAULT, f"the TLS certificate of {host}:{port} is not trusted: {e.verify_message.rstrip('.')}; {cure}"
    except ssl.SSLError as e:
        return FAULT, f"{host}:{port} does not speak TLS ({e.reason}): write http:// if it is plain"
    except OSError as e:
        return FAULT, f"{host}:{port}: {e.strerror or e}"
    return OK, ""
