"""Pictures for tests, made when they are needed."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageDraw


def photo(width: int, height: int, seed: int = 1) -> Image.Image:
    """Like a photograph: soft light, edges, and some grain."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = 110 + 70 * np.sin(x / width * 4) * np.cos(y / height * 3)
    colour = np.stack([light, light * 0.8 + 30 * np.sin(x / width * 9), light * 0.6 + 40 * np.cos(y / height * 7)], axis=-1)
    grain = np.random.default_rng(seed).normal(0, 3, (height, width, 1)).astype(np.float32)
    image = Image.fromarray(np.clip(colour + grain, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for n in range(12):
        left, top = (n * 37 % 80) * width // 100, (n * 53 % 80) * height // 100
        draw.ellipse(
            (left, top, left + width // 8, top + height // 6),
            fill=(n * 20 % 256, 255 - n * 15, n * 40 % 256),
            outline="white",
        )
        draw.line((left, top, width - left, height - top), fill=(30, 30, 30), width=max(1, width // 300))
    return image


def encoded(image: Image.Image, form: str, **more: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def similarity(one: Image.Image, two: Image.Image) -> float:
    """Mean structural similarity of the brightness (Wang et al. 2004) in windows of 8 x 8 pixels; 1 for equal pictures."""
    a, b = (np.asarray(i.convert("L"), dtype=np.float64) for i in (one, two))
    assert a.shape == b.shape

    def windows(values: Any) -> Any:
        views = np.lib.stride_tricks.sliding_window_view(values, (8, 8))[::4, ::4]
        return views.reshape(*views.shape[:2], 64)

    wa, wb = windows(a), windows(b)
    mean_a, mean_b = wa.mean(-1), wb.mean(-1)
    covariance = (wa * wb).mean(-1) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (wa.var(-1) + wb.var(-1) + c2)
    )
    return float(value.mean())


def as_v340(image: Image.Image, size: tuple[int, int]) -> bytes:
    """v3.4.0's thumbnail: the nearest pixel, as PNG."""
    return encoded(image.resize(size, Image.Resampling.NEAREST), "PNG")


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that says it is large, with a body of zeros that goes on for a while."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def gif_of_frames(count: int) -> bytes:
    """An animation of small frames, without Pillow's writer, which joins equal ones."""
    head = b"GIF89a" + struct.pack("<HHBBB", 300, 300, 0x80, 0, 0) + bytes((0, 0, 0, 255, 255, 255))
    # One pixel at the left top: clear, colour, end.
    frame = b"\x21\xf9\x04\x00\x05\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00"
    loop = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    return head + loop + frame * count + b"\x3b"


def swapped_profile() -> bytes:
    """An ICC profile in which red is green, and green is red."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack(">I", profile[128:132])
    places = {}
    for n in range(count):
        name, offset, size = struct.unpack(">4sII", profile[132 + 12 * n : 144 + 12 * n])
        places[name] = (offset, size)
    (red, size), (green, _) = places[b"rXYZ"], places[b"gXYZ"]
    profile[red : red + size], profile[green : green + size] = profile[green : green + size], profile[red : red + size]
    return bytes(profile)


def with_properties(data: bytes, quarters: int, axis: int | None) -> bytes:
    """A HEIC whose pictures are all turned by `irot` and `imir` (ISO/IEC 23008-12, 6.5.10 and 6.5.12), and by no others.

    :param quarters: against the clock; 0 for none.
    :param axis: 0 or 1; None for no mirror.
    """
    added = [(b"irot", quarters)] * bool(quarters) + [(b"imir", axis)] * (axis is not None)
    old = data.replace(b"irot", b"free").replace(b"imir", b"free")
    properties = b"".join(struct.pack(">I4sB", 9, kind, value) for kind, value in added)
    place = old.index(b"ipco") - 4
    (size,) = struct.unpack_from(">I", old, place)
    count = _boxes_in(old[place + 8 : place + size])
    ipma = old.index(b"ipma") - 4
    (length,) = struct.unpack_from(">I", old, ipma)
    assert old[ipma + 8 : ipma + 12] == bytes(4), "other sizes of numbers"
    (items,) = struct.unpack_from(">I", old, ipma + 12)
    associations, at = b"", ipma + 16
    for _ in range(items):
        used = old[at + 2]
        indices = old[at + 3 : at + 3 + used] + bytes(0x80 | (count + n + 1) for n in range(len(added)))
        associations += old[at : at + 2] + bytes((len(indices),)) + indices
        at += 3 + used
    new_ipma = struct.pack(">I4sII", 16 + len(associations), b"ipma", 0, items) + associations
    grown = len(properties) + len(new_ipma) - length
    # Boxes around both become longer, and what lies after them moves.
    out = bytearray(old)
    for kind in (b"meta", b"iprp"):
        _grow(out, out.index(kind) - 4, grown)
    _grow(out, place, len(properties))
    moved = bytes(out[:ipma]) + new_ipma + bytes(out[ipma + length :])
    moved = moved[: place + size] + properties + moved[place + size :]
    return _items_moved(moved, grown)


def _boxes_in(body: bytes) -> int:
    count = at = 0
    while at < len(body):
        at += struct.unpack_from(">I", body, at)[0]
        count += 1
    return count


def _grow(out: bytearray, at: int, by: int) -> None:
    struct.pack_into(">I", out, at, struct.unpack_from(">I", out, at)[0] + by)


def _items_moved(data: bytes, by: int) -> bytes:
    """With the places of items in `iloc` (8.11.3 of ISO/IEC 14496-12), versions 0 and 1 with offsets of 4 bytes."""
    out = bytearray(data)
    at = data.index(b"iloc") + 4
    version, sizes = data[at], data[at + 4 : at + 6]
    assert version < 2
    assert sizes[0] == 0x44
    base = sizes[1] >> 4
    (items,) = struct.unpack_from(">H", data, at + 6)
    at += 8
    for _ in range(items):
        at += 2 + (2 if version else 0) + 2 + base
        (extents,) = struct.unpack_from(">H", data, at)
        at += 2
        for _ in range(extents):
            _grow(out, at, by)
            at += 8
    return bytes(out)
