"""HAProxy's configuration from a deployment (2.4 and later; tried on 2.6). Pure: text in, text out."""

from __future__ import annotations

import re

from app.config.models import Deployment, Node
from app.core.errors import NetworkError
from app.routing.balancer.common import (
    COMPLETE_READ_TIMEOUT,
    DOWN,
    READ_TIMEOUT,
    RenderError,
    authority,
    failure_body,
    listen_address,
    public_path,
    s3_prefixes,
)
from app.routing.forwarding import MARK_HEADER, PREFIX_HEADER

#: Bytes. A POST is tried again only if its whole body is in one buffer; 10,000 part hashes take 350 KB.
_BUFFER = 512 << 10


def render(deployment: Deployment) -> str:
    """A complete file.

    :raises RenderError: says which key is missing, or what HAProxy cannot do.
    """
    if any(node.endpoint.startswith("https:") for node in deployment.nodes.values()):
        raise RenderError("HAProxy's configuration is rendered for nodes at http:// endpoints only")
    parts = [_head(), _frontend(deployment), _instances(deployment), _nodes(deployment)]
    if deployment.balancer.legacy_api is not None:
        parts.append(
            f"backend oim_legacy\n    timeout server 60s\n    server legacy {authority(deployment.balancer.legacy_api)}\n"
        )
    return "# Rendered by `openim-direct haproxy` from instances.yaml; change that, and render again.\n" + "\n".join(parts)


def _head() -> str:
    return f"""global
    maxconn 4096
    tune.bufsize {_BUFFER}

defaults
    mode http
    timeout connect 1s
    timeout client 65s
    timeout server {READ_TIMEOUT}s
    timeout http-request 30s
    timeout http-keep-alive 65s
    # HAProxy's own answer in OpenIM's envelope.
    http-error status 503 content-type application/json string '{failure_body(NetworkError(DOWN))}' hdr Access-Control-Allow-Origin * hdr Retry-After 2
"""  # noqa: E501 (one directive, one line)


def _frontend(deployment: Deployment) -> str:
    prefix = public_path(deployment)
    optional = f"({re.escape(prefix)})?" if prefix else ""
    listen = listen_address(deployment)
    bind = listen if ":" in listen else f":{listen}"
    if deployment.balancer.certificate is not None:
        # HAProxy reads the key from `<certificate>.key` beside it.
        bind += f" ssl crt {deployment.balancer.certificate}"
    lines = [
        "frontend openim_direct",
        f"    bind {bind}",
        f"    http-request del-header {MARK_HEADER}",
        f"    http-request del-header {PREFIX_HEADER}",
        "    http-request set-header X-Real-IP %[src]",
        "    http-request set-header X-Forwarded-For %[src]",
        # `path` is what the client sent, not decoded: names keep their %, spaces and Chinese characters.
        f"    acl oim_prefixed path_reg ^{optional}/i/[A-Za-z0-9_-]+/object/",
        f"    acl oim_object path_reg ^{optional}/object/",
    ]
    if prefix:
        lines.append(f"    http-request replace-path ^{re.escape(prefix)}(/(object|i|status)/.*) \\1")
        lines.append(f"    http-request replace-path ^{re.escape(prefix)}(/status)$ \\1")
    lines += [
        "    http-request set-var(txn.oim_path) path,field(3,/) if oim_prefixed",
        f"    http-request set-header {PREFIX_HEADER} %[var(txn.oim_path)] if oim_prefixed",
        "    acl oim_known var(txn.oim_path) -m str " + " ".join(deployment.instances),
        "    use_backend oim_instances if oim_object !oim_prefixed",
        "    # For admins. /metrics and /status.json stay inside.",
        "    use_backend oim_instances if { path /status /status/upload }",
        "    # An instance that is gone: views of its links go where those without an instance go; nothing else does.",
        "    use_backend oim_instances if oim_prefixed oim_known or oim_prefixed METH_GET",
    ]
    for node, at in s3_prefixes(deployment):
        # With the bucket, so that health, admin and STS routes are not reachable.
        lines.append(f"    use_backend oim_s3_{node.id} if {{ path_beg {at}/{node.bucket}/ }}")
    not_found = "http-request return status 404 content-type text/plain string '404 page not found' hdr Access-Control-Allow-Origin *"  # noqa: E501
    if deployment.balancer.legacy_api is None:
        lines.append("    default_backend oim_nothing")
        lines += ["", "backend oim_nothing", f"    {not_found}"]
    else:
        # Nor is it any business of the legacy API.
        lines.append("    use_backend oim_nothing if oim_prefixed")
        lines += ["    default_backend oim_legacy", "", "backend oim_nothing", f"    {not_found}"]
    return "\n".join(lines) + "\n"


def _instances(deployment: Deployment) -> str:
    lines = [
        "backend oim_instances",
        "    # Without a cookie: the token decides, and without a token the address; `balance hdr` would not.",
        "    http-request set-var(txn.oim_key) src",
        "    http-request set-var(txn.oim_key) req.hdr(token) if { req.hdr(token) -m found }",
        "    balance hash var(txn.oim_key)",
        "    hash-type consistent",
        "    # Passive: the instance sets the cookie, and only where there is none.",
        f"    cookie {deployment.cookie.name}",
        "    # /i/<instance>/object/... beats the cookie.",
        "    ignore-persist if { var(txn.oim_path) -m found }",
        "    http-request replace-path ^/i/[^/]+(/object/.*) \\1 if { var(txn.oim_path) -m found }",
        f"    http-request set-timeout server {COMPLETE_READ_TIMEOUT}s if {{ path_end /object/complete_multipart_upload }}",
        *(f"    use-server {i} if {{ var(txn.oim_path) -m str {i} }}" for i in deployment.instances),
        "    # A POST is tried on another instance too: every POST of the object API may be repeated.",
        "    # On a kept connection that a dying instance cut, HAProxy would close the client's without an answer.",
        "    http-reuse never",
        "    option http-buffer-request",
        "    option redispatch 1",
        f"    retries {max(2, len(deployment.instances))}",
        "    retry-on conn-failure empty-response response-timeout 502 503 504",
        "    option httpchk",
        "    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host openim-direct",
        "    http-check expect status 200",
        "    # A refused connection takes a server out at once, until its next good check.",
        "    default-server check inter 500ms fall 2 rise 1 observe layer4 error-limit 1 on-error mark-down",
    ]
    lines += [f"    server {i.id} {authority(i.url)} cookie {i.id}" for i in deployment.instances.values()]
    return "\n".join(lines) + "\n"


def _servers(node: Node) -> list[str]:
    if len(node.endpoints) == 1:
        return [f"    server {node.id} {authority(node.endpoint)}"]
    # Any endpoint of a cluster has all of its objects.
    lines = ["    balance roundrobin", "    option httpchk GET /minio/health/live", "    option redispatch 1"]
    lines += ["    retries 3", "    retry-on conn-failure", "    default-server check inter 1s fall 2 rise 1"]
    return lines + [f"    server {node.id}_{n} {authority(e)}" for n, e in enumerate(node.endpoints, 1)]


def _nodes(deployment: Deployment) -> str:
    texts = []
    for node in deployment.nodes.values():
        prefixes = [at for other, at in s3_prefixes(deployment) if other is node]
        lines = [f"backend oim_s3_{node.id}", "    # Parts of up to 5 GiB stream through.", "    timeout server 300s"]
        lines += [f"    http-request replace-path ^{re.escape(at)}(/.*) \\1" for at in prefixes]
        lines += _servers(node)
        texts.append("\n".join(lines) + "\n")
    return "\n".join(texts)
