"""What an instance is made of, handed to `api/` by whoever composes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.auth.sealing import Sealer
from app.auth.tokens import Authenticator
from app.config.models import Deployment, Instance
from app.core.model import Record
from app.downloads.views import Downloads
from app.routing.forwarding import Forwarder
from app.status.history import History
from app.status.overview import Overview
from app.storage.monitor import Monitor
from app.uploads.forms import Forms
from app.uploads.lifecycle import Uploads
from app.uploads.v340_ids import LegacyIDs

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
