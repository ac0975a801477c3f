"""Turns a name into the signed URL that shows its content."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

import msgspec

from app.core import wire
from app.core.errors import ArgsError, DataError, NetworkError, RecordNotFoundError
from app.core.model import Record
from app.core.names import file_name
from app.downloads.pictures import Picture, Pictures
from app.downloads.thumbnail_format import ThumbnailSpec, spec_of
from app.observability import metrics
from app.records.cache import RecordCache
from app.storage.node import Node

#: Seconds in which a view of the same object gets the same URL, so that browsers and proxies cache the content.
VIEW_WINDOW = 3600
#: Seconds from the window's begin; what is left of it is never shorter than one window.
VIEW_EXPIRES = 2 * VIEW_WINDOW
#: Seconds that an access_url works: the caller is told, and may keep it.
ACCESS_EXPIRES = 86400


@dataclass(eq=False)
class ElsewhereError(Exception):
    """This instance holds no keys for the node; an instance of that node can answer."""

    node: str


@dataclass(eq=False)
class NotCreatedError(Exception):
    """The thumbnail does not exist yet, and this instance's node is not the object's."""

    node: str


class View(msgspec.Struct, frozen=True):
    url: str
    #: Unix seconds at which the URL stops working.
    expires: int
    #: Why an original stands for the thumbnail that was requested; see `Picture.instead`.
    instead: str = ""


@dataclass
class Downloads:
    records: RecordCache
    #: Those that this instance holds keys for, by ID.
    nodes: Mapping[str, Node]
    #: Every node of the deployment.
    known: frozenset[str]
    pictures: Pictures
    #: This instance's node, for whose objects it makes thumbnails.
    own: str

    def view(self, name: str, query: Mapping[str, str], method: str = "GET", local: bool = False) -> View:
        """Where to send a viewer, signed for `method`; the same URL for all within an hour.

        :param query: `type` (none or `image`) and for images `width`, `height`, `format`.
        :param local: create a thumbnail here whichever node holds the object; else only of the own node's.
        :raises RecordNotFoundError, ArgsError, DataError, NetworkError, ElsewhereError:
        :raises NotCreatedError: not `local`, and another node's.
        """
        at = time.time() // VIEW_WINDOW * VIEW_WINDOW
        return self._show(self._meant(name), query, method, VIEW_EXPIRES, at, local)

    def access_url(self, name: str, query: Mapping[str, str], local: bool = False) -> wire.AccessURL:
        """A signed URL for the caller's own use. Raises as `view` does."""
        signed = self._show(name, query, "GET", ACCESS_EXPIRES, int(time.time()), local)
        return wire.AccessURL(url=signed.url, expire_time=signed.expires * 1000)

    def _meant(self, name: str) -> str:
        """The name that a path says. Apps encode URLs themselves, as v3.4.0's raw ones need, and ours so a second time: what
        is no name as it stands, and percent-encoded still, is meant decoded."""
        return unquote(name) if "%" in name and self.records.get(name) is None else name

    def _show(self, name: str, query: Mapping[str, str], method: str, expires: int, at: float, local: bool) -> View:
        record, node = self._find(name, query)
        # Content never changes under a key, so it may be kept as long as the URL surely works.
        signed = {"response-cache-control": f"max-age={VIEW_WINDOW}"}
        picture = Picture("", record.content_type)
        if query.get("type") == "image":
            # By its own type, whatever was said when it was uploaded, and to be shown rather than saved (as v3.4.0).
            picture = self._picture(_with_etag(record, node), node, spec_of(query), local)
        else:
            signed["response-content-disposition"] = content_disposition(file_name(record.name))
        if picture.content_type:
            signed["response-content-type"] = picture.content_type
        url = node.sign_view(method, picture.key or record.key, expires, signed, at)
        return View(url, int(at) + expires, picture.instead)

    def _picture(self, record: Record, node: Node, spec: ThumbnailSpec | None, local: bool) -> Picture:
        """
        :param spec: None for the original.
        """
        if spec is None:
            return self.pictures.original(record, node)
        try:
            picture = self.pictures.find(record, node, spec)
            if picture is None:
                if record.node != self.own and not local:
                    raise NotCreatedError(record.node)
                picture = self.pictures.make(record, node, spec)
        except DataError:
            metrics.count("thumbnails", "refused")
            raise
        metrics.count("thumbnails", picture.instead or ("shown" if picture.key else "original"))
        return picture

    def _find(self, name: str, query: Mapping[str, str]) -> tuple[Record, Node]:
        record = self.records.get(name)
        if record is None:
            raise RecordNotFoundError
        kind = query.get("type", "")
        if kind not in ("", "image"):
            raise ArgsError("invalid query type")
        if not record.node:
            record = self._locate(record)
        node = self.nodes.get(record.node)
        if node is None:
            if record.node in self.known:
                raise ElsewhereError(record.node)
            raise NetworkError(f"the object lies on node {record.node}, which is not in instances.yaml any more")
        return record, node

    def _locate(self, record: Record) -> Record:
        """Ask each node for an object of v3.4.0's whose node is not known, and remember the answer.

        :raises RecordNotFoundError: it is on none of them.
        :raises NetworkError: a node does not answer, and it is on no other.
        """
        down: NetworkError | None = None
        for node_id, node in self.nodes.items():
            try:
                found = node.stat(record.key)
            except NetworkError as e:
                down = e
                continue
            if found is not None:
                located = msgspec.structs.replace(record, node=node_id, etag=found.etag, size=found.size)
                self.records.add(located)
                return located
        if down is not None:
            raise down
        raise RecordNotFoundError(f"the object of this v3.4.0 record is on none of the nodes {', '.join(self.nodes)}")


def _with_etag(record: Record, node: Node) -> Record:
    """A record of v3.4.0's has none."""
    if record.etag:
        return record
    found = node.stat(record.key)
    if found is None:
        raise RecordNotFoundError("the object of this record is gone")
    return msgspec.structs.replace(record, etag=found.etag, size=found.size)


def content_disposition(name: str) -> str:
    """`attachment` with the file name in both forms of RFC 6266: quoted ASCII for old clients, and UTF-8 (RFC 8187).

    v3.4.0 sends the raw name in the quoted form, which browsers read as Latin-1.
    """
    fallback = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    header = f'attachment; filename="{fallback}"'
    if fallback != name:
        header += f"; filename*=UTF-8''{quote(name, safe='')}"
    return header
