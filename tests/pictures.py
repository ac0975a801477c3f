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
