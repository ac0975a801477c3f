"""WebP (RFC 9649): what is needed to decode."""

from __future__ import annotations

import struct

from app.downloads.decoder.stripped import MAX_PROFILE, Stripped

_NEEDED = {b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"}
#: Of the flags in VP8X: transparency and animation stay, metadata goes.
_FLAGS = 0x10 | 0x02


def strip(data: bytes) -> Stripped:
    """The chunks of pixels, in a file whose sizes and flags are right."""
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    exif = profile = b""
    at = 12
    while at + 8 <= len(view):
        kind, length = bytes(view[at : at + 4]), struct.unpack_from("<I", view, at + 4)[0]
        body = view[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
        if kind == b"VP8X" and length >= 10:
            parts += [b"VP8X\x0a\0\0\0", bytes((body[0] & _FLAGS,)), body[1:10]] if len(body) >= 10 else []
        elif kind in _NEEDED:
            # Its own length, also where the file ends before that.
            parts += [kind, struct.pack("<I", length), body, b"\0" * (length % 2)]
        elif kind == b"EXIF":
            exif = exif or bytes(body)
        elif kind == b"ICCP" and length <= MAX_PROFILE:
            profile = profile or bytes(body)
    return Stripped(b"".join((b"RIFF", struct.pack("<I", 4 + sum(map(len, parts))), b"WEBP", *parts)), exif, profile)
