"""Removes what nobody needs: old records, objects without a record, unfinished uploads, and what is left on a node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import msgspec

from app.core.errors import APIError
from app.core.model import ObjectInfo, Record

_PAGE = 500
#: Seconds between removing a record and its object: an upload of the same content that just found the record has recorded
#: its own name by then, which keeps the object.
GRACE = 15.0
#: Where unfinished uploads leave objects that no record may come to need: keys of one upload each.
_ONCE, _FORM = "openim/data/once/", "openim/temp/form/"
#: Seconds that an admin's form may live.
_FORM_LIFE = 7 * 86400 + 3600


class ObjectRemover(Protocol):
    id: str

    def stat(self, key: str) -> ObjectInfo | None: ...
    def remove(self, key: str) -> None: ...
    def abort_upload(self, key: str, upload: str) -> None: ...
    def unfinished(self) -> list[tuple[str, str, float]]: ...
    def listing(self, prefix: str) -> Iterator[tuple[str, int, float]]: ...


class RecordFinder(Protocol):
    def page(self, after: str, count: int, node: str | None = None, before: int | None = None) -> list[Record]: ...
    def old_page(self, after: str, count: int) -> list[Record]: ...
    def old_names(self, keys: list[str]) -> set[str]: ...
    def absent(self, names: list[str]) -> list[str]: ...
    def remove(self, record: Record) -> bool: ...
    def needs(self, record: Record) -> bool: ...
    def known_keys(self, node: str, keys: list[str]) -> set[str]: ...


class Expired(msgspec.Struct):
    #: Names that were removed.
    names: int = 0
    objects: int = 0
    #: Bytes of these objects.
    bytes: int = 0
    #: Object and reason of what stays although its record is gone.
    kept: list[tuple[str, str]] = msgspec.field(default_factory=list)


def expire(
    records: RecordFinder,
    nodes: Mapping[str, ObjectRemover],
    before: int,
    content_type: str | None = None,
    dry_run: bool = False,
    grace: float = GRACE,
    sleep: Callable[[float], None] = time.sleep,
) -> Expired:
    """Remove records made before a time, and the objects that no record needs any more.

    :param before: Unix milliseconds.
    :param content_type: only of this type; `image/` and the like stand for all that begin so.
    :raises DatabaseError:
    """
    done = Expired()
    removed: dict[tuple[str, str], Record] = {}
    after = ""
    while page := records.page(after, _PAGE, before=before):
        after = page[-1].name
        for record in page:
            if content_type is not None and not _is_type(record.content_type, content_type):
                continue
            if dry_run or records.remove(record):
                done.names += 1
                removed[(record.node, record.key)] = record
    if dry_run:
        # What stays needed by younger names is not known before; this is the most that would go.
        done.objects, done.bytes = len(removed), sum(r.size for r in removed.values())
        return done
    if removed:
        sleep(grace)
    old = records.old_names([key for _, key in removed]) if removed else set()
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


class Collected(msgspec.Struct):
    #: Multipart uploads that were given up.
    uploads: int = 0
    #: Objects of uploads that were never completed.
    objects: int = 0
    bytes: int = 0


def collect(records: RecordFinder, node: ObjectRemover, older: float, dry_run: bool = False) -> Collected:
    """Remove what unfinished uploads left on a node.

    :param older: seconds; younger ones may still be finished.
    :raises NetworkError, InternalError, DatabaseError:
    """
    limit = time.time() - older
    done = Collected()
    for key, upload, begun in node.unfinished():
        if begun < limit and key.startswith("openim/"):
            done.uploads += 1
            if not dry_run:
                node.abort_upload(key, upload)
    pending: list[tuple[str, int]] = []

    def remove_unknown() -> None:
        known = records.known_keys(node.id, [key for key, _ in pending])
        for key, size in pending:
            if key not in known:
                done.objects += 1
                done.bytes += size
                if not dry_run:
                    node.remove(key)
        pending.clear()

    for prefix, oldest in ((_ONCE, limit), (_FORM, min(limit, time.time() - _FORM_LIFE))):
        for key, size, modified in node.listing(prefix):
            if modified < oldest:
                pending.append((key, size))
            if len(pending) >= _PAGE:
                remove_unknown()
    if pending:
        remove_unknown()
    return done


def still_needed(records: RecordFinder, node: ObjectRemover, old_node: str | None, count: int = 5) -> list[str]:
    """Some names that mean objects of a node.

    :param old_node: the node of v3.4.0's objects that have no record of ours; empty where each has to be looked for, None
        where there are none.
    """
    names = [record.name for record in records.page("", count, node.id)]
    if names or old_node is None or old_node not in ("", node.id):
        return names
    after = ""
    while page := records.old_page(after, _PAGE):
        absent = set(records.absent([record.name for record in page]))
        for record in page:
            if record.name in absent and (old_node or node.stat(record.key) is not None):
                names.append(record.name)
        if len(names) >= count:
            break
        after = page[-1].name
    return names[:count]


def purge(
    node: ObjectRemover, on_progress: Callable[[int], None] = lambda _: None, dry_run: bool = False
) -> tuple[int, int]:
    """Delete every object of this product and of v3.4.0 on a node; objects and bytes.

    :raises NetworkError, InternalError:
    """
    objects = size = 0
    for key, upload, _ in node.unfinished():
        if key.startswith("openim/") and not dry_run:
            node.abort_upload(key, upload)
    for key, length, _ in node.listing("openim/"):
        objects, size = objects + 1, size + length
        if not dry_run:
            node.remove(key)
        on_progress(1)
    return objects, size


def _is_type(content_type: str, requested: str) -> bool:
    return content_type.startswith(requested) if requested.endswith("/") else content_type == requested
