"""Each way of turning, in each format that knows one."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from app.downloads.decoder import make
from app.downloads.decoder.stripped import orientation
from app.downloads.thumbnail_format import CREATED, ORIGINAL, ThumbnailSpec
from tests.picture_forms import exifs
from tests.pictures import encoded, opened, with_properties

T = Image.Transpose
#: What a camera does to an upright picture before it stores it with this number (EXIF 2.3, tag 274).
STORED = {
    2: T.FLIP_LEFT_RIGHT,
    3: T.ROTATE_180,
    4: T.FLIP_TOP_BOTTOM,
    5: T.TRANSPOSE,
    6: T.ROTATE_90,
    7: T.TRANSVERSE,
    8: T.ROTATE_270,
}
#: AVIF's writer stores the number as `irot` and `imir`.
FORMS = ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"]


def stored(number: int, form: str, size: tuple[int, int] = (400, 200), **more: Any) -> bytes:
    """A file that a viewer who obeys its number shows with red, lime, blue and white in the corners, as one reads."""
    half = size[0] // 2, size[1] // 2
    upright = Image.new("RGB", size, "white")
    upright.paste("red", (0, 0, *half))
    upright.paste("lime", (half[0], 0, size[0], half[1]))
    upright.paste("blue", (0, half[1], half[0], size[1]))
    lying = upright.transpose(STORED[number]) if number in STORED else upright
    exif = Image.Exif()
    exif[274] = more.pop("exif", number)
    for tag, value in more.pop("tags", {}).items():
        exif[tag] = value
    return encoded(lying, form, exif=exif, quality=90, **more)


def check(data: bytes, size: tuple[int, int]) -> None:
    image = opened(data)
    assert image.size == size
    assert image.getexif().get(274, 1) == 1
    rgb = image.convert("RGB")
    for (x, y), colour in (((1, 1), (255, 0, 0)), ((3, 1), (0, 255, 0)), ((1, 3), (0, 0, 255)), ((3, 3), (255,) * 3)):
        seen = rgb.getpixel((size[0] * x // 4, size[1] * y // 4))
        assert all(abs(a - b) < 20 for a, b in zip(seen, colour, strict=True)), ((x, y), seen)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("form", FORMS)
def test_every_way_of_turning_comes_out_upright(form: str, number: int) -> None:
    data = stored(number, form)
    for wanted in ("", "png", "jpeg", "webp"):
        made = make(data, ThumbnailSpec(100, 100, wanted))
        assert made.kind == CREATED
        check(made.data, (100, 50))
    # A box that is higher than wide: its sides are those of the upright picture.
    check(make(data, ThumbnailSpec(60, 100, "")).data, (60, 30))


@pytest.mark.parametrize("form", FORMS)
def test_turned_pictures_that_fit_the_box(form: str) -> None:
    """Not each viewer turns originals of each format; all turn those of a JPEG."""
    made = make(stored(6, form, (80, 40)), ThumbnailSpec(100, 100, ""))
    if form == "JPEG":
        assert made.kind == ORIGINAL
    else:
        check(made.data, (80, 40))
    check(make(stored(6, form, (80, 40)), ThumbnailSpec(100, 100, "jpeg")).data, (80, 40))


#: EXIF's number, as properties: quarter turns against the clock, and the axis of the mirror (0: top becomes bottom).
PROPERTIES = {2: (0, 1), 3: (2, None), 4: (0, 0), 5: (1, 0), 6: (3, None), 7: (3, 0), 8: (1, None)}


@pytest.mark.parametrize("number", PROPERTIES)
def test_every_way_of_turning_by_properties(number: int) -> None:
    """Alone, and with an EXIF beside it that says the same, or something else: phones write both."""
    for exif in (1, number, 3):
        turned = with_properties(stored(number, "HEIF", exif=exif), *PROPERTIES[number])
        check(make(turned, ThumbnailSpec(100, 100, "")).data, (100, 50))
    # AVIF's writer stores them by itself, so that the test of all forms tries each.
    quarters, axis = PROPERTIES[number]
    avif = stored(number, "AVIF")
    assert (b"irot" + bytes((quarters,)) in avif) == bool(quarters)
    assert axis is None or b"imir" + bytes((axis,)) in avif


def test_exif_alone_turns_no_avif() -> None:
    """As in browsers. It is written beside the properties, and its writer leaves the number out: 0x0100 becomes it."""
    data = stored(1, "AVIF", tags={0x0100: 6})
    patched = data.replace(b"\x01\x00\x00\x04\x00\x00\x00\x01", b"\x01\x12\x00\x04\x00\x00\x00\x01")
    patched = patched.replace(b"\x00\x01\x04\x00\x01\x00\x00\x00", b"\x12\x01\x04\x00\x01\x00\x00\x00")
    assert patched != data
    check(make(patched, ThumbnailSpec(100, 100, "")).data, (100, 50))


def test_the_number_in_a_block_of_exif() -> None:
    for number in range(1, 9):
        for order, kind in (
            ("<", b"\x12\x01\x03\0\x01\0\0\0" + bytes((number, 0, 0, 0))),
            (">", b"\x01\x12\0\x03\0\0\0\x01\0" + bytes((number, 0, 0))),
        ):
            head = b"II*\0\x08\0\0\0\x01\0" if order == "<" else b"MM\0*\0\0\0\x08\0\x01"
            assert orientation(head + kind) == number
            assert orientation(b"Exif\0\0" + head + kind) == number
    for name, block in exifs():
        assert orientation(block) == 1, name


@pytest.mark.parametrize("number", range(1, 9))
def test_every_picture_of_an_animation_is_turned(number: int) -> None:
    second = Image.new("RGB", (400, 200) if number < 5 else (200, 400), "black")
    data = stored(number, "WEBP", save_all=True, append_images=[second], duration=100)
    made = make(data, ThumbnailSpec(100, 100, ""))
    assert made.kind == CREATED
    assert getattr(opened(made.data), "n_frames", 1) == 2
    check(made.data, (100, 50))
