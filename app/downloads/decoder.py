"""Turns bytes of a picture into bytes of a smaller one. Runs in a process of its own (`decoder_process`), the only place
that decodes what users uploaded: it may be killed, and its memory goes back with it.
"""

from __future__ import annotations

import io
import os
import resource
import struct
import sys
from itertools import islice
from typing import Any, BinaryIO, cast

import msgspec
from PIL import Image, ImageCms, ImageOps, ImageSequence, UnidentifiedImageError

from app.downloads.thumbnail_format import (
    CHECK,
    CREATED,
    NOT_AN_IMAGE,
    ORIGINAL,
    REFUSED,
    TOO_MUCH,
    Outcome,
    ThumbnailSpec,
    fit,
    legacy_name,
    own_name,
)

try:
    from pillow_heif import register_heif_opener

    # Neither more threads than the one it is given, nor pictures that are only an icon in the file.
    register_heif_opener(thumbnails=False, decode_threads=1)
except ImportError:
    # iPhones' HEIC is then no image, as it is none to v3.4.0.
    pass

#: What is decoded at all: never SVG, PDF or the many rare formats that Pillow reads too.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF", "HEIF")
#: Pixels of a picture that has to be decoded whole, of four bytes each; a JPEG is decoded at a fraction of its size.
MAX_PIXELS = 30_000_000
#: WebP's decoder holds four copies.
MAX_WEBP_PIXELS = 15_000_000
MAX_JPEG_PIXELS = 250_000_000
#: Of an animation. With more, its first picture stands for it.
MAX_FRAMES = 200
MAX_FRAME_PIXELS = 30_000_000
#: Bytes of address space, a last resort where a decoder misbehaves.
_ADDRESS_SPACE = 1 << 30
#: 0 to 100, of JPEG and WebP.
_QUALITY = 82
_TYPES = {name: f"image/{name.lower()}" for name in _FORMATS} | {"HEIF": "image/heic"}
#: What a picture becomes where no format is requested: its own, else what every client shows.
_FAMILY = {"JPEG": "JPEG", "PNG": "PNG", "GIF": "PNG", "WEBP": "WEBP", "BMP": "PNG", "AVIF": "JPEG", "HEIF": "JPEG"}


def make(data: bytes, spec: ThumbnailSpec, checked: bool = True) -> Outcome:
    """The picture that fits the box, upright, without metadata; or why there is none.

    :param checked: false answers `CHECK`, by the picture's header alone, where v3.4.0 may have created it already.
    """
    # Sizes are checked here, by format; Pillow's own limit knows only one for all.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            return _of_image(image, spec, checked)
    except UnidentifiedImageError:
        return Outcome(NOT_AN_IMAGE)
    except MemoryError:
        return Outcome(TOO_MUCH, detail="the picture takes too much memory")
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, struct.error, ArithmeticError, TypeError) as e:
        # Pillow's decoders raise all of these for files that are cut or damaged.
        return Outcome(REFUSED, detail=f"the picture is damaged ({type(e).__name__})")


def _of_image(image: Image.Image, spec: ThumbnailSpec, checked: bool) -> Outcome:
    source = str(image.format)
    pixels = image.size[0] * image.size[1]
    # A progressive JPEG is kept whole while it is decoded, whatever its size afterwards.
    in_parts = source == "JPEG" and "progressive" not in image.info
    if pixels > (MAX_JPEG_PIXELS if in_parts else MAX_WEBP_PIXELS if source == "WEBP" else MAX_PIXELS):
        return Outcome(REFUSED, detail=f"{image.size[0]} x {image.size[1]} pixels are too many for a thumbnail")
    orientation = _orientation(image)
    upright = image.size if orientation < 5 else (image.size[1], image.size[0])
    size = fit(upright, spec)
    # HEIC is for its own phones alone: others get it as JPEG, whatever its size.
    target = spec.format.upper() or ("JPEG" if source == "HEIF" else source)
    if size == upright and target == source and (orientation == 1 or not spec.format):
        # Nothing would change; viewers turn an original by its EXIF themselves.
        return Outcome(ORIGINAL, content_type=_TYPES[source])
    frames = 1 if spec.format else _frames(image)
    target = spec.format.upper() or (source if frames > 1 else _FAMILY[source])
    if spec.format in ("png", "jpeg") and orientation == 1:
        # What v3.4.0 makes of the same request is the same picture in the same format.
        name = legacy_name(upright, spec)
        if not checked:
            return Outcome(CHECK, name=name, content_type=_TYPES[target])
    else:
        name = own_name(spec)
    data = _animated(image, target, size, frames) if frames > 1 else _still(image, target, size)
    return Outcome(CREATED, name=name, content_type=_TYPES[target], data=data)


def _still(image: Image.Image, target: str, size: tuple[int, int]) -> bytes:
    # By the header, as the size was.
    turned = _orientation(image) != 1
    if image.format == "JPEG":
        # The decoder's own reduction to 1/2, 1/4 or 1/8. Twice the requested size is left for the resampling to work on.
        side = max(size) * 2
        image.draft(None, (side, side))
    image.load()
    profile = image.info.get("icc_profile")
    if turned:
        ImageOps.exif_transpose(image, in_place=True)
    picture = _rgb(_smaller(_resizable(image), size), profile)
    if target == "JPEG" and picture.mode == "RGBA":
        ground = Image.new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture.getchannel("A"))
        picture = ground
    # Comments, EXIF and profile would go along from here.
    picture.info = {}
    out = io.BytesIO()
    # Each format takes what it knows of these.
    picture.save(out, target, quality=_QUALITY, optimize=True, progressive=size[0] * size[1] > 250_000, method=4)
    return out.getvalue()


def _animated(image: Image.Image, target: str, size: tuple[int, int], frames: int) -> bytes:
    def duration(number: int) -> int:
        image.seek(number)
        if image.format == "WEBP":
            # Pillow learns it only then.
            image.load()
        return int(image.info.get("duration", 100))

    def picture(number: int) -> Image.Image:
        image.seek(number)
        smaller = _smaller(image.convert("RGBA"), size)
        smaller.info = {}
        return smaller

    more: dict[str, Any] = {"quality": _QUALITY, "method": 2} if target == "WEBP" else {"disposal": 2}
    if "loop" in image.info:
        more["loop"] = int(image.info["loop"])
    # Needed before the pictures are encoded: decoding twice costs less memory than keeping all of them.
    more["duration"] = [duration(n) for n in range(frames)]
    rest = (picture(n) for n in range(1, frames))
    out = io.BytesIO()
    picture(0).save(out, target, save_all=True, append_images=rest, **more)
    return out.getvalue()


def _frames(image: Image.Image) -> int:
    """Pictures of an animation; 1 where it has more than are worth it. Counted by looking: headers lie."""
    if image.format not in ("GIF", "WEBP") or not getattr(image, "is_animated", False):
        return 1
    most = min(MAX_FRAMES, MAX_FRAME_PIXELS // (image.size[0] * image.size[1]))
    count = sum(1 for _ in islice(ImageSequence.Iterator(image), most + 1))
    image.seek(0)
    return count if count <= most else 1


def _resizable(image: Image.Image) -> Image.Image:
    """In a mode whose pixels can be averaged."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # 16 bits of grey. Pillow's own conversion cuts instead of scaling.
        return image.convert("F")
    if image.mode in ("1", "P", "PA", "La", "LA") or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def _smaller(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB or RGBA, 8 bits, sRGB."""
    if image.mode == "F":
        image = image.point(lambda v: v * (255 / 65535)).convert("L")
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode=mode
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            # A profile that cannot be read, or is for other colours, is as good as none.
            pass
        else:
            image = converted or image
    return image if image.mode == mode else image.convert(mode)


def _orientation(image: Image.Image) -> int:
    """EXIF's tag 274, 1 to 8; 1 where there is none or another. HEIF's and AVIF's decoders turn by themselves."""
    if image.format in ("HEIF", "AVIF", "GIF", "BMP"):
        return 1
    value = image.getexif().get(274, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests, one at a time, until the input ends.

    A request is a frame of `ThumbnailSpec` and a frame of the picture; an answer a frame of `Outcome`. After `CHECK` comes
    an empty frame where there is none, or one of a byte where it was found. A frame is a length in 4 bytes, and that many
    bytes.
    """
    while (requested := _read(requests)) is not None and (data := _read(requests)) is not None:
        spec = msgspec.msgpack.decode(requested, type=ThumbnailSpec)
        answer = make(data, spec, checked=False)
        if answer.kind == CHECK:
            _write(answers, answer)
            if _read(requests) != b"":
                continue
            answer = make(data, spec)
        del data
        _write(answers, answer)


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    return stream.read(struct.unpack(">I", head)[0]) if len(head) == 4 else None


def _write(stream: BinaryIO, answer: Outcome) -> None:
    frame = msgspec.msgpack.encode(answer)
    stream.write(struct.pack(">I", len(frame)) + frame)
    stream.flush()


if __name__ == "__main__":
    # Uploads come first.
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(cast(BinaryIO, sys.stdin.buffer), cast(BinaryIO, sys.stdout.buffer))
