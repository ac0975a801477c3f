"""Moves objects from node to node while the service runs: copies, verifies, and only then lets the records mean the copy.

What was done is in the records themselves, so that it may be killed at any point and begun again.
"""

from __future__ import annotations

import io
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from app.core.errors import APIError, InternalError
from app.core.model import ChangedObject, ObjectInfo, Record
from app.operations.records import each_old_row, each_record
from app.operations.transfer import Limiter, copy_object, md5_of
from app.records.store import Records
from app.storage.node import Node

_PAGE = 500
#: Objects in a row that a node did not take or give: it is down or full, and going on would only fill the summary.
_GIVE_UP = 20

GONE = "its object is gone"
CHANGED = "its object changed since it was recorded"
TAKEN = "another content lies at its key on the target"
UNEQUAL = "the copy differs from the source"


class _NotMoved(Exception):
    """Why an object is not moved."""


class Summary(msgspec.Struct):
    #: Objects that were copied, or were on the target already, and whose records mean them there now.
    objects: int = 0
    #: Of these, without moving a byte.
    existed: int = 0
    #: Names that mean the target now.
    names: int = 0
    #: Bytes copied.
    bytes: int = 0
    #: Name and reason of what was not moved.
    left: list[tuple[str, str]] = msgspec.field(default_factory=list)
    #: Why it ended early; empty where it did not.
    given_up: str = ""


@dataclass
class Migration:
    sources: Mapping[str, Node]
    target: Node
    records: Records
    #: See `each_old_row`.
    old_node: str | None = None
    #: Objects at a time.
    parallel: int = 4
    limiter: Limiter = field(default_factory=Limiter)
    #: Read the copy back and compare a hash, instead of size and ETag.
    full: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        self._on_progress: Callable[[int], None] = lambda _: None
        self._summary = Summary()
        self._lock = threading.Lock()
        self._in_a_row = 0
        #: Objects that were not moved, by node and key.
        self._left: set[tuple[str, str]] = set()

    def check_target(self, allow_object_lock: bool = False) -> None:
        """Write and remove an object there.

        :raises NetworkError: it does not answer, or has no room.
        :raises InternalError: it refuses, or keeps objects from being deleted.
        """
        lock = self.target.object_lock()
        if lock and not allow_object_lock:
            raise InternalError(
                f"the bucket of node {self.target.id} has an object lock ({lock}): nothing that is moved there could be "
                f"removed by expire or purge before; --allow-object-lock if that is meant"
            )
        key = f"openim/probe/{secrets.token_hex(16)}"
        self.target.write(key, io.BytesIO(b"probe"), 5, "")
        self.target.remove(key)

    def plan(self) -> tuple[int, int]:
        """Objects and bytes that records say are to be moved."""
        objects = size = 0
        for record in self._objects():
            objects, size = objects + 1, size + record.size
        return objects, size

    def run(self, on_progress: Callable[[int], None] = lambda _: None) -> Summary:
        """Move all, and once more what came meanwhile, until a pass finds nothing new.

        :param on_progress: is called with the bytes of each block that is copied, by one thread at a time.
        """
        self._on_progress, summary = on_progress, self._summary
        with ThreadPoolExecutor(self.parallel) as pool:
            while True:
                before = summary.objects
                objects = self._objects()
                while not summary.given_up and (page := list(islice(objects, _PAGE))):
                    list(pool.map(self._move, page))
                if summary.given_up or self.dry_run or summary.objects == before:
                    return summary

    def _objects(self) -> Iterator[Record]:
        """One record of each object on the sources that was not left before."""
        for node in self.sources:
            # Keys of several names: a picture that was forwarded.
            seen: set[str] = set()
            for record in each_record(self.records, node):
                if record.key not in seen and (node, record.key) not in self._left:
                    seen.add(record.key)
                    yield record
        for record in each_old_row(self.records, self.old_node, self.sources):
            if (record.node, record.key) not in self._left:
                yield record

    def _move(self, record: Record) -> None:
        summary = self._summary
        if summary.given_up:
            return
        try:
            names, size, existed = self._moved(record)
        except (APIError, _NotMoved) as e:
            with self._lock:
                self._left.add((record.node, record.key))
                summary.left.append((record.name, str(e)))
                self._in_a_row = self._in_a_row + 1 if isinstance(e, APIError) else 0
                if self._in_a_row >= _GIVE_UP:
                    summary.given_up = f"{_GIVE_UP} objects in a row could not be moved; the last: {e}"
            return
        with self._lock:
            self._in_a_row = 0
            summary.objects += 1
            summary.existed += existed
            summary.names += names
            summary.bytes += size

    def _moved(self, record: Record) -> tuple[int, int, bool]:
        """Copy, verify, record: in this order. Names, bytes, and whether the target had it already.

        :raises _NotMoved: it stays where it is.
        """
        source = self.sources[record.node]
        info = self._info(source, record)
        if self.dry_run:
            return 0, info.size, False
        copied = self._copy(source, record.key, info)
        etag = copied or self._existing(source, record.key, info)
        names = self.records.move(record, self.target.id, etag)
        if names == 0 and not record.etag:
            # v3.4.0's own row has no record of ours yet; its table is not touched.
            self.records.add(msgspec.structs.replace(record, node=self.target.id, etag=etag))
            names = 1
        return names, info.size if copied else 0, not copied

    def _block_copied(self, count: int) -> None:
        with self._lock:
            self._on_progress(count)

    def _info(self, source: Node, record: Record) -> ObjectInfo:
        if record.etag and "-" not in record.etag and not self.dry_run:
            # What the record says is as good as a HEAD: the source gives just this content, or refuses.
            return ObjectInfo(record.size, record.etag)
        info = source.stat(record.key)
        if info is None:
            raise _NotMoved(GONE)
        if record.etag and info.etag != record.etag:
            raise _NotMoved(CHANGED)
        return info

    def _copy(self, source: Node, key: str, info: ObjectInfo) -> str:
        """Copy and verify; the ETag, or nothing where an object exists already."""
        if "-" in info.etag and self.target.stat(key) is not None:
            # A plain PUT leaves alone what is there; joining parts would replace it.
            return ""
        try:
            etag, md5 = copy_object(source, self.target, key, info, self.limiter, self._block_copied, hashed=self.full)
        except ChangedObject:
            raise _NotMoved(GONE if source.stat(key) is None else CHANGED) from None
        if etag:
            copied = self.target.stat(key)
            equal = copied is not None and (copied.size, copied.etag, etag) == (info.size, info.etag, info.etag)
            if not equal or (self.full and md5_of(self.target, key, info, self.limiter) != md5):
                # So that the next run begins anew.
                self.target.remove(key)
                raise _NotMoved(UNEQUAL)
        return etag

    def _existing(self, source: Node, key: str, info: ObjectInfo) -> str:
        """The ETag of the same content on the target, from a run before or of its own."""
        existing = self.target.stat(key)
        if existing is not None and existing.size == info.size:
            # By reading both where the ETags differ: put in one piece there, joined from parts here, perhaps.
            equal = info.etag == existing.etag and not self.full
            if equal or md5_of(source, key, info, self.limiter) == md5_of(self.target, key, existing, self.limiter):
                return existing.etag
        raise _NotMoved(TAKEN)
