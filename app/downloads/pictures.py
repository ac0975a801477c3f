"""Finds which object answers a view with `?type=image`. Thumbnails are made once, and kept beside their object."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from app.core.errors import DataError, RecordNotFoundError
from app.core.model import ObjectInfo, Record
from app.downloads.thumbnail_format import CHECK, CREATED, NOT_AN_IMAGE, ORIGINAL, TOO_MUCH, Outcome, ThumbnailSpec, own_name

#: Bytes; v3.4.0 makes none of files of this size and over.
MAX_SOURCE = 50 << 20
#: Seconds from the request to the end of waiting for others' thumbnails.
PATIENCE = 2.0
#: Seconds for which what was found or created is taken to exist; then the storage is called again.
_FRESH = 600.0
_REMEMBERED = 50_000
#: Bytes that tell an image's type.
_HEAD = 16


class PictureStore(Protocol):
    """A node that holds pictures and their thumbnails."""

    id: str

    def stat(self, key: str) -> ObjectInfo | None: ...
    def read(self, key: str, length: int) -> bytes: ...
    def put_once(self, key: str, body: bytes, content_type: str) -> None: ...


class Maker(Protocol):
    """See `decoder_process.ThumbnailHelper`."""

    def make(self, data: bytes, spec: ThumbnailSpec, exists: Callable[[str], bool], deadline: float) -> Outcome | None: ...


class Picture(msgspec.Struct, frozen=True):
    """What to show."""

    #: Object key; empty for the record's own object.
    key: str
    content_type: str
    #: Why it is the original although a thumbnail was requested: `busy`, `too much`; empty where it is what was requested.
    instead: str = ""


class _Refused(msgspec.Struct, frozen=True):
    """Why there is no thumbnail of this content, and will be none."""

    detail: str


class _Busy(Exception):
    pass


class Pictures:
    """Records that are given must hold their object's ETag: content is known by it.

    :param maker: None where Pillow is not installed: originals are shown then.
    :param waiting: requests of this process that may have to do with making at once. They hold a thread each.
    """

    def __init__(self, maker: Maker | None, waiting: int) -> None:
        self._maker = maker
        self._most_waiting, self._waiting = waiting, 0
        self._guard = threading.Lock()
        #: (node, ETag, spec) to what was found or created, so that later views cost no call to the storage.
        self._remembered: dict[tuple[str, str, ThumbnailSpec | None], tuple[Picture | _Refused, float]] = {}
        self._locks = tuple(threading.Lock() for _ in range(256))

    def original(self, record: Record, node: PictureStore) -> Picture:
        """
        :raises DataError: the object is no image.
        """
        remembered = self._recall(record, None)
        if remembered is not None:
            return remembered
        content_type = _type_of(node.read(record.key, _HEAD))
        if content_type is None:
            raise self._refused(record, None, "object not image")
        return self._remember(record, None, Picture("", content_type))

    def find(self, record: Record, node: PictureStore, spec: ThumbnailSpec) -> Picture | None:
        """What answers without making anything; None where it would have to be made.

        :raises DataError: it could not be made.
        """
        remembered = self._recall(record, spec)
        if remembered is not None:
            return remembered
        if self._maker is None:
            return self.original(record, node)
        existing = _existing(record, node, own_name(spec))
        return None if existing is None else self._remember(record, spec, existing)

    def make(self, record: Record, node: PictureStore, spec: ThumbnailSpec) -> Picture:
        """The thumbnail, created if it does not exist; the original where it needs none, or where too many are being made.

        :raises DataError: no image, damaged, or too large.
        :raises RecordNotFoundError: the object is gone.
        """
        deadline = time.monotonic() + PATIENCE
        try:
            with self._slot(), self._alone(f"{record.node}/{record.etag}/{spec}", deadline):
                # Another request may have created it while this one waited.
                found = self.find(record, node, spec)
                return found if found is not None else self._make(record, node, spec, deadline)
        except _Busy:
            return msgspec.structs.replace(self.original(record, node), instead="busy")

    def _make(self, record: Record, node: PictureStore, spec: ThumbnailSpec, deadline: float) -> Picture:
        if self._maker is None:
            raise _Busy
        original = self.original(record, node)
        if record.size >= MAX_SOURCE:
            raise self._refused(record, spec, f"no thumbnails are made of files of {MAX_SOURCE >> 20} MiB and over")
        data = node.read(record.key, MAX_SOURCE)
        if not data:
            raise RecordNotFoundError("the object of this record is gone")
        outcome = self._maker.make(data, spec, lambda name: _existing(record, node, name) is not None, deadline)
        if outcome is None:
            raise _Busy
        if outcome.kind in (CREATED, CHECK):
            key = _key(record, outcome.name)
            if outcome.kind == CREATED:
                node.put_once(key, outcome.data, outcome.content_type)
            return self._remember(record, spec, Picture(key, outcome.content_type))
        if outcome.kind == ORIGINAL:
            return self._remember(record, spec, Picture("", outcome.content_type))
        if outcome.kind == TOO_MUCH:
            return self._remember(record, spec, msgspec.structs.replace(original, instead="too much"))
        raise self._refused(record, spec, "object not image" if outcome.kind == NOT_AN_IMAGE else outcome.detail)

    def _recall(self, record: Record, spec: ThumbnailSpec | None) -> Picture | None:
        """
        :raises DataError: known to be none.
        """
        picture, until = self._remembered.get((record.node, record.etag, spec), (None, 0.0))
        if time.monotonic() > until:
            return None
        if isinstance(picture, _Refused):
            raise DataError(picture.detail)
        return picture

    def _remember(self, record: Record, spec: ThumbnailSpec | None, picture: Picture) -> Picture:
        self._keep(record, spec, picture)
        return picture

    def _refused(self, record: Record, spec: ThumbnailSpec | None, detail: str) -> DataError:
        # Or each view of a damaged file would read and decode it anew.
        self._keep(record, spec, _Refused(detail))
        return DataError(detail)

    def _keep(self, record: Record, spec: ThumbnailSpec | None, picture: Picture | _Refused) -> None:
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        self._remembered[(record.node, record.etag, spec)] = picture, time.monotonic() + _FRESH

    @contextmanager
    def _slot(self) -> Iterator[None]:
        with self._guard:
            if self._waiting >= self._most_waiting:
                raise _Busy
            self._waiting += 1
        try:
            yield
        finally:
            with self._guard:
                self._waiting -= 1

    @contextmanager
    def _alone(self, name: str, deadline: float) -> Iterator[None]:
        """One at a time for each thumbnail: threads by a lock, processes of this machine by a locked file."""
        number = hashlib.sha256(name.encode()).digest()[0]
        # 256 locks serve all names: two that share one wait for each other now and then.
        if not self._locks[number].acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise _Busy
        try:
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
        finally:
            self._locks[number].release()


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


def _existing(record: Record, node: PictureStore, name: str) -> Picture | None:
    key = _key(record, name)
    found = node.stat(key)
    return None if found is None else Picture(key, found.content_type)


def _type_of(head: bytes) -> str | None:
    """The type of an image by its first bytes: the formats that v3.4.0 decodes, and those that phones make. Never SVG, which
    can hold scripts."""
    for magic, content_type in (
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"BM", "image/bmp"),
    ):
        if head.startswith(magic):
            return content_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "image/avif"
        if brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
            return "image/heic"
    return None
