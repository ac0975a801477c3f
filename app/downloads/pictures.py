"""Finds which object answers a view with `?type=image`. Thumbnails are made once, and kept beside their object."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cachetools import TLRUCache

from app.core.errors import APIError, DataError, RecordNotFoundError
from app.core.model import Record
from app.downloads.decoder_process import ThumbnailHelper
from app.downloads.signatures import HEAD, content_type
from app.downloads.thumbnail_format import (
    BUSY,
    CHECK,
    CREATED,
    NOT_STORED,
    ORIGINAL,
    SHORT,
    TOO_LARGE,
    ThumbnailSpec,
    own_name,
)
from app.storage.node import Node

log = logging.getLogger(__name__)

#: Bytes; v3.4.0 makes none of files of this size and over.
MAX_SOURCE = 50 << 20
#: Seconds from the request to the end of waiting for others' thumbnails.
PATIENCE = 2.0
#: Seconds for which what was found or created is taken to exist; then the storage is called again.
_FRESH = 600.0
#: Seconds for which a thumbnail that failed for what may pass is not tried again: each try reads and decodes the picture.
_SHORT = 30.0


class Picture(msgspec.Struct, frozen=True):
    """What to show."""

    #: Object key; empty for the record's own object.
    key: str
    content_type: str
    #: Why it is the original although a thumbnail was requested, in the words of `thumbnail_format`, from `BUSY` on; empty
    #: where it is what was requested.
    instead: str = ""


class _Busy(Exception):
    pass


class Pictures:
    """Records that are given must hold their object's ETag: content is known by it.

    :param maker: None where Pillow is not installed: originals are shown then.
    :param waiting: requests of this process that may have to do with making at once. They hold a thread each.
    """

    def __init__(self, maker: ThumbnailHelper | None, waiting: int) -> None:
        self._maker = maker
        self._slots = threading.BoundedSemaphore(waiting)
        #: (node, ETag, spec) to what was found or created, or why there is nothing, so that later views cost no call to the
        #: storage, and a damaged file is read and decoded once.
        self._known: TLRUCache[tuple[str, str, ThumbnailSpec | None], Picture | str] = TLRUCache(50_000, _until)
        self._guard = threading.Lock()

    def original(self, record: Record, node: Node) -> Picture:
        """
        :raises DataError: the object is no image.
        """
        known = self._recall(record, None)
        if known is None:
            found = content_type(node.read(record.key, HEAD))
            known = self._remember(record, None, "object not image" if found is None else Picture("", found))
        return known

    def find(self, record: Record, node: Node, spec: ThumbnailSpec) -> Picture | None:
        """What answers without making anything; None where it would have to be made.

        :raises DataError: the object is no image.
        """
        known = self._recall(record, spec)
        if known is not None:
            return known
        if self._maker is None:
            return self.original(record, node)
        existing = _existing(record, node, own_name(spec))
        return None if existing is None else self._remember(record, spec, existing)

    def make(self, record: Record, node: Node, spec: ThumbnailSpec) -> Picture:
        """The thumbnail, created if it does not exist; the original where it needs none, or where none can be made.

        :raises DataError: the object is no image.
        :raises RecordNotFoundError: the object is gone.
        """
        deadline = time.monotonic() + PATIENCE
        free = self._slots.acquire(blocking=False)
        try:
            if not free:
                raise _Busy
            with _alone(f"{record.node}/{record.etag}/{spec}", deadline):
                # Another request may have created it while this one waited.
                return self.find(record, node, spec) or self._make(record, node, spec, deadline)
        except _Busy:
            return msgspec.structs.replace(self.original(record, node), instead=BUSY)
        finally:
            if free:
                self._slots.release()

    def _make(self, record: Record, node: Node, spec: ThumbnailSpec, deadline: float) -> Picture:
        if self._maker is None:
            raise _Busy
        original = self.original(record, node)
        if record.size >= MAX_SOURCE:
            return self._instead(record, spec, original, TOO_LARGE, f"the file is of {MAX_SOURCE >> 20} MiB or over")
        data = node.read(record.key, MAX_SOURCE)
        if not data:
            raise RecordNotFoundError("the object of this record is gone")
        outcome = self._maker.make(data, spec, lambda name: _existing(record, node, name) is not None, deadline)
        if outcome is None:
            raise _Busy
        if outcome.kind == ORIGINAL:
            return self._remember(record, spec, Picture("", outcome.content_type))
        if outcome.kind not in (CREATED, CHECK):
            return self._instead(record, spec, original, outcome.kind, outcome.detail)
        made = Picture(_key(record, outcome.name), outcome.content_type)
        if outcome.kind == CREATED:
            try:
                node.put_once(made.key, outcome.data, made.content_type)
            except APIError as e:
                return self._instead(record, spec, original, NOT_STORED, e.detail)
        return self._remember(record, spec, made)

    def _instead(self, record: Record, spec: ThumbnailSpec, original: Picture, why: str, detail: str) -> Picture:
        """The original, where no thumbnail could be made: who wants to see a picture is shown one."""
        log.log(logging.WARNING if why in SHORT else logging.INFO, "no thumbnail of %s: %s", record.key, detail)
        return self._remember(record, spec, msgspec.structs.replace(original, instead=why))

    def _recall(self, record: Record, spec: ThumbnailSpec | None) -> Picture | None:
        """
        :raises DataError: known to be none.
        """
        with self._guard:
            known = self._known.get((record.node, record.etag, spec))
        if isinstance(known, str):
            raise DataError(known)
        return known

    def _remember(self, record: Record, spec: ThumbnailSpec | None, found: Picture | str) -> Picture:
        """
        :param found: a text says why there is none, and will be none.
        :raises DataError: there is none.
        """
        with self._guard:
            self._known[(record.node, record.etag, spec)] = found
        if isinstance(found, str):
            raise DataError(found)
        return found


def _until(_key: object, found: Picture | str, now: float) -> float:
    """When the cache forgets what was found."""
    return now + (_SHORT if isinstance(found, Picture) and found.instead in SHORT else _FRESH)


@contextmanager
def _alone(name: str, deadline: float) -> Iterator[None]:
    """One at a time for each thumbnail on this machine: threads and processes, by a locked file."""
    # 256 files serve all names: two that share one wait for each other now and then.
    number = hashlib.sha256(name.encode()).digest()[0]
    try:
        file = (_lock_folder() / f"thumbnail-{number}").open("a")
    except OSError as e:
        # No room, or no right, in the folder for temporary files: two may make the same, and the first is kept.
        log.warning("thumbnails are made without a lock: %s", e)
        yield
        return
    with file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _Busy from None
                time.sleep(0.02)
        yield


def _lock_folder() -> Path:
    """
    :raises OSError: it is another user's.
    """
    folder = Path(tempfile.gettempdir()) / f"openim-direct-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.is_symlink():
        raise PermissionError(f"{folder} is not this user's own")
    return folder


def _key(record: Record, name: str) -> str:
    """v3.4.0's place of thumbnails."""
    return f"openim/thumbnail/{record.etag}/{name}"


def _existing(record: Record, node: Node, name: str) -> Picture | None:
    key = _key(record, name)
    found = node.stat(key)
    return None if found is None else Picture(key, found.content_type)
