"""Lists what an instance is composed of; views find it by `api.request.current_services`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
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
    describe: Callable[[], Overview]
    #: The record of a name.
    record: Callable[[str], Record | None]
    #: Views that this process answers at once; more wait, so that a chat list full of thumbnails does not keep an upload
    #: waiting.
    view_slots: AbstractContextManager[Any]

    @property
    def drains(self) -> bool:
        """Whether the own node takes no new uploads."""
        return self.deployment.nodes[self.instance.node].drain

    @property
    def nodes_for_uploads(self) -> list[str]:
        """IDs of the nodes that take new uploads."""
        return [n.id for n in self.deployment.nodes.values() if not n.drain]
