"""Describes a deployment to the balancers' templates: addresses, names and paths, ready to stand in a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from app.config.models import Deployment, Instance
from app.core import cors
from app.core.addresses import DEFAULT_PORTS, authority, endpoint, is_loopback
from app.routing.balancer.refusals import MAX_BODY, MAX_HEADER, MAX_HEADERS, MAX_LINE, RETRY_AFTER, refusals, s3_unreachable
from app.routing.forwarding import COMPLETE_TOTAL_TIMEOUT, MARK_HEADER, PREFIX_HEADER, TOTAL_TIMEOUT


class RenderError(Exception):
    """The deployment lacks something that the balancer's configuration needs."""


class Machine(NamedTuple):
    """What a rendered file takes from the machine that it is for.

    :ivar ipv6: whether addresses of IPv6 can be listened on.
    :ivar authorities: file of the certificates that the system trusts; None where there is none.
    """

    ipv6: bool = True
    authorities: str | None = "/etc/ssl/certs/ca-certificates.crt"


#: As most are.
COMMON = Machine()


def describe(deployment: Deployment, machine: Machine) -> dict[str, Any]:
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
            "tls": _tls(f"nodes.{node.id}.endpoint", node.endpoints, node.ca_file, machine),
        }
        for node in deployment.nodes.values()
    }
    # A path under which requests go to a node: `/s3/<node>`, or what sign_endpoint names on the balancer's host.
    node_paths: list[dict[str, Any]] = [
        {"path": path, "node": nodes[node.id]}
        for node in deployment.nodes.values()
        for path in dict.fromkeys([f"/s3/{node.id}", *_own_path(urlsplit(node.sign_endpoint), public)])
    ]
    urls = [i.url for i in deployment.instances.values()]
    return {
        # Each a port, or address:port.
        "listens": _listens(deployment, machine.ipv6),
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
            {"id": i.id, "address": _address(i.url), "host": urlsplit(i.url).hostname, "backups": _backups(deployment, i)}
            for i in deployment.instances.values()
        ],
        "instances_scheme": urlsplit(urls[0]).scheme,
        "instances_tls": _tls("url of instances", urls, deployment.ca_file, machine),
        "nodes": list(nodes.values()),
        "node_paths": node_paths,
        "s3_locations": _s3_locations(node_paths),
        # What a page of another origin is told; origins as the instances compare them, byte for byte.
        "cors": {
            "origins": deployment.cors_origins,
            "exposed": cors.EXPOSED,
            "max_age": cors.MAX_AGE,
            "methods": cors.METHODS,
            "preflight": cors.PREFLIGHT_BODY,
            "max_asked": cors.MAX_ASKED,
        },
        "legacy_api": legacy_api
        and {
            "scheme": urlsplit(legacy_api).scheme,
            "address": _address(legacy_api),
            "tls": _tls("balancer.legacy_api", [legacy_api], deployment.ca_file, machine),
        },
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
        "max_header": MAX_HEADER,
        "max_headers": MAX_HEADERS,
        "max_body": MAX_BODY,
    }


def _tls(path: str, urls: Sequence[str], ca_file: str | None, machine: Machine) -> dict[str, Any] | None:
    """How the certificates of servers at https are verified: by which authorities, and for which names; None at http.

    :param path: of the key that names them.
    """
    hosts = [urlsplit(url).hostname or "" for url in urls if urlsplit(url).scheme == "https"]
    if not hosts:
        return None
    if any(re.fullmatch(r"[0-9.]+|.*:.*", host) for host in hosts):
        raise RenderError(f"{path}: nginx and HAProxy verify certificates by name: write a host name instead of an address")
    authorities = ca_file or machine.authorities
    if authorities is None:
        raise RenderError(f"{path} is https, and no file of the system's authorities was found: set ca_file")
    return {"ca_file": authorities, "hosts": hosts}


def _s3_locations(node_paths: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The paths of nodes as few locations: `/s3`, what lies outside it, and nodes that other authorities certify than the
    first, since a location has one file of them."""
    common = next((s3["node"]["tls"]["ca_file"] for s3 in node_paths if s3["node"]["tls"]), None)
    found: dict[str, dict[str, Any]] = {}
    for s3 in node_paths:
        ca_file = s3["node"]["tls"] and s3["node"]["tls"]["ca_file"]
        path = "/s3" if s3["path"].startswith("/s3/") and ca_file in (None, common) else s3["path"]
        found.setdefault(path, {"path": path, "ca_file": common if path == "/s3" else ca_file})
    return list(found.values())


def _listens(deployment: Deployment, ipv6: bool) -> list[str]:
    """balancer.listen, else the port that public_url names; on both families where it names no address."""
    if deployment.balancer.listen is not None:
        listen = deployment.balancer.listen
        return [listen, f"[::]:{listen}"] if ipv6 and ":" not in listen else [listen]
    if deployment.public_url.startswith("https:") and deployment.balancer.certificate is None:
        raise RenderError(
            "public_url is https: set balancer.certificate and balancer.certificate_key, or balancer.listen to the plain "
            "port behind the TLS proxy"
        )
    host, port = endpoint(deployment.public_url)
    # A deployment on loopback stays there.
    if is_loopback(host):
        addresses = [host if host[0].isdigit() else "127.0.0.1", host if host.startswith("[") else "[::1]"]
        return [f"{address}:{port}" for address in addresses[: 2 if ipv6 else 1]]
    return [str(port), *([f"[::]:{port}"] if ipv6 else [])]


def _hosts(deployment: Deployment) -> list[dict[str, str]]:
    """What is signed as Host, and a regular expression of what else clients make of it, in any case."""
    names: dict[str, str] = {}
    for url in (deployment.public_url, *(node.sign_endpoint for node in deployment.nodes.values())):
        name = authority(url)
        own = "" if name.endswith(f":{endpoint(url)[1]}") else f"(:{DEFAULT_PORTS[url.partition(':')[0]]})?"
        # Of a host that ends in a dot, some clients leave that out.
        names[name] = re.sub(r"\\\.(?=:|$)", r"\\.?", regex(name)) + own
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
