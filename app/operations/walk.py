"""Walks through all records and all objects of a node, page by page, so that memory does not grow with a deployment."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import partial

import msgspec

from app.core.model import Record, StoredObject
from app.operations.recovery import Patience
from app.records.store import Records
from app.storage.bulk import LISTED
from app.storage.node import Node

#: Records or objects that are handled together: what one statement names, and what one request deletes.
PAGE = 1000
#: v3.4.0's place of thumbnails: `<this><ETag of the picture>/<name>`.
THUMBNAILS = "openim/thumbnail/"
#: ETags that a listing of all thumbnails must answer at once, to be worth more than a listing for each.
_WORTH = 4


def each_page(
    records: Records,
    patience: Patience,
    node: str | None = None,
    before: int | None = None,
    size: int = PAGE,
) -> Iterator[list[Record]]:
    """Ours by name; they may be changed or removed on the way.

    :param node: only those on this node.
    :param before: only those created before this; see `Records.page`.
    :param size: records of a page.
    :raises DatabaseError:
    """
    after = ""
    while page := patience.records(partial(records.page, after, size, node, before)):
        yield page
        after = page[-1].name


def each_old_row(records: Records, patience: Patience, old_node: str | None, nodes: Mapping[str, Node]) -> Iterator[Record]:
    """v3.4.0's rows without a record of ours, of objects that lie on one of `nodes`, with that node.

    :param old_node: where all of them lie; empty where each has to be looked for, None where there are none.
    :raises DatabaseError, NetworkError, InternalError:
    """
    if old_node is None or (old_node and old_node not in nodes):
        return
    after = ""
    while page := patience.records(partial(records.old_page, after, PAGE)):
        absent = set(patience.records(partial(records.absent, [record.name for record in page])))
        for record in page:
            if record.name in absent and (node := old_node or _holder(record, nodes, patience)):
                yield msgspec.structs.replace(record, node=node)
        after = page[-1].name


def _holder(record: Record, nodes: Mapping[str, Node], patience: Patience) -> str | None:
    for node_id, node in nodes.items():
        if patience.call(node_id, partial(node.stat, record.key)) is not None:
            return node_id
    return None


def each_object(node: Node, patience: Patience, prefix: str) -> Iterator[StoredObject]:
    """Every object under a prefix, by key.

    :raises NetworkError, InternalError:
    """
    after = ""
    while page := patience.call(node.id, partial(node.list_page, prefix, after)):
        yield from page
        if len(page) < LISTED:
            return
        after = page[-1].key


def etag_of(thumbnail: str) -> str:
    """The ETag of the picture that a thumbnail's key names."""
    return thumbnail.removeprefix(THUMBNAILS).partition("/")[0]


def content_hash(etag: str) -> str:
    """OpenIM's hash of a content of one part, by the ETag, which is its MD5 where the node does not encrypt."""
    return hashlib.md5(etag.encode(), usedforsecurity=False).hexdigest()


def each_thumbnail(node: Node, patience: Patience, etags: set[str]) -> Iterator[str]:
    """Keys of the thumbnails of some pictures.

    One listing shows the thumbnails of as many of the pictures as lie close together: few where a node has few thumbnails.
    Where it has many, each picture is asked for by itself, which is the shorter answer.

    :raises NetworkError, InternalError:
    """
    wanted, at, after, wide = sorted(etags), 0, "", True
    while at < len(wanted):
        own = f"{THUMBNAILS}{wanted[at]}/"
        prefix, after = (THUMBNAILS if wide else own), max(after, own)
        page = patience.call(node.id, partial(node.list_page, prefix, after))
        yield from (o.key for o in page if etag_of(o.key) in etags)
        if len(page) < LISTED:
            # No thumbnails beyond, of this picture or of all.
            at = len(wanted) if wide else at + 1
            continue
        after = page[-1].key
        reached = bisect_left(wanted, etag_of(after))
        wide, at = wide and reached - at >= _WORTH, reached
