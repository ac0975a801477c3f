"""Copies one object from node to node: streamed, in the parts that it was made of, so that its ETag stays what it was."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, cast

from app.core.errors import APIError, InternalError
from app.core.model import ChangedObject, InvalidParts, NoSuchUpload, ObjectInfo, SourceFailed
from app.storage.bulk import ObjectStream
from app.storage.node import Node

#: Bytes read at a time.
_BLOCK = 1 << 18


class Limiter:
    """Bytes a second of all threads together.

    :param rate: None for no limit.
    """

    def __init__(self, rate: float | None = None) -> None:
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


class _Reader:
    """A stream that shows each block that is read of it."""

    def __init__(self, stream: ObjectStream, on_block: Callable[[bytes], None]) -> None:
        self._stream, self._on_block = stream, on_block

    def read(self, count: int = -1) -> bytes:
        block = self._stream.read(count)
        self._on_block(block)
        return block


def copy_object(
    source: Node,
    target: Node,
    key: str,
    info: ObjectInfo,
    limiter: Limiter,
    on_progress: Callable[[int], None],
    hashed: bool = False,
) -> tuple[str, str]:
    """Copy an object to the same key. Nothing shows at the target before all of it is there.

    :param info: what `stat` says of the source.
    :param on_progress: is called with the bytes of each block.
    :returns: the copy's ETag, empty where an object exists already, which stays; and with `hashed` the MD5, hex, of the
        whole content as it was sent.
    :raises ChangedObject: the source's content is another by now.
    :raises NetworkError, InternalError: a node does not answer, or refuses; the source, where it sent less than all.
    """
    digest = hashlib.md5(usedforsecurity=False)

    def on_block(block: bytes) -> None:
        limiter.take(len(block))
        on_progress(len(block))
        if hashed:
            digest.update(block)

    def piece(first: int, length: int, part: tuple[str, int] | None = None) -> str:
        with source.reading(key, info.etag, first, length) as stream:
            try:
                return target.write(key, cast("IO[bytes]", _Reader(stream, on_block)), length, stream.content_type, part)
            except SourceFailed as e:
                raise e.error from e

    if "-" not in info.etag:
        return piece(0, info.size), digest.hexdigest()
    part_size = source.first_part(key)
    upload = target.create_upload(key)
    try:
        etags = []
        for number, first in enumerate(range(0, info.size, part_size), 1):
            etags.append(piece(first, min(part_size, info.size - first), (upload, number)))
        # Not there: joined by a request whose answer was cut, perhaps. The caller looks at what there is.
        with suppress(NoSuchUpload):
            target.complete_upload(key, upload, etags)
    except InvalidParts as e:
        raise InternalError(f"MinIO node {target.id} lost parts of a copy ({e})") from None
    except (APIError, ChangedObject):
        # The first failure is the one to tell.
        with suppress(APIError):
            target.abort_upload(key, upload)
        raise
    joined = hashlib.md5(b"".join(bytes.fromhex(e) for e in etags), usedforsecurity=False).hexdigest()
    return f"{joined}-{len(etags)}", digest.hexdigest()


def md5_of(node: Node, key: str, info: ObjectInfo, limiter: Limiter) -> str:
    """MD5 of an object's whole content, hex, by reading it. Raises as `copy_object`."""
    digest = hashlib.md5(usedforsecurity=False)
    with node.reading(key, info.etag, 0, info.size) as stream:
        left = info.size
        while block := stream.read(min(_BLOCK, left)):
            left -= len(block)
            limiter.take(len(block))
            digest.update(block)
    return digest.hexdigest()
