"""Finds which object answers a view with `?type=image`. Thumbnails are made once, and kept beside their object."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cachetools import TTLCache

from app.core.errors import DataError, RecordNotFoundError
from app.core.model import Record
from app.downloads.decoder_process import ThumbnailHelper
from app.downloads.thumbnail_format import CHECK, CREATED, NOT_AN_IMAGE, ORIGINAL, TOO_MUCH, ThumbnailSpec, own_name
from app.storage.node import Node

#: Bytes; v3.4.0 makes none of files of this size and over.
MAX_SOURCE = 50 << 20
#: Seconds from the request to the end of waiting for others' thumbnails.
PATIENCE = 2.0
#: Seconds for which what was found or created is taken to exist; then the storage is called again.
_FRESH = 600.0
#: Images by their first 16 bytes: the formats that v3.4.0 decodes, and those that phones make. Never SVG, which can hold
#: scripts.
_HEAD = 16
_IMAGES = (
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"BM", "image/bmp"),
    (rb"RIFF.{4}WEBP", "image/webp"),
    (rb".{4}ftypavi[fs]", "image/avif"),
    (rb".{4}ftyp(heic|heix|hevc|mif1|msf1)", "image/heic"),
)


class Picture(msgspec.Struct, frozen=True):
    """What to show."""

    #: Object key; empty for the record's own object.
    key: str
    content_type: str
    #: Why it is the original although a thumbnail was requested: `busy`, `too much`; empty where it is what was requested.
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
        self._known: TTLCache[tuple[str, str, ThumbnailSpec | None], Picture | str] = TTLCache(50_000, _FRESH)
        self._guard = threading.Lock()

    def original(self, record: Record, node: Node) -> Picture:
        """
        :raises DataError: the object is no image.
        """
        known = self._recall(record, None)
        if known is None:
            head = node.read(record.key, _HEAD)
            content_type = next((name for pattern, name in _IMAGES if re.match(pattern, head, re.DOTALL)), None)
            known = self._remember(record, None, "object not image" if content_type is None else Picture("", content_type))
        return known

    def find(self, record: Record, node: Node, spec: ThumbnailSpec) -> Picture | None:
        """What answers without making anything; None where it would have to be made.

        :raises DataError: it could not be made.
        """
        known = self._recall(record, spec)
        if known is not None:
            return known
        if self._maker is None:
            return self.original(record, node)
        existing = _existing(record, node, own_name(spec))
        return None if existing is None else self._remember(record, spec, existing)

    def make(self, record: Record, node: Node, spec: ThumbnailSpec) -> Picture:
        """The thumbnail, created if it does not exist; the original where it needs none, or where too many are being made.

        :raises DataError: no image, damaged, or too large.
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
            return msgspec.structs.replace(self.original(record, node), instead="busy")
        finally:
            if free:
                self._slots.release()

    def _make(self, record: Record, node: Node, spec: ThumbnailSpec, deadline: float) -> Picture:
        if self._maker is None:
            raise _Busy
        original = self.original(record, node)
        if record.size >= MAX_SOURCE:
            return self._remember(record, spec, f"no thumbnails are made of files of {MAX_SOURCE >> 20} MiB and over")
        data = node.read(record.key, MAX_SOURCE)
        if not data:
            raise RecordNotFoundError("the object of this record is gone")
        outcome = self._maker.make(data, spec, lambda name: _existing(record, node, name) is not None, deadline)
        if outcome is None:
            raise _Busy
        found: Picture | str
        if outcome.kind in (CREATED, CHECK):
            found = Picture(_key(record, outcome.name), outcome.content_type)
            if outcome.kind == CREATED:
                node.put_once(found.key, outcome.data, found.content_type)
        elif outcome.kind == ORIGINAL:
            found = Picture("", outcome.content_type)
        elif outcome.kind == TOO_MUCH:
            found = msgspec.structs.replace(original, instead="too much")
        else:
            found = "object not image" if outcome.kind == NOT_AN_IMAGE else outcome.detail
        return self._remember(record, spec, found)

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


@contextmanager
def _alone(name: str, deadline: float) -> Iterator[None]:
    """One at a time for each thumbnail on this machine: threads and processes, by a locked file."""
    # 256 files serve all names: two that share one wait for each other now and then.
    number = hashlib.sha256(name.encode()).digest()[0]
    with (_lock_folder() / f"thumbnail-{number}").open("a") as file:
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
