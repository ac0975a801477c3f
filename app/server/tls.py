"""TLS of an instance itself, where its entry names a certificate: gunicorn's, with renewed files taken as they come."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

log = logging.getLogger(__name__)

#: Seconds between two looks at the certificate's file.
LOOK_EVERY = 5.0


def context(config: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """gunicorn's hook `ssl_context`, called in each worker."""
    made = default()
    gevent.spawn(_renew, made, config.certfile, config.keyfile)
    return made


def _renew(served: ssl.SSLContext, certificate: str, key: str) -> None:
    """Give new connections the files' content as it is now. A pair that does not fit, as while both are being written, is
    left alone until it does."""
    known, failed = _written(certificate, key), False
    while True:
        gevent.sleep(LOOK_EVERY)
        now = _written(certificate, key)
        if now == known and not failed:
            continue
        known = now
        try:
            # Tried on another, since half of a pair would stay in the one that serves.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
            served.load_cert_chain(certificate, key)
        except (OSError, ValueError) as e:
            if not failed:
                log.error("the certificate %s cannot be taken, the one before is served on: %s", certificate, e)
            failed = True
        else:
            log.warning("the certificate %s was renewed, and is served from now on", certificate)
            failed = False


def _written(*files: str) -> list[tuple[int, int] | None]:
    """When each was written, and which it is; None of one that is gone."""
    found: list[tuple[int, int] | None] = []
    for file in files:
        try:
            stat = Path(file).stat()
            found.append((stat.st_mtime_ns, stat.st_ino))
        except OSError:
            found.append(None)
    return found
