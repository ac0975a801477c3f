"""PNG (ISO/IEC 15948): what is needed to decode, and nothing else."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from app.downloads.decoder.stripped import Stripped, inflated_profile

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Colour types.
_GREY, _COLOUR, _PALETTE = 0, 2, 3
#: Bytes of a transparent colour.
_TRANSPARENT = {_GREY: 2, _COLOUR: 6}


def strip(data: bytes) -> Stripped:
    """The header, a palette, transparency, and the pixels of the picture that is no animation's; checksums made anew.

    Text, times, EXIF, profiles and frames of an animation stay outside, and so does transparency that the colour type has no
    use for, or of a wrong length: libpng, by which browsers show PNG, skips it as well.
    """
    first: dict[bytes, bytes] = {}
    pixels: list[memoryview] = []
    for kind, body in _chunks(memoryview(data)):
        if kind == b"IDAT":
            pixels.append(body)
        elif kind in (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"iCCP"):
            first.setdefault(kind, bytes(body))
    header = first.get(b"IHDR", b"")[:13]
    if len(header) < 13 or not pixels:
        # Whatever it is: the decoder says what it makes of it.
        return Stripped(data)
    colours = header[9]
    parts: list[bytes | memoryview] = [_SIGNATURE, *_chunk(b"IHDR", header)]
    if colours == _PALETTE:
        palette = first.get(b"PLTE", b"")[: 3 * 256]
        parts += _chunk(b"PLTE", palette[: len(palette) // 3 * 3])
        alpha = first.get(b"tRNS", b"")
        if 0 < len(alpha) <= len(palette) // 3:
            parts += _chunk(b"tRNS", alpha)
    elif b"tRNS" in first and len(first[b"tRNS"]) == _TRANSPARENT.get(colours):
        parts += _chunk(b"tRNS", _scaled(first[b"tRNS"], header[8]))
    for body in pixels:
        parts += _chunk(b"IDAT", body)
    parts += _chunk(b"IEND", b"")
    return Stripped(b"".join(parts), first.get(b"eXIf", b""), _profile(first.get(b"iCCP", b"")))


def _scaled(colour: bytes, depth: int) -> bytes:
    """A transparent colour as Pillow compares it: with the pixels that it has scaled to 8 bits, but for one and 16 bits of
    grey."""
    samples = struct.unpack(f">{len(colour) // 2}H", colour)
    if depth in (2, 4):
        samples = tuple(sample * 255 // ((1 << depth) - 1) & 255 for sample in samples)
    elif depth == 16 and len(samples) == 3:
        samples = tuple(sample >> 8 for sample in samples)
    return struct.pack(f">{len(samples)}H", *samples)


def _chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kinds and bodies, until the end chunk or the end of the file; the last one may be cut."""
    at = len(_SIGNATURE)
    while at + 8 <= len(view):
        (length,) = struct.unpack_from(">I", view, at)
        kind = bytes(view[at + 4 : at + 8])
        if kind == b"IEND":
            return
        yield kind, view[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, body: bytes | memoryview) -> tuple[bytes | memoryview, ...]:
    return struct.pack(">I", len(body)) + kind, body, struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _profile(body: bytes) -> bytes:
    """What follows a name, and the number of the only method of compression."""
    _, _, compressed = body.partition(b"\0")
    return inflated_profile(compressed[1:]) if compressed[:1] == b"\0" else b""
