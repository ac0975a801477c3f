"""Makes pictures smaller: in strips, upright, in sRGB."""

from __future__ import annotations

import io
import math
from itertools import islice
from typing import Any

from PIL import Image, ImageCms, ImageMath, ImageSequence

from app.downloads.decoder.sources import Source

#: Of an animation. With more, its first picture stands for it.
MAX_FRAMES = 200
MAX_FRAME_PIXELS = 30_000_000
#: Pixels that are converted at once, and the least of a thumbnail's rows.
_STRIP, _LEAST = 4_000_000, 32
#: 0 to 100, of JPEG and WebP.
_QUALITY = 82
#: EXIF's numbers to what turns the picture upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def still(source: Source, target: str, size: tuple[int, int]) -> bytes:
    """One picture, `size` pixels large when it is upright, as a file of the format `target`."""
    lying = size if source.orientation < 5 else size[::-1]
    source.reduce(lying)
    picture = _rgb(_scaled(source, lying), source.profile)
    turn = _TURNS.get(source.orientation)
    if turn is not None:
        picture = picture.transpose(turn)
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


def animated(image: Image.Image, target: str, size: tuple[int, int], frames: int, orientation: int = 1) -> bytes:
    """All pictures of an animation.

    :param size: pixels of each when it is upright.
    :param orientation: EXIF's number of how they have to be turned.
    """
    lying, turn = size if orientation < 5 else size[::-1], _TURNS.get(orientation)

    def duration(number: int) -> int:
        image.seek(number)
        if image.format == "WEBP":
            # Pillow learns it only then.
            image.load()
        return int(image.info.get("duration", 100))

    def picture(number: int) -> Image.Image:
        image.seek(number)
        smaller = _smaller(image.convert("RGBA"), lying)
        if turn is not None:
            smaller = smaller.transpose(turn)
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


def frames_of(image: Image.Image) -> int:
    """Pictures of an animation; 1 where it has more than are worth it. Counted by looking: headers lie."""
    if not getattr(image, "is_animated", False):
        return 1
    most = min(MAX_FRAMES, MAX_FRAME_PIXELS // (image.size[0] * image.size[1]))
    count = sum(1 for _ in islice(ImageSequence.Iterator(image), most + 1))
    image.seek(0)
    return count if count <= most else 1


def _scaled(source: Source, size: tuple[int, int]) -> Image.Image:
    """All of it in `size`; where it is large, a strip at a time, so that none of it is held twice."""
    width, height = source.size
    if width * height <= _STRIP:
        return _smaller(_resizable(source.rows(0, height)), size)
    scale = height / size[1]
    step = max(_LEAST, int(_STRIP / width / scale))
    # Rows beside a strip that the filter looks at: three, times the scale.
    margin = math.ceil(3 * scale) + 1
    whole = Image.new(_resizable(source.rows(0, 1)).mode, size)
    for top in range(0, size[1], step):
        bottom = min(top + step, size[1])
        first, last = max(0, math.floor(top * scale) - margin), min(height, math.ceil(bottom * scale) + margin)
        box = (0, top * scale - first, width, min(bottom * scale, height) - first)
        strip = _resizable(source.rows(first, last))
        part = strip.resize((size[0], bottom - top), Image.Resampling.LANCZOS, box, reducing_gap=3.0)
        whole.paste(part, (0, top))
    return whole


def _resizable(image: Image.Image) -> Image.Image:
    """In a mode whose pixels can be averaged."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # 16 bits of grey. Pillow's own conversion cuts instead of scaling.
        deep = image.convert("F")
        clear = image.info.get("transparency")
        if not isinstance(clear, int):
            return deep
        alpha = ImageMath.lambda_eval(lambda a: a["convert"]((a["image"] != clear) * 255, "L"), image=image.convert("I"))
        return Image.merge("RGBA", [_grey(deep)] * 3 + [alpha])
    if image.mode in ("1", "P", "PA", "La", "LA", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def _smaller(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _grey(image: Image.Image) -> Image.Image:
    return image.point(lambda v: v * (255 / 65535)).convert("L")


def _rgb(image: Image.Image, profile: bytes) -> Image.Image:
    """RGB or RGBA, 8 bits, sRGB."""
    if image.mode == "F":
        image = _grey(image)
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
