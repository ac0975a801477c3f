"""HEIF and AVIF (ISO/IEC 14496-12 and 23008-12): boxes, in which metadata are items beside the pictures."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Set

from app.downloads.decoder.stripped import Stripped

_EXIF = frozenset({b"Exif"})
#: Types of items that are no pictures either: XMP and whatever else, which may be compressed.
_METADATA = frozenset({b"mime", b"uri "})
#: Properties that turn a picture.
_TURNS = {b"irot", b"imir"}
#: A type that no library reads.
_NOTHING = b"none"


def strip_avif(data: bytes) -> Stripped:
    """Without any metadata: `irot` and `imir` alone turn a picture, as in browsers."""
    return _renamed(data, _EXIF | _METADATA)


def strip_heic(data: bytes) -> Stripped:
    """With EXIF: it turns what no property turns. Phones write both, and a picture would be turned twice."""
    return _renamed(data, _METADATA)


def without_exif(data: bytes) -> bytes:
    return _renamed(data, _EXIF).data


def _renamed(data: bytes, metadata: Set[bytes]) -> Stripped:
    """The file with items of these types renamed, so that nothing is moved."""
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    done, turned = 0, False
    for box, body in _within(view, range(len(view)), b"meta", skipped=4):
        if box == b"iprp":
            turned = turned or any(kind in _TURNS for kind, _ in _within(view, body, b"ipco"))
        elif box == b"iinf":
            version = view[body.start] if len(body) else 0
            for kind, info in _boxes(view, body.start + 4 + (2 if version == 0 else 4), body.stop):
                at = info.start + (8 if len(info) and view[info.start] < 3 else 10)
                if kind == b"infe" and bytes(view[at : at + 4]) in metadata:
                    parts += [view[done:at], _NOTHING]
                    done = at + 4
    return Stripped(b"".join((*parts, view[done:])) if parts else data, turned=turned)


def _within(view: memoryview, place: range, kind: bytes, skipped: int = 0) -> Iterator[tuple[bytes, range]]:
    """The boxes in the boxes of a kind, after bytes that are skipped."""
    for box, body in _boxes(view, place.start, place.stop):
        if box == kind:
            yield from _boxes(view, body.start + skipped, body.stop)


def _boxes(view: memoryview, at: int, end: int) -> Iterator[tuple[bytes, range]]:
    """Kinds of boxes, and where their bodies lie. Ends at what is none."""
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", view, at)
        start = at + 8
        if size == 1 and at + 16 <= end:
            (size,) = struct.unpack_from(">Q", view, at + 8)
            start = at + 16
        stop = end if size == 0 else at + size
        if not start <= stop <= end:
            return
        yield kind, range(start, stop)
        at = stop
