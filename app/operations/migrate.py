"""A node's objects to another node, while the service runs: copy, verify, and only then let the records mean the copy.

What was done is in the records themselves, so that it may be killed at any point and begun again.
"""

from __future__ import annotations

import io
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

import msgspec

from app.core.errors import APIError, InternalError
from app.core.model import ChangedObject, ObjectInfo, Record
from app.operations.transfer import Copied, Limiter, TargetNode, copy_object, md5_of

_PAGE = 500
#: Objects in a row that a node did not take or give: it is down or full, and going on would only fill the summary.
_GIVE_UP = 20

GONE = "its object is gone"
CHANGED = "its object changed since it was recorded"
TAKEN = "another content lies at its key on the target"
UNEQUAL = "the copy differs from the source"


class _Left(Exception):
    """Why an object is not moved."""


class NodeCalls(TargetNode, Protocol):
    id: str

    def remove(self, key: str) -> None: ...
    def object_lock(self) -> str: ...


class RecordCalls(Protocol):
    def page(self, after: str, count: int, node: str | None = None, before: int | None = None) -> list[Record]: ...
    def old_page(self, after: str, count: int) -> list[Record]: ...
    def absent(self, names: list[str]) -> list[str]: ...
    def add(self, record: Record) -> None: ...
    def move(self, record: Record, node: str, etag: str) -> int: ...


class Summary(msgspec.Struct):
    #: Objects that were copied, or were on the target already, and whose records mean them there now.
    objects: int = 0
    #: Of these, without moving a byte.
    there: int = 0
    #: Names that mean the target now.
    names: int = 0
    #: Bytes copied.
    bytes: int = 0
    #: Name and reason of what was not moved.
    left: list[tuple[str, str]] = msgspec.field(default_factory=list)
    #: Why it ended early; empty where it did not.
    given_up: str = ""


class Migration:
    """
    :param old_node: the node of v3.4.0's objects that have no record of ours; empty where each has to be looked for, None
        where there are none.
    :param full: read the copy back and compare a hash, instead of size and ETag.
    :param told: is called with the bytes of each block that is copied.
    """

    def __init__(
        self,
        sources: Mapping[str, NodeCalls],
        target: NodeCalls,
        records: RecordCalls,
        old_node: str | None = None,
        parallel: int = 4,
        limiter: Limiter | None = None,
        full: bool = False,
        dry_run: bool = False,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._sources, self._target, self._records, self._old_node = sources, target, records, old_node
        self._parallel, self._limiter, self._full, self._dry_run = parallel, limiter or Limiter(None), full, dry_run
        self._told = told
        self._summary = Summary()
        self._lock = threading.Lock()
        self._in_a_row = 0
        #: Objects that were looked at and not moved, by node and key.
        self._left: set[tuple[str, str]] = set()

    def check_target(self, allow_object_lock: bool = False) -> None:
        """Write, read and remove an object there.

        :raises NetworkError: it does not answer, or has no room.
        :raises InternalError: it refuses, or keeps objects from being deleted.
        """
        lock = self._target.object_lock()
        if lock and not allow_object_lock:
            raise InternalError(
                f"the bucket of node {self._target.id} has an object lock ({lock}): nothing that is moved there could be "
                f"removed by expire or purge before; --allow-object-lock if that is meant"
            )
        key = f"openim/probe/{secrets.token_hex(16)}"
        self._target.write(key, io.BytesIO(b"probe"), 5, "")
        found = self._target.stat(key)
        if found is None or found.size != 5:
            raise InternalError(f"node {self._target.id} does not show what was written to it")
        self._target.remove(key)

    def plan(self) -> tuple[int, int]:
        """Objects and bytes that records say are to be moved."""
        objects = size = 0
        for record in self._objects():
            objects, size = objects + 1, size + record.size
        return objects, size

    def run(self) -> Summary:
        """Move all, and once more what came meanwhile, until a pass finds nothing new."""
        with ThreadPoolExecutor(self._parallel) as pool:
            while True:
                before = self._summary.objects
                running: set[Future[None]] = set()
                for record in self._objects():
                    if self._summary.given_up:
                        break
                    running.add(pool.submit(self._move, record))
                    if len(running) >= 2 * self._parallel:
                        done, running = wait(running, return_when="FIRST_COMPLETED")
                        for future in done:
                            future.result()
                for future in running:
                    future.result()
                if self._summary.given_up or self._dry_run or self._summary.objects == before:
                    return self._summary

    def _objects(self) -> Iterator[Record]:
        """One record of each object on the sources."""
        for node in self._sources:
            yield from self._of_node(node)
        if self._old_node == "" or self._old_node in self._sources:
            yield from self._of_v340()

    def _of_node(self, node: str) -> Iterator[Record]:
        seen: set[str] = set()
        after = ""
        while page := self._records.page(after, _PAGE, node):
            for record in page:
                if record.key not in seen and (node, record.key) not in self._left:
                    # Keys of several names: a picture that was forwarded.
                    seen.add(record.key)
                    yield record
            after = page[-1].name

    def _of_v340(self) -> Iterator[Record]:
        after = ""
        while page := self._records.old_page(after, _PAGE):
            absent = set(self._records.absent([r.name for r in page]))
            for record in page:
                node = self._old_node or self._holder(record) if record.name in absent else None
                if node and (node, record.key) not in self._left:
                    yield msgspec.structs.replace(record, node=node)
            after = page[-1].name

    def _holder(self, record: Record) -> str | None:
        return next((n for n, node in self._sources.items() if node.stat(record.key) is not None), None)

    def _move(self, record: Record) -> None:
        if self._summary.given_up:
            return
        try:
            self._moved(record)
        except APIError as e:
            self._not_moved(record, e.detail, e)
        except _Left as e:
            self._not_moved(record, str(e))
        else:
            self._in_a_row = 0

    def _moved(self, record: Record) -> None:
        """Copy, verify, record: in this order.

        :raises _Left: it stays where it is.
        """
        source = self._sources[record.node]
        found = self._found(source, record)
        if self._dry_run:
            self._count(1, 0, found.size, there=False)
            return
        etag = self._copied(source, record.key, found)
        there = etag is None
        names = self._switch(record, self._there(source, record.key, found) if etag is None else etag)
        self._count(1, names, 0 if there else found.size, there)

    def _found(self, source: NodeCalls, record: Record) -> ObjectInfo:
        if record.etag and "-" not in record.etag and not self._dry_run:
            # What the record says is as good as a look: the source is asked for just this content.
            return ObjectInfo(record.size, record.etag)
        found = source.stat(record.key)
        if found is None:
            raise _Left(GONE)
        if record.etag and found.etag != record.etag:
            raise _Left(CHANGED)
        return found

    def _copied(self, source: NodeCalls, key: str, found: ObjectInfo) -> str | None:
        """Copy and verify; the ETag, or None where an object is there already."""
        if "-" in found.etag and self._target.stat(key) is not None:
            # A plain PUT leaves alone what is there; joining parts would replace it.
            return None
        try:
            made = copy_object(source, self._target, key, found, self._limiter, self._told, hashed=self._full)
        except ChangedObject:
            raise _Left(GONE if source.stat(key) is None else CHANGED) from None
        if not made.etag:
            return None
        if not self._equal(key, found, made):
            # So that the next run begins anew.
            self._target.remove(key)
            raise _Left(UNEQUAL)
        return made.etag

    def _equal(self, key: str, found: ObjectInfo, made: Copied) -> bool:
        """Whether a copy is what the source has, by what the target says of it; with `full` by reading it."""
        there = self._target.stat(key)
        if there is None or (there.size, there.etag, made.etag) != (found.size, found.etag, found.etag):
            return False
        return not self._full or md5_of(self._target, key, there, self._limiter) == made.md5

    def _there(self, source: NodeCalls, key: str, found: ObjectInfo) -> str:
        """The ETag of the same content on the target, from a run before or of its own."""
        there = self._target.stat(key)
        if there is not None and there.size == found.size:
            # By reading both where the ETags differ: put in one piece there, joined from parts here, perhaps.
            equal = found.etag == there.etag and not self._full
            if equal or md5_of(source, key, found, self._limiter) == md5_of(self._target, key, there, self._limiter):
                return there.etag
        raise _Left(TAKEN)

    def _switch(self, record: Record, etag: str) -> int:
        names = self._records.move(record, self._target.id, etag)
        if names == 0 and not record.etag:
            # v3.4.0's own row has no record of ours yet; its table is not touched.
            self._records.add(msgspec.structs.replace(record, node=self._target.id, etag=etag))
            names = 1
        return names

    def _count(self, objects: int, names: int, size: int, there: bool) -> None:
        with self._lock:
            self._summary.objects += objects
            self._summary.there += there
            self._summary.names += names
            self._summary.bytes += size

    def _not_moved(self, record: Record, reason: str, error: APIError | None = None) -> None:
        with self._lock:
            self._left.add((record.node, record.key))
            self._summary.left.append((record.name, reason))
            self._in_a_row = self._in_a_row + 1 if error is not None else 0
            if self._in_a_row >= _GIVE_UP:
                self._summary.given_up = f"{_GIVE_UP} objects in a row could not be moved; the last: {reason}"
