"""Describes a deployment to the balancers' templates: addresses, names and paths, ready to stand in a configuration."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

from app.config.models import Deployment, Instance
from app.core import cors
from app.core.addresses import DEFAULT_PORTS, authority, endpoint, is_loopback
from app.routing.balancer.refusals import MAX_BODY, MAX_HEADERS, MAX_LINE, RETRY_AFTER, refusals, s3_unreachable
from app.routing.forwarding import COMPLETE_TOTAL_TIMEOUT, MARK_HEADER, PREFIX_HEADER, TOTAL_TIMEOUT


class RenderError(Exception):
    """The deployment lacks something that the balancer's configuration needs."""


def describe(deployment: Deployment) -> dict[str, Any]:
    """Gather what every balancer's template may name.

    :raises RenderError: says which key is missing.
    """
    public, balancer, legacy_api = urlsplit(deployment.public_url), deployment.balancer, deployment.balancer.legacy_api
    nodes = {
        node.id: {
            "id": node.id,
            "bucket": node.bucket,
            "scheme": urlsplit(node.endpoint).scheme,
            # One, or the endpoints of a MinIO cluster; host:port, as everywhere here.
            "addresses": list(map(_address, node.endpoints)),
        }
        for node in deployment.nodes.values()
    }
    # A path under which requests go to a node: `/s3/<node>`, or what sign_endpoint names on the balancer's host.
    node_paths: list[dict[str, Any]] = [
        {"path": path, "node": nodes[node.id]}
        for node in deployment.nodes.values()
        for path in dict.fromkeys([f"/s3/{node.id}", *_own_path(urlsplit(node.sign_endpoint), public)])
    ]
    return {
        # Each a port, or address:port.
        "listen": _listen(deployment),
        "certificate": balancer.certificate,
        "certificate_key": balancer.certificate_key,
        # public_url's host, and the path it ends in, which a proxy in front may strip or pass; empty where it has none.
        "public_host": endpoint(deployment.public_url)[0].removesuffix("."),
        "public_path": public.path,
        "hosts": _hosts(deployment),
        "cookie": deployment.cookie.name,
        # Whether redirects of views may be kept, which takes the balancer's clock of whole seconds at least 2.
        "caches_views": deployment.views.cache > 1,
        "instances": [
            {"id": i.id, "address": _address(i.url), "backups": _backups(deployment, i)}
            for i in deployment.instances.values()
        ],
        "nodes": list(nodes.values()),
        "node_paths": node_paths,
        # The same paths as few locations: `/s3`, and what lies outside it.
        "s3_locations": list(dict.fromkeys("/s3" if s3["path"].startswith("/s3/") else s3["path"] for s3 in node_paths)),
        # What a page of another origin is told; origins as the instances compare them, byte for byte.
        "cors": {
            "origins": deployment.cors_origins,
            "exposed": cors.EXPOSED,
            "max_age": cors.MAX_AGE,
            "methods": cors.METHODS,
            "preflight": cors.PREFLIGHT_BODY,
            "max_asked": cors.MAX_ASKED,
        },
        "legacy_api": legacy_api and {"scheme": urlsplit(legacy_api).scheme, "address": _address(legacy_api)},
        # Headers that no client may send.
        "mark_header": MARK_HEADER,
        "prefix_header": PREFIX_HEADER,
        # Seconds, longer than an instance takes with all its tries of other instances, so that its answer arrives.
        "read_timeout": int(TOTAL_TIMEOUT) + 2,
        "complete_read_timeout": int(COMPLETE_TOTAL_TIMEOUT) + 5,
        # What the balancer answers itself, and from how many bytes on.
        "refusals": refusals(),
        "s3_unreachable": s3_unreachable(),
        "retry_after": RETRY_AFTER,
        "max_line": MAX_LINE,
        "max_headers": MAX_HEADERS,
        "max_body": MAX_BODY,
    }


def _listen(deployment: Deployment) -> list[str]:
    """balancer.listen, else the port that public_url names."""
    if deployment.balancer.listen is not None:
        return [deployment.balancer.listen]
    if deployment.public_url.startswith("https:") and deployment.balancer.certificate is None:
        raise RenderError(
            "public_url is https: set balancer.certificate and balancer.certificate_key, or balancer.listen to the plain "
            "port behind the TLS proxy"
        )
    host, port = endpoint(deployment.public_url)
    # A deployment on loopback stays there.
    loopback = is_loopback(host)
    if host.startswith("["):
        return [f"127.0.0.1:{port}", f"{host}:{port}"] if loopback else [str(port), f"[::]:{port}"]
    if loopback:
        return [f"{host if host[0].isdigit() else '127.0.0.1'}:{port}"]
    return [str(port)]


def _hosts(deployment: Deployment) -> list[dict[str, str]]:
    """What is signed as Host, and a regular expression of what else clients make of it, in any case."""
    names: dict[str, str] = {}
    for url in (deployment.public_url, *(node.sign_endpoint for node in deployment.nodes.values())):
        name = authority(url)
        own = "" if name.endswith(f":{endpoint(url)[1]}") else f"(:{DEFAULT_PORTS[url.partition(':')[0]]})?"
        names[name] = regex(name) + own
    return [{"name": name, "pattern": pattern} for name, pattern in names.items()]


def regex(text: str) -> str:
    """Escape an ID, a bucket, a path or a host, which have no other characters that a regular expression reads."""
    return re.sub(r"[.~\[\]]", lambda m: f"\\{m.group()}", text)


def _address(url: str) -> str:
    return "{}:{}".format(*endpoint(url))


def _own_path(sign: SplitResult, public: SplitResult) -> list[str]:
    return [sign.path] if sign.netloc == public.netloc and sign.path else []


def _backups(deployment: Deployment, instance: Instance) -> list[str]:
    """Addresses of the instances that serve an instance's clients while it is down, the first choice first.

    Instances of its own node come first, since they can go on with its uploads; then the others, beginning behind it, so
    that not all of them fall to one.
    """
    ordered = list(deployment.instances.values())
    at = ordered.index(instance)
    others = ordered[at + 1 :] + ordered[:at]
    return [_address(other.url) for other in sorted(others, key=lambda other: other.node != instance.node)]
