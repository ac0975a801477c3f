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
