"""Is a deployment sound, seen from this machine: each check by itself, with the cause of what is wrong and its cure."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from app.config.load import Deployment, Instance
from app.config.load import Node as NodeConfig
from app.core.errors import APIError, UnavailableError
from app.storage.http_pool import Pool, Response, Unreachable
from app.storage.signing import Presigner

OK, WARNING, FAULT = "ok", "warning", "fault"
#: Seconds.
_TIMEOUT = 3.0
#: Seconds by which clocks may differ; S3 refuses signatures from 15 minutes on.
_SKEW_WARNING, _SKEW_FAULT = 60, 840
#: v3.4.0's default, and this product's sample.
_DEFAULT_SECRETS = {"openIM123"}
_PROBE = b"openim-direct check"


class Check(msgspec.Struct, frozen=True):
    #: What was looked at: `deployment`, `records`, `redis`, `nodes.m1`, `instances.i1`.
    subject: str
    name: str
    result: str
    #: The cause and the cure; never holds a secret or a signed URL.
    detail: str = ""


class NodeCalls(Protocol):
    """What a node is asked."""

    def diagnose(self) -> tuple[str, str]: ...
    def make_missing_bucket(self) -> None: ...
    def put(self, key: str, body: bytes) -> None: ...
    def read(self, key: str, length: int) -> bytes: ...
    def remove(self, key: str) -> None: ...
    def probe_put(self) -> None: ...
    def unfinished_expiry(self) -> int | None: ...

    write_once: bool


class Asked(Protocol):
    """The neighbours that are not nodes; each raises UnavailableError or another exception where it cannot serve."""

    def records(self) -> None: ...
    def legacy_table(self) -> None: ...
    def redis(self) -> None: ...


def run(deployment: Deployment, nodes: Mapping[str, NodeCalls], asked: Asked, only: str | None = None) -> Iterator[Check]:
    """Every check, one after another, as it is done.

    :param nodes: those whose keys the file holds.
    :param only: the ID of one node or instance; nothing else is looked at then.
    """
    if only is None:
        yield from _shape(deployment)
        yield _asked("records", "database", asked.records)
        if deployment.legacy.table:
            yield _asked("records", "v3.4.0's table", asked.legacy_table)
        if deployment.auth.redis is not None:
            yield _asked("redis", "login", asked.redis)
    for config in deployment.nodes.values():
        if only in (None, config.id):
            yield from _node(config, nodes.get(config.id), deployment)
    for instance in deployment.instances.values():
        if only in (None, instance.id):
            yield _instance(instance)


def _shape(deployment: Deployment) -> Iterator[Check]:
    """What the file alone tells."""
    yield Check("deployment", "file", OK)
    for warning in deployment.warnings:
        yield Check("deployment", "secrets in files", WARNING, warning)
    urls = {"public_url": deployment.public_url}
    for node in deployment.nodes.values():
        urls |= {f"nodes.{node.id}.endpoint": node.endpoint, f"nodes.{node.id}.sign_endpoint": node.sign_endpoint}
    for path, url in urls.items():
        if "external_ip" in url:
            yield Check("deployment", "placeholder", FAULT, f"{path} holds external_ip: write the address that clients call")
    public = urlsplit(deployment.public_url).hostname or ""
    elsewhere = [i.id for i in deployment.instances.values() if not _is_loopback(urlsplit(i.url).hostname or "")]
    if _is_loopback(public) and elsewhere:
        detail = f"is a loopback address, and {', '.join(elsewhere)} are not: clients elsewhere cannot call it"
        yield Check("deployment", "public_url", FAULT, detail)
    signed_local = [n.id for n in deployment.nodes.values() if _is_loopback(urlsplit(n.sign_endpoint).hostname or "")]
    if not _is_loopback(public) and signed_local:
        detail = f"of {', '.join(signed_local)} is a loopback address: clients would send their parts to themselves"
        yield Check("deployment", "sign_endpoint", FAULT, detail)
    if not _is_private(public) and _DEFAULT_SECRETS & set(deployment.auth.secrets):
        detail = "auth.secret is v3.4.0's default, which everyone knows, on a public address: anyone can make tokens"
        yield Check("deployment", "auth.secret", FAULT, detail)


def _node(config: NodeConfig, node: NodeCalls | None, deployment: Deployment) -> Iterator[Check]:
    subject = f"nodes.{config.id}"
    reached = [(endpoint, *_reach(endpoint)) for endpoint in config.endpoints]
    for endpoint, result, detail in reached:
        # Of a cluster each is named: one that is down goes unnoticed otherwise.
        yield Check(subject, "address" if len(reached) == 1 else f"address {endpoint}", result, detail)
    if all(result == FAULT for _, result, _ in reached):
        return
    if node is None:
        yield Check(subject, "keys", WARNING, "this file holds none: views of its objects are sent to its own instances")
        return
    try:
        code, date = node.diagnose()
        yield _clock(subject, date)
        yield from _credentials(subject, config, node, code)
        if code in ("", "NoSuchBucket"):
            yield from _objects(subject, node)
            yield _through_sign_endpoint(subject, config)
            yield _unfinished(subject, node, deployment.uploads.expire)
    except APIError as e:
        yield Check(subject, "storage", FAULT, e.detail)


def _credentials(subject: str, config: NodeConfig, node: NodeCalls, code: str) -> Iterator[Check]:
    faults = {
        "InvalidAccessKeyId": "the node does not know this access_key",
        "SignatureDoesNotMatch": "the secret_key is wrong",
        "RequestTimeTooSkewed": "the clocks differ too much for any signature: see the clock",
        "AccessDenied": "the keys lack rights on the bucket: `openim-direct policy` prints what they need",
        "InvalidTokenId": "the session_token has expired, or is not of these keys",
    }
    if code in faults:
        yield Check(subject, "credentials", FAULT, faults[code])
        return
    if code not in ("", "NoSuchBucket"):
        yield Check(subject, "credentials", FAULT, f"the node answers {code}: is it MinIO's S3 port, and not its console?")
        return
    yield Check(subject, "credentials", OK)
    if code == "":
        yield Check(subject, "bucket", OK)
        return
    try:
        node.make_missing_bucket()
    except APIError as e:
        detail = f"{config.bucket} is not there, and may not be made with these keys ({e.detail}): make it by hand"
        yield Check(subject, "bucket", FAULT, detail)
    else:
        yield Check(subject, "bucket", OK, f"{config.bucket} was not there, and was made")


def _clock(subject: str, date: str) -> Check:
    if not date:
        return Check(subject, "clock", WARNING, "the node does not say its time")
    try:
        theirs = time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
    except ValueError:
        return Check(subject, "clock", WARNING, "the node's time cannot be read")
    skew = abs(time.time() - theirs)
    detail = f"differs by {skew:.0f} s from this machine's: synchronise both (NTP); S3 refuses signatures from 15 minutes on"
    if skew > _SKEW_FAULT:
        return Check(subject, "clock", FAULT, detail)
    return Check(subject, "clock", WARNING, detail) if skew > _SKEW_WARNING else Check(subject, "clock", OK)


def _objects(subject: str, node: NodeCalls) -> Iterator[Check]:
    key = f"openim/probe/{secrets.token_hex(8)}"
    try:
        node.put(key, _PROBE)
        if node.read(key, 100) != _PROBE:
            yield Check(subject, "PUT, GET, DELETE", FAULT, "an object did not read back as it was written")
            return
        node.remove(key)
        node.probe_put()
    except APIError as e:
        yield Check(subject, "PUT, GET, DELETE", FAULT, e.detail)
        return
    yield Check(subject, "PUT, GET, DELETE", OK)
    if node.write_once:
        yield Check(subject, "write-once PUT", OK)
    else:
        detail = (
            "the node does not keep to If-None-Match or signed lengths: small files take multipart uploads, which is slower"
        )
        yield Check(subject, "write-once PUT", WARNING, detail)


def _through_sign_endpoint(subject: str, config: NodeConfig) -> Check:
    """A signed PUT and GET as a client sends them; and where the signature fails only on this way, why."""
    name = "sign_endpoint"
    reached = _reach(config.sign_endpoint)
    if reached[0] == FAULT:
        return Check(subject, name, FAULT, f"{reached[1]}; this is the address that clients send parts to")
    key = f"openim/probe/{secrets.token_hex(8)}"
    try:
        put = _send(config, config.sign_endpoint, "PUT", key, _PROBE)
        if put.status == 200:
            got = _send(config, config.sign_endpoint, "GET", key)
            _send(config, config.sign_endpoint, "DELETE", key)
            if got.status == 200 and got.body == _PROBE:
                return Check(subject, name, OK)
            return Check(subject, name, FAULT, f"a signed PUT works, and a GET of it answers HTTP {got.status}")
        return Check(subject, name, FAULT, _why(config, key, put))
    except Unreachable as e:
        return Check(subject, name, FAULT, f"{e}; this is the address that clients send parts to")


def _send(
    config: NodeConfig, endpoint: str, method: str, key: str, body: bytes | None = None, signed_for: str | None = None
) -> Response:
    """Send a signed request to `endpoint`, signed for `signed_for` instead where that is given."""
    signer = Presigner(
        signed_for or endpoint, config.access_key or "", config.secret_key or "", config.region, config.session_token
    )
    headers = {} if body is None else {"content-length": str(len(body))}
    url = signer.presign(method, config.bucket, key, 300, headers=headers)
    there, signed = urlsplit(endpoint), urlsplit(url)
    path = (
        signed.path
        if signed_for is None
        else there.path.rstrip("/") + signed.path[len(urlsplit(signed_for).path.rstrip("/")) :]
    )
    pool = Pool(f"{there.scheme}://{there.netloc}", _TIMEOUT)
    try:
        return pool.request(method, f"{path}?{signed.query}", _TIMEOUT, body)
    finally:
        pool.close()


def _why(config: NodeConfig, key: str, answer: Response) -> str:
    """What a proxy in between did to a request whose signature is good without it."""
    sign = urlsplit(config.sign_endpoint)
    prefix = sign.path.rstrip("/")
    seen = re.search(rb"<Resource>([^<]*)</Resource>", answer.body)
    resource = seen.group(1).decode(errors="replace") if seen else ""
    if b"HTTP request to an HTTPS server" in answer.body or b"plain HTTP request was sent to HTTPS" in answer.body:
        return "it is http:// to a port that speaks https: write https:// in sign_endpoint"
    if prefix and resource.startswith(f"{prefix}/"):
        return (
            f"the prefix {prefix} reaches the node: the proxy must strip it. nginx: `proxy_pass http://NODE` with the rest "
            f"of $request_uri behind it, as `openim-direct nginx` renders it"
        )
    if resource and resource != (expected := f"/{config.bucket}/{key}") and expected.endswith(resource):
        return f"the node sees the path {resource}: the proxy strips too much; it must keep {expected}"
    if answer.status == 403 and b"SignatureDoesNotMatch" in answer.body:
        host = _signed_host(config, key)
        if host is not None:
            return (
                f"the proxy changes the Host header to {host}, which is signed. nginx: `proxy_set_header Host $http_host;` "
                f"(not $host, which loses the port, and not $proxy_host)"
            )
        return "the signature fails on this way alone: the proxy changes Host, path or query. Compare `openim-direct nginx`"
    if not seen:
        return f"HTTP {answer.status}, and not from S3: the proxy does not lead {sign.path or '/'} to the node"
    code = re.search(rb"<Code>(\w+)</Code>", answer.body)
    return f"HTTP {answer.status} {code.group(1).decode() if code else ''}"


def _signed_host(config: NodeConfig, key: str) -> str | None:
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
            if _send(config, config.sign_endpoint, "PUT", key, _PROBE, signed_for).status == 200:
                _send(config, config.endpoint, "DELETE", key)
                return host
    return None


def _unfinished(subject: str, node: NodeCalls, expire: int) -> Check:
    name = "unfinished uploads"
    seconds = node.unfinished_expiry()
    if seconds is None:
        return Check(
            subject, name, OK, "MinIO's stale_uploads_expiry is an admin's to ask; it must not be under uploads.expire"
        )
    if seconds < expire:
        detail = f"MinIO removes them after {seconds} s, uploads.expire promises {expire} s: raise api stale_uploads_expiry"
        return Check(subject, name, FAULT, detail)
    return Check(subject, name, OK)


def _instance(instance: Instance) -> Check:
    subject = f"instances.{instance.id}"
    pool = Pool(instance.url, _TIMEOUT)
    try:
        answer = pool.request("GET", "/readyz", _TIMEOUT)
    except Unreachable as e:
        return Check(subject, "ready", FAULT, f"{e} at {instance.url}: is it running, and is this its address?")
    finally:
        pool.close()
    try:
        state = msgspec.json.decode(answer.body)
        name, node, reason = state["instance"], state["node"], state["reason"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return Check(subject, "ready", FAULT, f"what answers at {instance.url} is no instance (HTTP {answer.status})")
    if (name, node) != (instance.id, instance.node):
        detail = f"{instance.url} is answered by {name} for node {node}: its file differs from this one, or url is wrong"
        return Check(subject, "ready", FAULT, detail)
    return Check(subject, "ready", OK) if answer.status == 200 else Check(subject, "ready", FAULT, f"node {node}: {reason}")


def _asked(subject: str, name: str, ask: Callable[[], None]) -> Check:
    try:
        ask()
    except UnavailableError as e:
        return Check(subject, name, FAULT, e.detail)
    return Check(subject, name, OK)


def _reach(url: str) -> tuple[str, str]:
    """DNS, TCP and TLS of a URL's host."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((host, port), _TIMEOUT) as connection:
            if parts.scheme == "https":
                with ssl.create_default_context().wrap_socket(connection, server_hostname=host):
                    pass
    except socket.gaierror:
        return FAULT, f"{host} does not resolve: is the name right, and known to this machine's DNS?"
    except ConnectionRefusedError:
        return FAULT, f"nothing listens at {host}:{port}"
    except TimeoutError:
        return FAULT, f"no answer from {host}:{port}: a firewall, or the wrong address"
    except ssl.SSLCertVerificationError as e:
        return FAULT, f"the TLS certificate of {host}:{port} is not trusted: {e.verify_message}"
    except ssl.SSLError as e:
        return FAULT, f"{host}:{port} does not speak TLS ({e.reason}): write http:// if it is plain"
    except OSError as e:
        return FAULT, f"{host}:{port}: {e.strerror or e}"
    return OK, ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_private(host: str) -> bool:
    """An address that is surely not on the public Internet; a name may be."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost"
