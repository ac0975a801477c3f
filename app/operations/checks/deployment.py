"""Checks what the file alone tells: addresses that clients cannot call, secrets that everyone knows."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from app.config.models import Deployment
from app.core.addresses import endpoint, is_loopback
from app.operations.checks.result import FAULT, OK, WARNING, Check

#: v3.4.0's default, and this product's sample.
_DEFAULT_SECRETS = {"openIM123"}


def check_deployment(deployment: Deployment) -> Iterator[Check]:
    yield Check("deployment", "file", OK)
    for warning in deployment.warnings:
        yield Check("deployment", "secrets in files", WARNING, warning)
    nodes, public = deployment.nodes.values(), _address(deployment.public_url)
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
    host = endpoint(url)[0]
    try:
        return ipaddress.ip_address("127.0.0.1" if is_loopback(host) else host.strip("[]"))
    except ValueError:
        return ipaddress.ip_address("1.1.1.1")
