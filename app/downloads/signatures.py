"""Says what a picture is by its first bytes, whatever its name and the type that was declared. Pure, without Pillow."""

from __future__ import annotations

import re
import struct

#: Bytes that tell.
HEAD = 64
#: The formats that v3.4.0 decodes, those that phones make, and what browsers show beside them. Never SVG, which can hold
#: scripts. Where two bytes would do for a browser, more are asked for: text that begins with BM is no picture.
_SIGNATURES = (
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    # The size of the header that follows: of OS/2, or of Windows in one of its five versions.
    (rb"BM.{12}[\x0c\x10-\x40\x6c\x7c]\0\0\0", "image/bmp"),
    (rb"RIFF.{4}WEBPVP8[ LX]", "image/webp"),
    (rb"(II\x2a\0|MM\0\x2a|II\x2b\0\x08\0\0\0|MM\0\x2b\0\x08\0\0)", "image/tiff"),
    # An icon or a cursor, of 1 to 255 pictures.
    (rb"\0\0[\1\2]\0[^\0]\0.{3}[\0\xff]", "image/x-icon"),
    # Shown by Safari.
    (rb"(\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a)", "image/jxl"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
)
#: Brands of ISO/IEC 23008-12 and of its predecessors, as the first one of the file.
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1", b"miaf"}
#: Among all brands, as browsers look for them.
_AVIF = {b"avif", b"avis"}


def content_type(head: bytes) -> str | None:
    """The type of the picture that begins so; None for what is none.

    :param head: the first `HEAD` bytes, or all.
    """
    if head[4:8] == b"ftyp":
        end = min(struct.unpack(">I", head[:4])[0], HEAD, len(head))
        # The second four bytes are a version.
        brands = {head[8:12]} | {head[at : at + 4] for at in range(16, end - 3, 4)}
        return "image/avif" if brands & _AVIF else "image/heic" if head[8:12] in _HEIF else None
    return next((name for pattern, name in _SIGNATURES if re.match(pattern, head, re.DOTALL)), None)
