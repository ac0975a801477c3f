"""One object from node to node: streamed, in the parts that it was made of, so that its ETag stays what it was."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO, Protocol, cast

import msgspec

from app.core.errors import APIError
from app.core.model import ChangedObject, ObjectInfo


class Stream(Protocol):
    """An object's content, as its node sends it."""

    @property
    def content_type(self) -> str: ...

    def read(self, count: int, /) -> bytes: ...


class SourceNode(Protocol):
    def stat(self, key: str) -> ObjectInfo | None: ...
    def first_part(self, key: str) -> int: ...
    def reading(self, key: str, etag: str, first: int, length: int) -> AbstractContextManager[Stream]: ...


class TargetNode(SourceNode, Protocol):
    def write(
        self, key: str, body: IO[bytes], length: int, content_type: str, part: tuple[str, int] | None = None
    ) -> str: ...
    def create_upload(self, key: str) -> str: ...
    def complete_upload(self, key: str, upload: str, etags: list[str]) -> None: ...
    def abort_upload(self, key: str, upload: str) -> None: ...


class Limiter:
    """Bytes a second of all threads together.

    :param rate: None for no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, count: int) -> None:
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self._rate
            wait = self._free_at - now
        time.sleep(wait)


class Tap:
    """What is read of a stream passes here: counted, slowed, hashed."""

    def __init__(self, stream: Stream, limiter: Limiter, told: Callable[[int], None], digest: hashlib._Hash | None) -> None:
        self._stream, self._limiter, self._told, self._digest = stream, limiter, told, digest

    def read(self, count: int = -1) -> bytes:
        data = self._stream.read(count)
        if data:
            self._limiter.take(len(data))
            self._told(len(data))
            if self._digest is not None:
                self._digest.update(data)
        return data


class Copied(msgspec.Struct, frozen=True):
    #: Of the copy; empty where an object is there already, which stays.
    etag: str
    #: MD5 of the whole content, hex; empty where nothing was hashed.
    md5: str


def copy_object(
    source: SourceNode,
    target: TargetNode,
    key: str,
    found: ObjectInfo,
    limiter: Limiter,
    told: Callable[[int], None],
    hashed: bool = False,
) -> Copied:
    """Copy an object to the same key. Nothing shows at the target before all of it is there.

    :param found: what `stat` says of the source.
    :param told: is called with the bytes of each block.
    :raises ChangedObject: the source's content is another by now.
    :raises NetworkError, InternalError: a node does not answer, or refuses.
    """
    digest = hashlib.md5(usedforsecurity=False) if hashed else None

    def piece(first: int, length: int, part: tuple[str, int] | None = None) -> str:
        with source.reading(key, found.etag, first, length) as stream:
            body = cast("IO[bytes]", Tap(stream, limiter, told, digest))
            return target.write(key, body, length, stream.content_type, part)

    if "-" not in found.etag:
        return Copied(piece(0, found.size), digest.hexdigest() if digest is not None else "")
    part_size = source.first_part(key)
    upload = target.create_upload(key)
    try:
        etags = []
        for number, first in enumerate(range(0, found.size, part_size), 1):
            etags.append(piece(first, min(part_size, found.size - first), (upload, number)))
        target.complete_upload(key, upload, etags)
    except (APIError, ChangedObject):
        target.abort_upload(key, upload)
        raise
    joined = hashlib.md5(b"".join(bytes.fromhex(e) for e in etags), usedforsecurity=False).hexdigest()
    return Copied(f"{joined}-{len(etags)}", digest.hexdigest() if digest is not None else "")


def md5_of(node: SourceNode, key: str, found: ObjectInfo, limiter: Limiter) -> str:
    """MD5 of an object's whole content, hex, by reading it. Raises as `copy_object`."""
    digest = hashlib.md5(usedforsecurity=False)
    with node.reading(key, found.etag, 0, found.size) as stream:
        tap = Tap(stream, limiter, lambda _: None, digest)
        while tap.read(1 << 18):
            pass
    return digest.hexdigest()
