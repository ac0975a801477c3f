"""Removes what nobody needs: old records, objects without a record, unfinished uploads, and what is left on a node."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import chain, islice

import msgspec

from app.core.errors import APIError
from app.core.model import Record
from app.operations.records import each_old_row, each_record
from app.records.store import Records
from app.storage.node import Node

_PAGE = 500
#: Seconds between removing a record and its object: an upload of the same content that just found the record has recorded
#: its own name by then, which keeps the object.
_GRACE = 15.0
#: Where unfinished uploads leave objects that no record may come to need: keys of one upload each.
_ONCE, _FORM = "openim/data/once/", "openim/temp/form/"
#: Seconds that an admin's form may live.
_FORM_LIFE = 7 * 86400 + 3600


class Removed(msgspec.Struct):
    names: int = 0
    #: Multipart uploads that were given up.
    uploads: int = 0
    objects: int = 0
    #: Bytes of these objects.
    bytes: int = 0
    #: Object and reason of what stays although its record is gone.
    kept: list[tuple[str, str]] = msgspec.field(default_factory=list)


def expire(
    records: Records,
    nodes: Mapping[str, Node],
    before: int,
    content_type: str | None = None,
    dry_run: bool = False,
) -> Removed:
    """Remove records created before a time, and the objects that no record needs any more.

    :param before: Unix milliseconds.
    :param content_type: only of this type; `image/` and the like stand for all that begin so.
    :raises DatabaseError:
    """
    done = Removed()
    removed: dict[tuple[str, str], Record] = {}
    for record in each_record(records, before=before):
        if _is_type(record.content_type, content_type) and (dry_run or records.remove(record)):
            done.names += 1
            removed[(record.node, record.key)] = record
    if dry_run:
        # What stays needed by younger names is not known before; this is the most that would go.
        done.objects, done.bytes = len(removed), sum(r.size for r in removed.values())
        return done
    if removed:
        time.sleep(_GRACE)
    old = records.old_names([key for _, key in removed])
    for record in removed.values():
        if records.needs(record):
            continue
        node = nodes.get(record.node)
        if record.key in old:
            done.kept.append((record.key, "v3.4.0's table names it"))
        elif node is None:
            done.kept.append((record.key, f"this file holds no keys of node {record.node or '(unknown)'}"))
        else:
            try:
                node.remove(record.key)
                for key, _, _ in node.listing(f"openim/thumbnail/{record.etag}/") if record.etag else ():
                    node.remove(key)
            except APIError as e:
                done.kept.append((record.key, e.detail))
                continue
            done.objects += 1
            done.bytes += record.size
    return done


def collect(records: Records, node: Node, older: float, dry_run: bool = False) -> Removed:
    """Remove what unfinished uploads left on a node.

    :param older: seconds; younger ones may still be finished.
    :raises NetworkError, InternalError, DatabaseError:
    """
    now = time.time()
    done = Removed(uploads=_abort_uploads(node, now - older, dry_run))
    candidates = (
        (key, size)
        for prefix, age in ((_ONCE, older), (_FORM, max(older, _FORM_LIFE)))
        for key, size, modified in node.listing(prefix)
        if modified < now - age
    )
    while page := list(islice(candidates, _PAGE)):
        known = records.known_keys(node.id, [key for key, _ in page])
        for key, size in page:
            if key not in known:
                _remove(node, key, size, done, dry_run)
    return done


def still_needed(records: Records, node: Node, old_node: str | None, count: int = 5) -> list[str]:
    """Some names that mean objects of a node.

    :param old_node: see `each_old_row`.
    """
    needed = chain(each_record(records, node.id), each_old_row(records, old_node, {node.id: node}))
    return [record.name for record in islice(needed, count)]


def purge(node: Node, dry_run: bool = False) -> Removed:
    """Delete every object of this product and of v3.4.0 on a node.

    :raises NetworkError, InternalError:
    """
    done = Removed(uploads=_abort_uploads(node, time.time(), dry_run))
    for key, size, _ in node.listing("openim/"):
        _remove(node, key, size, done, dry_run)
    return done


def _abort_uploads(node: Node, before: float, dry_run: bool) -> int:
    """Give up unfinished multipart uploads that were begun before a Unix time; how many."""
    uploads = [(key, upload) for key, upload, begun in node.unfinished() if begun < before and key.startswith("openim/")]
    if not dry_run:
        for key, upload in uploads:
            node.abort_upload(key, upload)
    return len(uploads)


def _remove(node: Node, key: str, size: int, done: Removed, dry_run: bool) -> None:
    if not dry_run:
        node.remove(key)
    done.objects += 1
    done.bytes += size


def _is_type(content_type: str, requested: str | None) -> bool:
    if requested is None or content_type == requested:
        return True
    return requested.endswith("/") and content_type.startswith(requested)
