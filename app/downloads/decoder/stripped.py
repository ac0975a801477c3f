"""A picture's file without its metadata. Nothing else of a file reaches the libraries that decode: what is broken or huge
beside the pixels keeps no picture from being shown.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

#: Bytes of a colour profile, inflated. Those of printers take 3 MB; with more there is none.
MAX_PROFILE = 4 << 20
_ORIENTATION = 274
#: TIFF 6.0's types of a whole number: their forms in `struct`.
_WHOLE = {3: "H", 4: "I"}


class Stripped(NamedTuple):
    data: bytes
    #: A TIFF header and what follows, as the file holds it; empty where there is none.
    exif: bytes = b""
    #: ICC; empty where there is none.
    profile: bytes = b""
    #: Bytes that a JPEG's decoder keeps until the file's end; 0 where it gives away row by row.
    kept: int = 0
    #: Whether the file says by other means than EXIF how the picture is turned, which its decoder obeys.
    turned: bool = False


def inflated_profile(data: bytes) -> bytes:
    """A compressed profile; nothing where it is broken or large."""
    stream = zlib.decompressobj()
    try:
        profile = stream.decompress(data, MAX_PROFILE)
    except zlib.error:
        return b""
    return b"" if stream.unconsumed_tail else profile


def orientation(exif: bytes) -> int:
    """EXIF's tag 274, 1 to 8; 1 where there is none, or the block is broken.

    By hand: Pillow's reader first copies the value of each tag, and a block of 64 KiB may claim 350 MB of them.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(order + "HHI", tiff, entry)
            if tag == _ORIENTATION and values == 1 and kind in _WHOLE:
                (value,) = struct.unpack_from(order + _WHOLE[kind], tiff, entry + 8)
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        # Cut.
        pass
    return 1
