"""Checks what the file alone tells: addresses that clients cannot call, placeholders, secrets that everyone knows."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from app.config.models import Deployment
from app.operations.checks.result import FAULT, OK, WARNING, Check

#: v3.4.0's default, and this product's sample.
_DEFAULT_SECRETS = {"openIM123"}


def check_deployment(deployment: Deployment) -> Iterator[Check]:
    yield Check("deployment", "file", OK)
    for warning in deployment.warnings:
        yield Check("deployment", "secrets in files", WARNING, warning)
    nodes, public = deployment.nodes.values(), _address(deployment.public_url)
    urls = {"public_url": deployment.public_url}
    for node in nodes:
        urls |= {f"nodes.{node.id}.endpoint": node.endpoint, f"nodes.{node.id}.sign_endpoint": node.sign_endpoint}
    for path, url in urls.items():
        if "external_ip" in url:
            yield Check("deployment", "placeholder", FAULT, f"{path} holds external_ip: write the address that clients call")
    elsewhere = ", ".join(i.id for i in deployment.instances.values() if not _address(i.url).is_loopback)
    if public.is_loopback and elsewhere:
        detail = f"is a loopback address, and {elsewhere} are not: clients elsewhere cannot call it"
        yield Check("deployment", "public_url", FAULT, detail)
    signed_local = ", ".join(n.id for n in nodes if _address(n.sign_endpoint).is_loopback)
    if not public.is_loopback and signed_local:
        detail = f"of {signed_local} is a loopback address: clients would send their parts to themselves"
        yield Check("deployment", "sign_endpoint", FAULT, detail)
    if not public.is_private and _DEFAULT_SECRETS & set(deployment.auth.secrets):
        detail = "auth.secret is v3.4.0's default, which everyone knows, on a public address: anyone can make tokens"
        yield Check("deployment", "auth.secret", FAULT, detail)


def _address(url: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of a URL's host; of a name a public one, since it may be."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return ipaddress.ip_address("1.1.1.1")
