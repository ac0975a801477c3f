"""Finds out whether a URL's host can be reached, and where it ends if not: DNS, TCP or TLS."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from app.operations.checks.result import FAULT, OK

#: Seconds.
_TIMEOUT = 3.0


def reach(url: str) -> tuple[str, str]:
    """Result and cause."""
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
