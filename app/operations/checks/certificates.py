"""Checks the files of certificates that the deployment names, and when the certificates of its servers end."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from app.config.models import Deployment
from app.operations.checks.result import FAULT, OK, WARNING, Check

#: Seconds.
_TIMEOUT = 3.0
#: Seconds before its end from which a certificate is warned of.
_WARN_BEFORE = 14 * 86400


def file_faults(deployment: Deployment, instance_id: str = "") -> Iterator[tuple[str, str]]:
    """Path in the file and fault of each `ca_file` that holds no certificates.

    :param instance_id: whose own certificate lies on this machine, and is looked at too.
    """
    files = {"ca_file": deployment.ca_file} | {f"nodes.{n.id}.ca_file": n.ca_file for n in deployment.nodes.values()}
    for path, file in files.items():
        # Where a node has the one of all, its fault is said once.
        if file is not None and (path == "ca_file" or file != deployment.ca_file):
            try:
                ssl.create_default_context(cafile=file)
            except ssl.SSLError:
                yield path, f"{file} holds no certificate in PEM form"
            except OSError as e:
                yield path, f"{file} cannot be read: {e.strerror}"
    instance = deployment.instances.get(instance_id)
    if instance is not None and instance.certificate is not None:
        path = f"instances.{instance_id}.certificate"
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(instance.certificate, instance.certificate_key)
        except ssl.SSLError as e:
            yield path, f"certificate and certificate_key cannot be used ({e.reason}): are they PEM, and of one another?"
        except OSError as e:
            yield path, f"certificate or certificate_key cannot be read: {e.strerror}"


def check_certificates(deployment: Deployment) -> Iterator[Check]:
    """Files first; then each server that speaks TLS, once. What is not reached or not trusted has checks of its own."""
    for path, fault in file_faults(deployment):
        yield Check("certificates", path, FAULT, fault)
    for path, (host, port, ca_file) in _servers(deployment).items():
        end = _end(host, port, (None, ca_file))
        if end is not None:
            yield Check("certificates", path, *_left(end - time.time()))


def _servers(deployment: Deployment) -> dict[str, tuple[str, int, str | None]]:
    """Path in the file to host, port and authority of each server that is named with TLS."""
    named = {"public_url": (deployment.public_url, deployment.ca_file)}
    for node in deployment.nodes.values():
        named |= {f"nodes.{node.id}.sign_endpoint": (node.sign_endpoint, node.ca_file)}
        named |= {f"nodes.{node.id}.endpoint {url}": (url, node.ca_file) for url in node.endpoints}
    named |= {f"instances.{i.id}.url": (i.url, deployment.ca_file) for i in deployment.instances.values()}
    servers: dict[str, tuple[str, int, str | None]] = {}
    for path, (url, ca_file) in named.items():
        parts = urlsplit(url)
        server = parts.hostname or "", parts.port or 443, ca_file
        if parts.scheme == "https" and server not in servers.values():
            servers[path] = server
    return servers


def _end(host: str, port: int, ca_files: tuple[str | None, ...]) -> float | None:
    """Unix time at which a server's certificate ends; None where it is not trusted, or does not come."""
    for ca_file in dict.fromkeys(ca_files):
        try:
            context = ssl.create_default_context(cafile=ca_file)
            with (
                socket.create_connection((host, port), _TIMEOUT) as connection,
                context.wrap_socket(connection, server_hostname=host) as secured,
            ):
                certificate = secured.getpeercert()
        except (OSError, ValueError):
            continue
        if certificate:
            return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
    return None


def _left(seconds: float) -> tuple[str, str]:
    if seconds > _WARN_BEFORE:
        return OK, ""
    return WARNING, f"ends in {max(0.0, seconds) / 86400:.0f} days: renew it, and load the balancers anew where it is theirs"
