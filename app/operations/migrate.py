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
from functools import partial
from itertools import chain, islice

import msgspec

from app.core.errors import APIError, InternalError, NetworkError
from app.core.model import ChangedObject, ObjectInfo, Record
from app.operations.recovery import Left, Patience, Recent
from app.operations.thumbnails import missing_thumbnails
from app.operations.transfer import Limiter, copy_object, md5_of
from app.operations.walk import PAGE, each_old_row, each_page
from app.records.store import Records
from app.storage.node import Node

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
    #: Objects, by a name of each, that the last pass did not move, and why.
    left: Left = msgspec.field(default_factory=Left)
    #: Thumbnails that were copied after their pictures.
    thumbnails: int = 0
    #: Those that were not, and why.
    thumbnails_left: Left = msgspec.field(default_factory=Left)
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
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        self._on_progress: Callable[[int], None] = lambda _: None
        self._summary = Summary()
        self._lock = threading.Lock()
        self._in_a_row = 0
        #: Node and key of what was looked at in this pass: a picture that was forwarded has many names.
        self._seen = Recent()
        #: Whether a write leaves alone what lies at its key, as MinIO's do since 2024. Known by `check_target`.
        self._keeps = False

    def check_target(self, allow_object_lock: bool = False) -> None:
        """Write and remove an object there.

        :raises NetworkError: it does not answer, or has no room.
        :raises InternalError: it refuses, or keeps objects from being deleted.
        """
        target = self.target
        lock = self.patience.call(target.id, target.object_lock)
        if lock and not allow_object_lock:
            raise InternalError(
                f"the bucket of node {target.id} has an object lock ({lock}): nothing that is moved there could be "
                f"removed by expire or purge before; --allow-object-lock if that is meant"
            )
        key = f"openim/probe/{secrets.token_hex(16)}"
        try:
            etags = [self.patience.call(target.id, lambda: target.write(key, io.BytesIO(b"1"), 1, "")) for _ in range(2)]
            self._keeps = etags[-1] == ""
        finally:
            self.patience.call(target.id, partial(target.remove, key))

    def plan(self) -> tuple[int, int]:
        """Objects and bytes that records say are to be moved.

        :raises DatabaseError, NetworkError, InternalError:
        """
        totals = self.patience.records(self.records.totals)
        objects, size = (sum(totals.get(node, (0, 0))[n] for node in self.sources) for n in (0, 1))
        for record in each_old_row(self.records, self.patience, self.old_node, self.sources):
            objects, size = objects + 1, size + record.size
        return objects, size

    def run(self, on_progress: Callable[[int], None] = lambda _: None) -> Summary:
        """Move all, and once more what came meanwhile or was left, until a pass finds nothing new. Then their thumbnails.

        Raises nothing for what does not answer: the summary tells.

        :param on_progress: is called with the bytes of each block that is copied, by one thread at a time.
        """
        self._on_progress, summary = on_progress, self._summary
        try:
            with ThreadPoolExecutor(self.parallel) as pool:
                while True:
                    before, summary.left, self._seen = summary.objects, Left(), Recent()
                    objects = self._objects()
                    while not summary.given_up and (page := list(islice(objects, PAGE))):
                        list(pool.map(self._move, page))
                    if summary.given_up or self.dry_run:
                        return summary
                    if summary.objects == before:
                        break
                for source in self.sources.values():
                    missing = missing_thumbnails(self.records, self.patience, source, self.target)
                    while page_of_keys := list(islice(missing, PAGE)):
                        list(pool.map(partial(self._copy_thumbnail, source), page_of_keys))
        except APIError as e:
            summary.given_up = e.detail
        return summary

    def _objects(self) -> Iterator[Record]:
        """A record of each object on the sources.

        :raises DatabaseError, NetworkError, InternalError:
        """
        for node in self.sources:
            for record in chain.from_iterable(each_page(self.records, self.patience, node)):
                if self._seen.add((node, record.key)):
                    yield record
        yield from each_old_row(self.records, self.patience, self.old_node, self.sources)

    def _move(self, record: Record) -> None:
        summary = self._summary
        if summary.given_up:
            return
        try:
            names, size, existed = self.patience.call(f"from {record.node}", partial(self._moved, record))
        except (APIError, _NotMoved) as e:
            with self._lock:
                summary.left.add(record.name, str(e))
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
        if names == 0 and record.etag:
            # Moved by a statement whose answer was cut, perhaps.
            names = self.records.names_of(msgspec.structs.replace(record, node=self.target.id, etag=etag))
        elif names == 0:
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
        """Copy and verify; the copy's ETag, or nothing where an object exists already."""
        if ("-" in info.etag or not self._keeps) and self.target.stat(key) is not None:
            # Joining parts would replace it.
            return ""
        try:
            etag, md5 = copy_object(source, self.target, key, info, self.limiter, self._block_copied, hashed=self.full)
        except ChangedObject:
            raise _NotMoved(GONE if source.stat(key) is None else CHANGED) from None
        if not etag:
            return ""
        copied = self.target.stat(key)
        if copied is None:
            raise NetworkError(f"MinIO node {self.target.id} has not kept a copy; try again")
        if copied.size == info.size and copied.etag == etag == info.etag and not self.full:
            return copied.etag
        # Where a node encrypts, the ETag is no MD5: by the contents.
        if copied.size == info.size:
            sent = md5 if self.full else md5_of(source, key, info, self.limiter)
            if md5_of(self.target, key, copied, self.limiter) == sent:
                return copied.etag
        # So that the next run begins anew.
        self.target.remove(key)
        raise _NotMoved(UNEQUAL)

    def _existing(self, source: Node, key: str, info: ObjectInfo) -> str:
        """The ETag of the same content on the target, from a run before or of its own."""
        existing = self.target.stat(key)
        if existing is not None and existing.size == info.size:
            # By reading both where the ETags differ: put in one piece there, joined from parts here, perhaps.
            equal = info.etag == existing.etag and not self.full
            if equal or md5_of(source, key, info, self.limiter) == md5_of(self.target, key, existing, self.limiter):
                return existing.etag
        raise _NotMoved(TAKEN)

    def _copy_thumbnail(self, source: Node, key: str) -> None:
        """Copy one; where it fails, the next view of the picture makes it anew."""

        def copy() -> None:
            info = source.stat(key)
            if info is not None:
                self._copy(source, key, info)

        summary = self._summary
        try:
            self.patience.call(f"from {source.id}", copy)
        except (APIError, _NotMoved) as e:
            with self._lock:
                summary.thumbnails_left.add(key, str(e))
        else:
            with self._lock:
                summary.thumbnails += 1
