"""Opens what was stripped of its metadata, by the library that decodes its format, and gives away rows of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import AvifImagePlugin, Image

from app.downloads.decoder import boxes, gif, jpeg, png, webp
from app.downloads.decoder.stripped import Stripped, orientation

try:
    import pillow_heif

    # Neither more threads than the one it is given, nor pictures that are only an icon in the file.
    pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)
except ImportError:
    # iPhones' HEIC is then not decoded, as it is not by v3.4.0: the original is shown.
    pillow_heif = None  # type: ignore[assignment,unused-ignore]

# A thread for each core takes memory for each.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True)
class Format:
    """How pictures of one type are decoded."""

    #: Pillow's names of what it opens; none where another library decodes.
    names: tuple[str, ...]
    #: What a thumbnail becomes where no format is requested: the same, else what every client shows.
    family: str
    strip: Callable[[bytes], Stripped] = Stripped
    #: Bytes for each pixel that the decoder takes beside the picture itself.
    beside: int = 0
    #: Whether clients show originals of this format at all: else they are made anew, whatever their size.
    shown: bool = True
    #: Whether each client turns originals of this format by their orientation.
    turned: bool = False
    animated: bool = False


#: By content type: what is decoded at all. Never SVG, PDF or the many rare formats that Pillow reads too.
FORMATS = {
    "image/jpeg": Format(("JPEG",), "JPEG", jpeg.strip, turned=True),
    "image/png": Format(("PNG",), "PNG", png.strip),
    "image/gif": Format(("GIF",), "PNG", gif.strip, animated=True),
    # Two canvases and the answer.
    "image/webp": Format(("WEBP",), "WEBP", webp.strip, beside=12, animated=True),
    "image/bmp": Format(("BMP",), "PNG"),
    "image/avif": Format(("AVIF",), "JPEG", boxes.strip_avif, beside=5),
    # Shown by its own phones, and by Safari.
    "image/heic": Format((), "JPEG", boxes.strip_heic, beside=2, shown=False),
    # A strip may be the whole picture. Shown by Safari.
    "image/tiff": Format(("TIFF",), "JPEG", beside=4, shown=False),
    "image/x-icon": Format(("ICO", "CUR"), "PNG"),
}
#: Bytes of the picture and of what its decoder takes beside it. With file and thumbnail the process stays under 400 MiB.
MAX_BYTES = 345_000_000
#: Of the picture alone.
MAX_PICTURE = 205_000_000
#: Whatever it takes to decode them.
MAX_PIXELS = 150_000_000
#: Bytes of a pixel in Pillow's memory, where they are not four.
_WIDTHS = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}


class TooLargeError(Exception):
    """No picture of this size is decoded."""


class Source:
    """An open picture.

    :param image: Pillow's, decoded when it is read; None where `pillow_heif` decodes.
    """

    def __init__(self, stripped: Stripped, image: Image.Image | None, heif: Any = None) -> None:
        self.image = image
        self._heif = heif
        self._kept = stripped.kept
        opened = image if image is not None else heif
        self.size: tuple[int, int] = opened.size
        self.profile: bytes = stripped.profile or opened.info.get("icc_profile") or b""
        exif = stripped.exif
        if image is None:
            # libheif obeys `irot` and `imir`.
            exif = b"" if stripped.turned else opened.info.get("exif") or b""
        elif image.format == "AVIF":
            # Pillow tells of `irot` and `imir` as EXIF would.
            exif = image.info.get("exif") or b""
        #: How the pixels have to be turned, as EXIF numbers it. TIFF is turned by Pillow.
        self.orientation = orientation(exif)

    @property
    def upright(self) -> tuple[int, int]:
        return self.size if self.orientation < 5 else self.size[::-1]

    def reduce(self, size: tuple[int, int]) -> None:
        """Have a JPEG decoded at 1/2, 1/4 or 1/8 of its size, so that twice `size` is left for the resampling to work on.

        :raises TooLargeError: even that is too large.
        """
        if self.image is not None and self.image.format == "JPEG":
            self.image.draft(None, (size[0] * 2, size[1] * 2))
            _check_bytes(self.image.size, self.image.mode, self._kept)
            self.size = self.image.size

    def rows(self, top: int, bottom: int) -> Image.Image:
        if self.image is not None:
            self.image.load()
            whole = (top, bottom) == (0, self.size[1])
            return self.image if whole else self.image.crop((0, top, self.size[0], bottom))
        data, stride = self._heif.data, self._heif.stride
        size = (self.size[0], bottom - top)
        return Image.frombytes(self._heif.mode, size, data[top * stride : bottom * stride], "raw", self._heif.mode, stride)


@contextmanager
def opened(form: Format, stripped: Stripped) -> Iterator[Source]:
    """
    :raises TooLargeError:
    """
    # Sizes are checked here, by format; Pillow's own limit knows only one for all.
    Image.MAX_IMAGE_PIXELS = None
    if not form.names:
        heif = _heif(stripped.data)
        _check(form, heif.size, heif.mode)
        yield Source(stripped, None, heif)
        return
    with Image.open(io.BytesIO(stripped.data), formats=form.names) as image:
        _check(form, image.size, image.mode)
        if image.format == "TIFF":
            # Only then is it turned.
            image.load()
        yield Source(stripped, image)


def _heif(data: bytes) -> Any:
    """The picture that stands for the file."""
    if pillow_heif is None:
        raise OSError("pillow-heif is not installed")
    try:
        file = pillow_heif.open_heif(data)
    except (OSError, ValueError, SyntaxError, RuntimeError, EOFError):
        # It reads EXIF at once, and may fail for that alone.
        file = pillow_heif.open_heif(boxes.without_exif(data))
    return file[file.primary_index]


def _check(form: Format, size: tuple[int, int], mode: str) -> None:
    pixels = size[0] * size[1]
    if pixels > MAX_PIXELS:
        raise TooLargeError(f"{size[0]} x {size[1]} pixels are too many for a thumbnail")
    if "JPEG" not in form.names:
        _check_bytes(size, mode, pixels * form.beside)


def _check_bytes(size: tuple[int, int], mode: str, beside: int) -> None:
    picture = size[0] * size[1] * _WIDTHS.get(mode, 4)
    if picture > MAX_PICTURE or picture + beside > MAX_BYTES:
        raise TooLargeError(f"{size[0]} x {size[1]} pixels are too many for a thumbnail of this size")
