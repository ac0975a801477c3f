"""Says why a connection failed, in the same few words for every HTTP client of this program."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

#: The reason that a connection ended in the middle.
CUT = "the connection was cut"


def reason(error: BaseException) -> str:
    """Describe a failed connection or a cut answer for a log line or an errDlt.

    Reads the standard library's exception inside those of urllib3 and requests. The text holds no host, path or query:
    those stand in the libraries' own texts, and a query may hold a signature.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason}"
        if isinstance(cause, socket.gaierror):
            return "its host name does not resolve"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if isinstance(cause, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
            return CUT
    names = " ".join(type(cause).__name__ for cause in causes)
    if "ConnectTimeout" in names:
        return "no connection in time"
    if "Timeout" in names or any(isinstance(cause, TimeoutError) for cause in causes):
        return "no answer in time"
    if any(name in names for name in ("IncompleteRead", "ChunkedEncodingError", "ProtocolError")):
        return CUT
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and those inside it: its cause, its context, and what urllib3 and requests wrap in their arguments."""
    waiting, seen = [error], set()
    while waiting:
        at = waiting.pop(0)
        if id(at) in seen:
            continue
        seen.add(id(at))
        yield at
        inside = [at.__cause__, at.__context__, getattr(at, "reason", None), *at.args]
        waiting += [e for e in inside if isinstance(e, BaseException)]
