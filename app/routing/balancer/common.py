"""What every balancer's configuration needs to know of a deployment."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.config.models import Deployment, Node
from app.core import wire
from app.core.errors import APIError
from app.routing.forwarding import COMPLETE_TOTAL_TIMEOUT, TOTAL_TIMEOUT

# Seconds. Longer than an instance takes with all its tries of other instances, so that its answer arrives.
READ_TIMEOUT = int(TOTAL_TIMEOUT) + 2
COMPLETE_READ_TIMEOUT = int(COMPLETE_TOTAL_TIMEOUT) + 5
#: What a client is told when nothing behind the balancer answers.
DOWN = "no instance or MinIO node behind the balancer answers"


class RenderError(Exception):
    """The deployment lacks something that this output needs."""


def s3_prefixes(deployment: Deployment) -> list[tuple[Node, str]]:
    """Paths under which the balancer hands requests to nodes: `/s3/<node>`, and what sign_endpoint names on this host."""
    public = urlsplit(deployment.public_url)
    found = []
    for node in deployment.nodes.values():
        found.append((node, f"/s3/{node.id}"))
        sign = urlsplit(node.sign_endpoint)
        if sign.netloc == public.netloc and sign.path and sign.path != f"/s3/{node.id}":
            found.append((node, sign.path))
    return found


def listen_address(deployment: Deployment) -> str:
    """balancer.listen, else the port that public_url names."""
    public = urlsplit(deployment.public_url)
    tls = deployment.balancer.certificate is not None
    if deployment.balancer.listen is not None:
        return deployment.balancer.listen
    if public.scheme == "https" and not tls:
        raise RenderError(
            "public_url is https: set balancer.certificate and balancer.certificate_key, or balancer.listen to the plain "
            "port behind the TLS proxy"
        )
    port = public.port or (443 if public.scheme == "https" else 80)
    # A deployment on loopback stays there.
    loopback = public.hostname in ("127.0.0.1", "localhost", "::1")
    return f"127.0.0.1:{port}" if loopback else str(port)


def public_path(deployment: Deployment) -> str:
    """The path that public_url ends in, which a proxy in front may strip or pass."""
    return urlsplit(deployment.public_url).path


def authority(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def failure_body(error: APIError) -> str:
    """The envelope, for answers that the balancer gives itself."""
    return wire.failure(error).decode()
