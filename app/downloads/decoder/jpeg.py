"""JPEG (ITU T.81): what is needed to decode, and how much memory that takes."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from app.downloads.decoder.stripped import MAX_PROFILE, Stripped

_MARKER = re.compile(rb"\xff([^\0\xff])", re.DOTALL)
#: Second bytes of markers.
_END, _SCAN, _COMMENT = 0xD9, 0xDA, 0xFE
_APPLICATION = range(0xE0, 0xF0)
#: Markers of a frame: all of C0 to CF but those of tables (C4, CC) and one that is reserved (C8).
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
#: Without a length.
_ALONE = {0x01, 0xD8, *range(0xD0, 0xD8)}
_EXIF, _ICC = b"Exif\0", b"ICC_PROFILE\0"
#: What tells of colours.
_COLOURS = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}


def strip(data: bytes) -> Stripped:
    """All but comments and application segments; of these, JFIF's and Adobe's stay, which tell what the colours are.

    Without the index of a file of several pictures (CIPA DC-007, as phones and cameras write it) it is a JPEG, whose first
    picture is shown. What follows the picture's end is never read.
    """
    view = memoryview(data)
    parts: list[bytes | memoryview] = [view[:2]]
    exif, profile, frame, progressive, kept = b"", {}, b"", False, 0
    for marker, body, start in _segments(view):
        if marker == _SCAN:
            kept = _kept(frame) if progressive or (body and frame and body[0] != frame[5]) else 0
            parts.append(view[start:])
            break
        if marker in _APPLICATION or marker == _COMMENT:
            text = bytes(body[:14])
            if marker == 0xE1 and text.startswith(_EXIF):
                # The first: that is the picture's, as browsers take it.
                exif = exif or bytes(body[6:])
            elif marker == 0xE2 and text.startswith(_ICC) and len(text) == 14:
                profile[text[12]] = (text[13], bytes(body[14:]))
            if not text.startswith(_COLOURS.get(marker, text + b"\0")):
                continue
        if marker in _FRAMES and len(body) >= 6 and not frame:
            frame, progressive = bytes(body), marker in _PROGRESSIVE
        parts += [bytes((0xFF, marker)), struct.pack(">H", len(body) + 2), body]
    return Stripped(b"".join(parts), exif, _joined(profile), kept)


def _segments(view: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """Marker, body and place of each, to the first scan; the last one may be cut. Bytes between them are skipped, as
    libjpeg and Go do."""
    at = 2
    while (found := _MARKER.search(view, at)) and found.end() + 2 <= len(view):
        at, marker = found.end(), found[1][0]
        if marker == _END:
            return
        if marker in _ALONE:
            continue
        length = max(2, struct.unpack_from(">H", view, at)[0])
        yield marker, view[at + 2 : at + length], at - 2
        at += length


def _joined(pieces: dict[int, tuple[int, bytes]]) -> bytes:
    """A profile of which each piece is there, once (ICC.1, annex B.4)."""
    whole = [pieces[number][1] for number in sorted(pieces)]
    complete = sorted(pieces) == list(range(1, len(pieces) + 1)) and all(n == len(pieces) for n, _ in pieces.values())
    return b"".join(whole) if complete and sum(map(len, whole)) <= MAX_PROFILE else b""


def _kept(frame: bytes) -> int:
    """Bytes of all coefficients, two each: they are kept where a picture comes in several scans."""
    height, width = struct.unpack_from(">HH", frame, 1)
    sampling = [(frame[at + 1] >> 4, frame[at + 1] & 15) for at in range(6, len(frame) - 2, 3)]
    widest, highest = (max((s[i] for s in sampling), default=1) or 1 for i in (0, 1))
    return sum(2 * (width * h // widest) * (height * v // highest) for h, v in sampling)
