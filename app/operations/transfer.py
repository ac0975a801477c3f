"""Copies one object from node to node: streamed, in the parts that it was made of, so that its ETag stays what it was."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO, Protocol, cast

import msgspec

from app.core.errors import APIError, NetworkError
from app.core.model import ChangedObject, ObjectInfo, SourceFailed
from app.core.unreachable import reason


class Stream(Protocol):
    """An object's content, as its node sends it."""

    @property
    def content_type(self) -> str: ...

    def read(self, count: int, /) -> bytes: ...


class SourceNode(Protocol):
    id: str

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


class SourceReader:
    """A range of an object on its way to another node or to a hash: counted, slowed, and whole or an error.

    :param length: bytes of the range.
    :param on_progress: is called with the bytes of each block.
    """

    def __init__(
        self,
        node: SourceNode,
        stream: Stream,
        length: int,
        limiter: Limiter,
        digest: hashlib._Hash | None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._node_id, self._stream, self._length, self._left = node.id, stream, length, length
        self._limiter, self._digest, self._on_progress = limiter, digest, on_progress

    def read(self, count: int = -1) -> bytes:
        """
        :raises SourceFailed: the node broke off; whatever reads this is not to blame.
        """
        count = self._left if count < 0 else min(count, self._left)
        if count == 0:
            return b""
        try:
            data = self._stream.read(count)
        except Exception as e:
            # Of whichever library the stream is.
            raise self._failed(reason(e)) from e
        if not data:
            # Without this, an answer of no known length that ends early would pass for the whole.
            raise self._failed("the answer ended early")
        self._left -= len(data)
        self._limiter.take(len(data))
        self._on_progress(len(data))
        if self._digest is not None:
            self._digest.update(data)
        return data

    def _failed(self, why: str) -> SourceFailed:
        sent = self._length - self._left
        return SourceFailed(
            NetworkError(f"MinIO node {self._node_id} sent {sent} of {self._length} bytes of an object ({why})")
        )


class Copied(msgspec.Struct, frozen=True):
    #: Of the copy; empty where an object exists already, which stays.
    etag: str
    #: MD5 of the whole content, hex; empty where nothing was hashed.
    md5: str


def copy_object(
    source: SourceNode,
    target: TargetNode,
    key: str,
    info: ObjectInfo,
    limiter: Limiter,
    on_progress: Callable[[int], None],
    hashed: bool = False,
) -> Copied:
    """Copy an object to the same key. Nothing shows at the target before all of it is there.

    :param info: what `stat` says of the source.
    :param on_progress: is called with the bytes of each block.
    :raises ChangedObject: the source's content is another by now.
    :raises NetworkError, InternalError: a node does not answer, or refuses; the source, where it sent less than all.
    """
    digest = hashlib.md5(usedforsecurity=False) if hashed else None

    def piece(first: int, length: int, part: tuple[str, int] | None = None) -> str:
        with source.reading(key, info.etag, first, length) as stream:
            body = SourceReader(source, stream, length, limiter, digest, on_progress)
            try:
                return target.write(key, cast("IO[bytes]", body), length, stream.content_type, part)
            except SourceFailed as e:
                raise e.error from e

    if "-" not in info.etag:
        return Copied(piece(0, info.size), digest.hexdigest() if digest is not None else "")
    part_size = source.first_part(key)
    upload = target.create_upload(key)
    try:
        etags = []
        for number, first in enumerate(range(0, info.size, part_size), 1):
            etags.append(piece(first, min(part_size, info.size - first), (upload, number)))
        target.complete_upload(key, upload, etags)
    except (APIError, ChangedObject):
        target.abort_upload(key, upload)
        raise
    joined = hashlib.md5(b"".join(bytes.fromhex(e) for e in etags), usedforsecurity=False).hexdigest()
    return Copied(f"{joined}-{len(etags)}", digest.hexdigest() if digest is not None else "")


def md5_of(node: SourceNode, key: str, info: ObjectInfo, limiter: Limiter) -> str:
    """MD5 of an object's whole content, hex, by reading it. Raises as `copy_object`."""
    digest = hashlib.md5(usedforsecurity=False)
    with node.reading(key, info.etag, 0, info.size) as stream:
        body = SourceReader(node, stream, info.size, limiter, digest)
        try:
            while body.read(1 << 18):
                pass
        except SourceFailed as e:
            raise e.error from e
    return digest.hexdigest()
