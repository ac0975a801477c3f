"""The process: reads pictures, and writes what was made of them, one at a time."""

from __future__ import annotations

import os
import resource
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, cast

import msgspec

from app.downloads.decoder.thumbnail import Prepared, make_prepared
from app.downloads.thumbnail_format import CHECK, Outcome, ThumbnailSpec

#: Bytes of address space, a last resort where a decoder misbehaves.
_ADDRESS_SPACE = 1 << 30


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests, one at a time, until the input ends.

    A request is a frame of `ThumbnailSpec` and a frame of the picture; an answer a frame of `Outcome`. After `CHECK` comes
    an empty frame where there is none, or one of a byte where it was found. A frame is a length in 4 bytes, and that many
    bytes.
    """
    while (requested := _read(requests)) is not None and (data := _read(requests)) is not None:
        spec = msgspec.msgpack.decode(requested, type=ThumbnailSpec)
        picture = Prepared(data)
        # 50 MiB at most, and what was made of it is held as well.
        del data
        answer = make_prepared(picture, spec, checked=False)
        if answer.kind == CHECK:
            _write(answers, answer)
            if _read(requests) != b"":
                continue
            answer = make_prepared(picture, spec)
        del picture
        _write(answers, answer)


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    return stream.read(struct.unpack(">I", head)[0]) if len(head) == 4 else None


def _write(stream: BinaryIO, answer: Outcome) -> None:
    frame = msgspec.msgpack.encode(answer)
    stream.write(struct.pack(">I", len(frame)) + frame)
    stream.flush()


def _if_allowed(call: Callable[[], object]) -> None:
    """Do what a sandbox may forbid; without it thumbnails are made as well.

    Tried in a copy of this process first: seccomp may end a process for a system call that is not on its list, and systemd's
    `~@resources` takes the one for priorities off the list.
    """
    with suppress(OSError, ValueError):
        child = os.fork()
        if child == 0:
            try:
                call()
            finally:
                os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            call()


if __name__ == "__main__":
    # Uploads come first.
    _if_allowed(lambda: os.nice(10))
    _if_allowed(lambda: resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE)))
    _if_allowed(lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
    serve(cast(BinaryIO, sys.stdin.buffer), cast(BinaryIO, sys.stdout.buffer))
