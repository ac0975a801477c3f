"""Pictures in the forms of public image libraries' test suites: all kinds of pixels, and metadata that is broken or huge.

All are `WIDE` x `HIGH` and look alike, unless a name says otherwise: black at the left, white at the right.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pillow_heif
from PIL import Image

from tests.pictures import encoded, swapped_profile

pillow_heif.register_heif_opener()

WIDE, HIGH = 45, 30
GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
_SAMPLES = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
_DEPTHS = {GREY: (1, 2, 4, 8, 16), COLOUR: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), COLOUR_ALPHA: (8, 16)}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
GARBAGE = bytes(range(7, 60))
BOMB = zlib.compress(bytes(5_000_000), 9)


def picture(mode: str = "RGB") -> Image.Image:
    return Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize((WIDE, HIGH)).convert(mode)


def all_forms() -> Iterator[tuple[str, bytes]]:
    """Name and content of each."""
    return itertools.chain(pngs(), png_metadata(), jpegs(), jpeg_metadata(), gifs(), bmps(), webps(), others())


# PNG


def chunk(kind: bytes, body: bytes, right: bool = True) -> bytes:
    checksum = zlib.crc32(kind + body) ^ (0 if right else 0xFFFF)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png(
    colours: int = COLOUR,
    depth: int = 8,
    interlaced: bool = False,
    filters: tuple[int, ...] = (0,),
    before: bytes = b"",
    after: bytes = b"",
    pieces: int = 1,
    size: tuple[int, int] = (WIDE, HIGH),
) -> bytes:
    """A PNG by hand.

    :param filters: the rows', in turn.
    :param before: chunks before the pixels.
    :param pieces: of the pixels' chunk.
    """
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    lines = b"".join(_pass(colours, depth, filters, size, one) for one in passes)
    packed = zlib.compress(lines)
    step = max(1, -(-len(packed) // pieces))
    header = struct.pack(">IIBBBBB", *size, depth, colours, 0, 0, int(interlaced))
    palette = bytes(n * 255 // ((1 << depth) - 1) for n in range(1 << depth) for _ in "rgb") if colours == PALETTE else b""
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", header),
        *([chunk(b"PLTE", palette)] if palette else []),
        before,
        *(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step)),
        after,
        chunk(b"IEND", b""),
    ]
    return b"".join(parts)


def _pass(
    colours: int, depth: int, filters: tuple[int, ...], size: tuple[int, int], one: tuple[int, int, int, int]
) -> bytes:
    left, top, right, down = one
    columns = range(left, size[0], right)
    if not columns:
        return b""
    most = (1 << depth) - 1
    values = [round(x * most / max(1, size[0] - 1)) for x in columns]
    samples = [
        v
        for value in values
        for v in [value] * (_SAMPLES[colours] - (colours >= GREY_ALPHA)) + [most] * (colours >= GREY_ALPHA)
    ]
    if depth == 16:
        row = b"".join(struct.pack(">H", s) for s in samples)
    else:
        bits = "".join(f"{s:0{depth}b}" for s in samples)
        bits += "0" * (-len(bits) % 8)
        row = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    unit = max(1, _SAMPLES[colours] * depth // 8)
    out, above = b"", bytes(len(row))
    for n, _ in enumerate(range(top, size[1], down)):
        kind = filters[n % len(filters)]
        out += bytes((kind,)) + _filtered(row, above, unit, kind)
        above = row
    return out


def _filtered(row: bytes, above: bytes, unit: int, kind: int) -> bytes:
    before = bytes(unit) + row
    corner = bytes(unit) + above

    def paeth(a: int, b: int, c: int) -> int:
        return min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]

    guesses = {
        0: lambda n: 0,
        1: lambda n: before[n],
        2: lambda n: above[n],
        3: lambda n: (before[n] + above[n]) // 2,
        4: lambda n: paeth(before[n], above[n], corner[n]),
    }
    return bytes((value - guesses[kind](n)) & 255 for n, value in enumerate(row))


def pngs() -> Iterator[tuple[str, bytes]]:
    for colours, depths in _DEPTHS.items():
        for depth, interlaced in itertools.product(depths, (False, True)):
            name = f"png-{colours}-{depth}-{'i' if interlaced else 'n'}"
            yield name, png(colours, depth, interlaced)
            clear = {GREY: b"\0\0", COLOUR: bytes(6), PALETTE: b"\0"}.get(colours)
            if clear:
                yield f"{name}-trns", png(colours, depth, interlaced, before=chunk(b"tRNS", clear))
    for colours, filters in itertools.product((GREY, COLOUR, COLOUR_ALPHA), ((1,), (2,), (3,), (4,), (4, 3, 2, 1, 0))):
        yield f"png-{colours}-filter{''.join(map(str, filters))}", png(colours, 8, filters=filters)
    for pieces in (3, 50, 10_000):
        yield f"png-{pieces}-pieces", png(pieces=pieces)


def png_metadata() -> Iterator[tuple[str, bytes]]:
    kinds = (
        b"tEXt zTXt iTXt iCCP eXIf acTL fcTL fdAT gAMA cHRM sRGB sBIT bKGD hIST pHYs sPLT tIME cICP mDCv oFFs pCAL sCAL "
        b"sTER vpAg prVt"
    ).split()
    for kind, (form, body) in itertools.product(kinds, (("empty", b""), ("garbage", GARBAGE))):
        yield f"png-{kind.decode()}-{form}", png(before=chunk(kind, body), after=chunk(kind, body))
    for kind in kinds:
        yield f"png-{kind.decode()}-checksum", png(before=chunk(kind, b"a\0\0\0\0", right=False))
    for kind, head in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        yield f"png-{kind.decode()}-bomb", png(before=chunk(kind, head + BOMB))
        yield f"png-{kind.decode()}-bomb-after", png(after=chunk(kind, head + BOMB))
        yield f"png-{kind.decode()}-cut", png(before=chunk(kind, head + BOMB[:40]))
        yield f"png-{kind.decode()}-method", png(before=chunk(kind, b"a\0\7" + BOMB[:40]))
    yield "png-many-texts", png(before=chunk(b"tEXt", b"key\0" + bytes(40_000)) * 50)
    yield "png-text-huge", png(before=chunk(b"tEXt", b"key\0" + b"x" * 3_000_000))
    for name, body in exifs():
        yield f"png-exif-{name}", png(before=chunk(b"eXIf", body))
    for name, body in (("short", b"\0"), ("long", bytes(300))):
        for colours in (GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA):
            yield f"png-{colours}-trns-{name}", png(colours, before=chunk(b"tRNS", body))
    yield "png-palette-of-colour", png(before=chunk(b"PLTE", bytes(30)))
    yield "png-after-the-end", png() + GARBAGE
    # An animation whose frames are numbered wrongly: its default picture is shown.
    control = struct.pack(">IIIIIHHBB", 9, WIDE, HIGH, 0, 0, 1, 10, 0, 0)
    yield "png-frames-out-of-order", png(before=chunk(b"acTL", bytes((0, 0, 0, 2, 0, 0, 0, 0))) + chunk(b"fcTL", control))


def exifs() -> Iterator[tuple[str, bytes]]:
    """Blocks that are none, or hardly; none says how the picture is turned."""
    yield "empty", b""
    yield "no-header", b"\0\0\0\0\0\0\0\0"
    yield "header-alone", b"II*\0"
    yield "no-directory", b"II*\0\xff\xff\xff\xff"
    yield "cut", b"MM\0*\0\0\0\x08\0\x05\x01\x0f\0\x02"
    yield "loop", b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0"
    yield "large-values", b"II*\0\x08\0\0\0\x02\0" + b"\x0f\x01\x02\0\xff\xff\xff\x7f\0\0\0\0" * 2 + bytes(4)
    yield "odd-orientation", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0" + bytes(4)
    yield "orientation-as-text", b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0" + bytes(4)
    yield "zero-resolution", b"II*\0\x08\0\0\0\x01\0\x1a\x01\x05\0\x01\0\0\0\x1a\0\0\0" + bytes(12)


# JPEG


def jpegs() -> Iterator[tuple[str, bytes]]:
    for mode, progressive, sampling in itertools.product(("L", "RGB", "CMYK"), (False, True), (0, 1, 2)):
        yield f"jpeg-{mode}-{progressive}-{sampling}", jpeg(mode, progressive=progressive, subsampling=sampling)
    for quality in (1, 50, 100):
        yield f"jpeg-quality-{quality}", jpeg(quality=quality)
    yield "jpeg-restarts", jpeg(restart_marker_blocks=1)
    yield "jpeg-restart-rows", jpeg(restart_marker_rows=1, progressive=True)
    yield "jpeg-optimized", jpeg(optimize=True)
    yield "jpeg-of-rgb", jpeg(keep_rgb=True)
    four = jpeg("CMYK")
    yield "jpeg-ycck", four.replace(b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\2")
    whole = jpeg()
    yield "jpeg-fill-bytes", whole.replace(b"\xff\xdb", b"\xff\xff\xff\xff\xdb")
    yield "jpeg-no-end", whole.removesuffix(b"\xff\xd9")
    yield "jpeg-after-the-end", whole + GARBAGE + jpeg()
    yield "jpeg-no-jfif", whole[:2] + whole[20:]


def jpeg(mode: str = "RGB", **more: Any) -> bytes:
    return encoded(picture(mode), "JPEG", **{"quality": 90, **more})


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def jpeg_metadata() -> Iterator[tuple[str, bytes]]:
    whole = jpeg()

    def with_(added: bytes) -> bytes:
        return whole[:20] + added + whole[20:]

    for marker in (*range(0xE0, 0xF0), 0xFE):
        for form, body in (("empty", b""), ("garbage", GARBAGE), ("full", bytes(65_533))):
            yield f"jpeg-{marker:x}-{form}", with_(segment(marker, body))
    known = (
        (0xE0, b"JFXX\0\x10"),
        (0xE1, b"Exif\0\0"),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1\2"),
        (0xE2, b"MPF\0"),
        (0xE2, b"MPF\0II*\0\x08\0\0\0\x02\0"),
        (0xE2, b"FPXR\0"),
        (0xEB, b"JP\0\1"),
        (0xEC, b"Ducky\0"),
        (0xED, b"Photoshop 3.0\0" + b"8BIM"),
    )
    for n, (marker, head) in enumerate(known):
        yield f"jpeg-{marker:x}-{n}-alone", with_(segment(marker, head))
        yield f"jpeg-{marker:x}-{n}-garbage", with_(segment(marker, head + GARBAGE))
    for name, body in exifs():
        yield f"jpeg-exif-{name}", with_(segment(0xE1, b"Exif\0\0" + body))
    pieces = [segment(0xE2, b"ICC_PROFILE\0" + bytes((n + 1, 200)) + bytes(65_000)) for n in range(200)]
    yield "jpeg-profile-huge", with_(b"".join(pieces))
    yield "jpeg-comments", with_(segment(0xFE, b"x" * 60_000) * 100)


# GIF


def block(data: bytes) -> bytes:
    return b"".join(bytes((len(data[at : at + 255]),)) + data[at : at + 255] for at in range(0, len(data), 255)) + b"\0"


def gifs() -> Iterator[tuple[str, bytes]]:
    whole = encoded(picture("P"), "GIF", interlace=0)
    table = 13 + (3 << ((whole[10] & 7) + 1))
    yield "gif", whole
    yield "gif-interlaced", encoded(picture("P"), "GIF", interlace=1)
    yield "gif-87", b"GIF87a" + whole[6:]
    yield "gif-no-end", whole.removesuffix(b";")
    yield "gif-after-the-end", whole + GARBAGE
    yield "gif-zeros-at-the-end", whole[:-1] + b"\0\0;"
    yield "gif-transparent", encoded(picture("P"), "GIF", transparency=0)
    yield "gif-two-colours", encoded(picture("1"), "GIF")
    yield "gif-aspect", whole[:12] + b"\x31" + whole[13:]
    yield "gif-background", whole[:11] + b"\x07" + whole[12:]
    extensions = {
        "comment": b"\x21\xfe" + block(b"remark"),
        "comments-huge": b"\x21\xfe" + block(b"x" * 3_000_000),
        "comments-many": (b"\x21\xfe" + block(b"x" * 250)) * 5_000,
        "comment-empty": b"\x21\xfe\0",
        "text": b"\x21\x01\x0c" + bytes(12) + block(b"text"),
        "xmp": b"\x21\xff\x0bXMP DataXMP" + b"<x/>" + b"\x01" + bytes(range(255, -1, -1)) + b"\0",
        "profile": b"\x21\xff\x0bICCRGBG1012" + block(GARBAGE * 9),
        "loop-short": b"\x21\xff\x0bNETSCAPE2.0\x01\x01\0",
        "loop-empty": b"\x21\xff\x0bNETSCAPE2.0\0",
        "application-odd": b"\x21\xff\x03abc\0",
        "unknown": b"\x21\x7f" + block(GARBAGE),
        "control-short": b"\x21\xf9\x01\0\0",
    }
    for name, added in extensions.items():
        yield f"gif-{name}", whole[:table] + added + whole[table:]
        yield f"gif-{name}-at-the-end", whole[:-1] + added + b";"
    frames = [picture("P"), picture("P").transpose(Image.Transpose.FLIP_TOP_BOTTOM), picture("L").convert("P")]
    for disposal in range(4):
        yield (
            f"gif-animated-{disposal}",
            encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50, disposal=disposal),
        )
    small = encoded(picture("P").resize((20, 30)), "GIF")
    yield "gif-first-smaller-than-the-screen", small[:6] + struct.pack("<HH", WIDE, HIGH) + small[10:]


# BMP


def bmp(bits: int, header: int = 40, down: bool = False, masks: tuple[int, ...] = (), packed: str = "") -> bytes:
    """A BMP by hand.

    :param header: bytes; 12 is OS/2's.
    :param down: rows from the top.
    :param masks: of 16 and 32 bits.
    :param packed: `rle4` or `rle8`.
    """
    colours = (
        b"".join(bytes((n * 255 // ((1 << bits) - 1),) * 3) + b"\0" * (header != 12) for n in range(1 << bits))
        if bits <= 8
        else b""
    )
    row = b""
    values = [x * 255 // (WIDE - 1) for x in range(WIDE)]
    if packed:
        width = 4 if packed == "rle4" else 8
        runs = b"".join(bytes((1, (v >> 4) * 17 if width == 4 else v)) for v in values)
        pixels = (runs + b"\0\0") * HIGH + b"\0\1"
    else:
        if bits <= 8:
            text = "".join(f"{v >> (8 - bits):0{bits}b}" for v in values)
            text += "0" * (-len(text) % 32)
            row = bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))
        elif bits == 16:
            used = masks or (0x7C00, 0x3E0, 0x1F)
            row = b"".join(struct.pack("<H", sum((v * (m // (m & -m)) // 255) * (m & -m) for m in used)) for v in values)
        else:
            row = b"".join(bytes((v,) * 3) + b"\0" * (bits == 32) for v in values)
        row += b"\0" * (-len(row) % 4)
        pixels = row * HIGH
    compression = {"rle8": 1, "rle4": 2}.get(packed, 3 if masks else 0)
    if header == 12:
        info = struct.pack("<IHHHH", 12, WIDE, HIGH, 1, bits)
    else:
        info = struct.pack(
            "<IiiHHIIiiII", header, WIDE, -HIGH if down else HIGH, 1, bits, compression, len(pixels), 0, 0, 0, 0
        )
        fields = b"".join(struct.pack("<I", m) for m in masks)
        info = info + fields if header == 40 else (info + fields).ljust(header, b"\0")
    start = 14 + len(info) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + colours + pixels


def bmps() -> Iterator[tuple[str, bytes]]:
    for bits in (1, 4, 8, 24):
        yield f"bmp-os2-{bits}", bmp(bits, 12)
    for bits, header, down in itertools.product((1, 4, 8, 16, 24, 32), (40, 108, 124), (False, True)):
        yield f"bmp-{bits}-{header}-{'down' if down else 'up'}", bmp(bits, header, down)
    yield "bmp-rle8", bmp(8, packed="rle8")
    yield "bmp-rle4", bmp(4, packed="rle4")
    yield "bmp-565", bmp(16, masks=(0xF800, 0x7E0, 0x1F))
    yield "bmp-555", bmp(16, masks=(0x7C00, 0x3E0, 0x1F))
    yield "bmp-888", bmp(32, masks=(0xFF0000, 0xFF00, 0xFF))
    yield "bmp-after-the-end", bmp(24) + GARBAGE


# WebP, and forms that only a library writes


def riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def webps() -> Iterator[tuple[str, bytes]]:
    yield "webp-lossy", encoded(picture(), "WEBP", quality=90)
    yield "webp-lossless", encoded(picture(), "WEBP", lossless=True)
    yield "webp-alpha", encoded(picture("RGBA"), "WEBP")
    frames = [picture(), picture().transpose(Image.Transpose.FLIP_TOP_BOTTOM)]
    yield "webp-animated", encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50)
    profile = swapped_profile()
    whole = encoded(
        Image.new("RGB", (WIDE, HIGH), "white"), "WEBP", icc_profile=profile, exif=b"II*\0\x08\0\0\0\0\0" + bytes(4)
    )
    yield "webp-flags-without-chunks-white", b"RIFF" + whole[4:].replace(b"EXIF", b"ODD ").replace(b"ICCP", b"ODD ")
    extended = encoded(picture(), "WEBP", exif=b"II*\0\x08\0\0\0\0\0" + bytes(4))
    for kind, (form, body) in itertools.product(
        (b"EXIF", b"XMP ", b"ICCP", b"ODD "), (("empty", b""), ("garbage", GARBAGE), ("huge", bytes(5_000_000)))
    ):
        added = extended + riff(kind, body)
        yield f"webp-{kind.decode().strip()}-{form}", b"RIFF" + struct.pack("<I", len(added) - 8) + added[8:]
    yield "webp-wrong-size", b"RIFF" + struct.pack("<I", 20) + extended[8:]
    yield "webp-cut-metadata", extended + b"EXIF\xff\xff\0\0abc"
    for name, body in exifs():
        added = encoded(picture(), "WEBP", exif=b"II*\0\x08\0\0\0\0\0" + bytes(4)) + riff(b"EXIF", body)
        yield f"webp-exif-{name}", b"RIFF" + struct.pack("<I", len(added) - 8) + added[8:]


def others() -> Iterator[tuple[str, bytes]]:
    for sampling in ("4:0:0", "4:2:0", "4:2:2", "4:4:4"):
        yield f"avif-{sampling[2:]}", encoded(picture(), "AVIF", subsampling=sampling, quality=90)
    yield "avif-alpha", encoded(picture("RGBA"), "AVIF", quality=90)
    yield "avif-xmp", encoded(picture(), "AVIF", xmp=GARBAGE, quality=90)
    for mode in ("L", "RGB", "RGBA"):
        yield f"heic-{mode}", encoded(picture(mode), "HEIF", quality=90)
    for name, body in (*exifs(), ("garbage", GARBAGE)):
        yield f"heic-exif-{name}", encoded(picture(), "HEIF", quality=90, exif=b"Exif\0\0" + body)
    yield "heic-xmp", encoded(picture(), "HEIF", quality=90, xmp=GARBAGE)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"tiff-{compression}", encoded(picture(), "TIFF", compression=compression)
    for mode in ("L", "I;16", "P", "RGBA", "CMYK"):
        image = picture("I").point(lambda v: v * 257).convert("I;16") if mode == "I;16" else picture(mode)
        yield f"tiff-{mode}", encoded(image, "TIFF")
    yield (
        "tiff-group4-1bit",
        encoded(picture("L").point(lambda v: 255 * (v > 127)).convert("1"), "TIFF", compression="group4"),
    )
    yield "ico", encoded(picture(), "ICO", sizes=[(WIDE, HIGH)])
    yield "ico-bmp", encoded(picture("RGBA"), "ICO", sizes=[(WIDE, HIGH)], bitmap_format="bmp")
