"""What an instance is made of, handed to `api/` by whoever composes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.auth import Authenticator
from app.config import Deployment, Instance
from app.downloads import Downloads
from app.forms import Forms
from app.forwarding import Forwarder
from app.health import Monitor
from app.history import History
from app.legacy_ids import LegacyIDs
from app.model import Record
from app.overview import Overview
from app.sealing import Sealer
from app.uploads import Uploads

RequestLog = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Services:
    deployment: Deployment
    instance: Instance
    authenticator: Authenticator
    sealer: Sealer
    uploads: Uploads
    forms: Forms
    #: None where the deployment says nothing of a v3.4.0 before it.
    legacy_ids: LegacyIDs | None
    downloads: Downloads
    forwarder: Forwarder
    #: Of the own node, and of the others that this instance holds keys for.
    monitor: Monitor
    peers: tuple[Monitor, ...]
    history: History
    #: The whole deployment as this instance sees it.
    look: Callable[[], Overview]
    #: The record of a name.
    record: Callable[[str], Record | None]
    #: Takes a log entry for each request; None for no log.
    request_log: RequestLog | None
