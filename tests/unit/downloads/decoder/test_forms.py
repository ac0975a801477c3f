"""The kept set: what browsers and Go show has a thumbnail, whatever its form, and whatever stands beside its pixels."""

from __future__ import annotations

import json
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.downloads import decoder_process
from app.downloads.decoder import make
from app.downloads.decoder_process import ThumbnailHelper
from app.downloads.thumbnail_format import CREATED, DAMAGED, ORIGINAL, TOO_LARGE, TOO_MUCH, ThumbnailSpec
from tests.picture_forms import HIGH, WIDE, all_forms, chunk, picture, png, segment
from tests.pictures import encoded, opened

PICTURES = Path(__file__).parents[3] / "conformance/pictures"
SMALLER = ThumbnailSpec(30, 30, "")
#: The four that a report of real pictures named, and the sizes that are right for a box of 160 x 160.
REPORTED = {"mpo.jpg": (160, 120), "text-big.png": (160, 120), "exif-broken.png": (160, 120), "side6.avif": (120, 160)}
#: Shown as they are: what ends too early cannot be told from what is cut.
ORIGINALS = {"jpeg-no-end"}
#: That are not black at the left and white at the right.
OTHERS = {"webp-flags-without-chunks-white", "gif-first-smaller-than-the-screen", "jpeg-ycck"}


def test_every_form_has_a_thumbnail() -> None:
    """Over 400 of them: black at the left and white at the right, whatever the form."""
    forms = list(all_forms())
    assert len({name for name, _ in forms}) == len(forms) >= 400
    wrong = []
    start = time.process_time()
    for name, data in forms:
        made = make(data, SMALLER)
        if made.kind == DAMAGED and name in ORIGINALS:
            continue
        if made.kind != CREATED:
            wrong.append(f"{name}: {made.kind} {made.detail}")
            continue
        image = opened(made.data)
        if image.size != (30, 20) and not name.startswith("ico"):
            wrong.append(f"{name}: {image.size}")
        ground = Image.new("RGBA", image.size, "black")
        ground.alpha_composite(image.convert("RGBA"))
        left, right = (ground.convert("L").getpixel((x, 10)) for x in (1, image.size[0] - 2))
        if not (left < 90 and right > 165) and name not in OTHERS:
            wrong.append(f"{name}: {left} at the left, {right} at the right")
    assert wrong == []
    assert time.process_time() - start < 60


@pytest.mark.parametrize("wanted", ["", "png", "jpeg", "webp"])
@pytest.mark.parametrize("name", REPORTED)
def test_pictures_of_a_report(name: str, wanted: str) -> None:
    made = make((PICTURES / name).read_bytes(), ThumbnailSpec(160, 160, wanted))
    image = opened(made.data)
    own = {"mpo.jpg": "JPEG", "side6.avif": "JPEG"}.get(name, "PNG")
    assert (made.kind, image.format, image.size) == (CREATED, wanted.upper() or own, REPORTED[name])
    red, green, blue = image.convert("RGB").getpixel((60, 3) if name == "side6.avif" else (3, 60))
    assert red > 240 > 20 > max(green, blue)


def test_a_jpeg_of_several_pictures_is_a_jpeg() -> None:
    """Its index is that of an MPO, which Pillow takes for a format of its own."""
    data = encoded(picture(), "MPO", save_all=True, append_images=[picture().resize((9, 6))])
    for wanted, form in (("", "JPEG"), ("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")):
        assert opened(make(data, ThumbnailSpec(30, 30, wanted)).data).format == form
    within = make(data, ThumbnailSpec(100, 100, ""))
    assert (within.kind, within.content_type) == (ORIGINAL, "image/jpeg")


def test_gos_own_pictures_are_shown() -> None:
    """Those beside the decoders that v3.4.0 links."""
    found = subprocess.run(["go", "env", "-json", "GOROOT"], capture_output=True, text=True, check=True)
    folder = Path(json.loads(found.stdout)["GOROOT"]) / "src/image"
    files = [f for f in folder.rglob("testdata/**/*") if f.suffix in (".png", ".jpeg", ".gif")]
    assert len(files) > 60, f"{folder} has no test pictures"
    # Go's tests hold that it decodes them not.
    broken = {"invalid-zlib.png", "invalid-crc32.png", "invalid-trunc.png", "invalid-palette.png"}
    kinds = {f.name: make(f.read_bytes(), ThumbnailSpec(24, 24, "")) for f in files if f.name not in broken}
    assert {n: o.detail for n, o in kinds.items() if o.kind not in (CREATED, ORIGINAL)} == {}


def test_nothing_of_metadata_is_inflated() -> None:
    """A profile of 64 MiB, were it read."""
    import tracemalloc

    stream = zlib.compressobj(9)
    bomb = b"".join(stream.compress(bytes(1 << 20)) for _ in range(64)) + stream.flush()
    data = png(before=chunk(b"iCCP", b"a\0\0" + bomb) + chunk(b"zTXt", b"a\0\0" + bomb))
    tracemalloc.start()
    try:
        assert make(data, SMALLER).kind == CREATED
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()


def test_exif_that_claims_the_same_bytes_many_times() -> None:
    """Pillow's reader copies them for each tag."""
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\x07\0" + (60_000).to_bytes(4, "little") + b"\x08\0\0\0" for tag in range(4000)
    )
    exif = b"II*\0\x08\0\0\0" + (4000).to_bytes(2, "little") + entries
    whole = encoded(picture(), "JPEG")
    start = time.process_time()
    assert make(whole[:20] + segment(0xE1, b"Exif\0\0" + exif) + whole[20:], SMALLER).kind == CREATED
    assert make(png(before=chunk(b"eXIf", exif)), SMALLER).kind == CREATED
    assert time.process_time() - start < 0.5


# Large ones


@pytest.fixture(scope="module")
def helper() -> Iterator[ThumbnailHelper]:
    """As in a deployment, with its limits of memory and time."""
    made = ThumbnailHelper()
    yield made
    made.close()


def pattern(size: tuple[int, int]) -> Image.Image:
    """Red at the left top, blue at the right bottom."""
    image = Image.new("RGB", size, "white")
    image.paste("red", (0, 0, size[0] // 2, size[1] // 2))
    image.paste("blue", (size[0] // 2, size[1] // 2, *size))
    return image


@pytest.mark.parametrize(
    ("form", "size", "more"),
    [
        ("JPEG", (1080, 30_000), {}),
        ("JPEG", (1080, 30_000), {"progressive": True}),
        ("PNG", (1080, 30_000), {"compress_level": 1}),
        ("WEBP", (1080, 16_383), {"method": 0}),
        ("JPEG", (8064, 6048), {}),
        ("JPEG", (8064, 6048), {"progressive": True, "subsampling": 0}),
        ("JPEG", (12_000, 9_000), {}),
        ("PNG", (8064, 6048), {"compress_level": 1}),
        ("TIFF", (6000, 6000), {}),
    ],
)
def test_screenshots_and_phones_pictures(
    monkeypatch: pytest.MonkeyPatch, helper: ThumbnailHelper, form: str, size: tuple[int, int], more: dict[str, object]
) -> None:
    # A test is no measurement: the machine may do much else.
    monkeypatch.setattr(decoder_process, "TIMEOUT", 60.0)
    data = encoded(pattern(size), form, **more)
    made = helper.make(
        data[: 50 << 20] if form != "TIFF" else data, ThumbnailSpec(300, 300, ""), lambda _: False, time.monotonic() + 90
    )
    assert made is not None
    assert made.kind == CREATED, made
    image = opened(made.data).convert("RGB")
    assert max(image.size) == 300
    width, height = image.size
    for spot, wanted in (((1 / 4, 1 / 4), (255, 0, 0)), ((3 / 4, 3 / 4), (0, 0, 255)), ((3 / 4, 1 / 4), (255,) * 3)):
        seen = image.getpixel((int(width * spot[0]), int(height * spot[1])))
        assert all(abs(a - b) < 30 for a, b in zip(seen, wanted, strict=True)), (spot, seen)


def test_strips_meet_without_a_seam() -> None:
    """A picture that is read in strips looks as one that is read whole."""
    source = Image.linear_gradient("L").resize((2500, 4000)).convert("RGB")
    made = opened(make(encoded(source, "PNG", compress_level=1), ThumbnailSpec(0, 900, "")).data)
    reference = source.resize(made.size, Image.Resampling.LANCZOS)
    pairs = zip(made.convert("L").tobytes(), reference.convert("L").tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 2


def test_200_megapixels_are_too_large(helper: ThumbnailHelper) -> None:
    for form, mode in (("JPEG", "L"), ("PNG", "1")):
        data = encoded(Image.new(mode, (16_320, 12_240)), form)
        made = helper.make(data, SMALLER, lambda _: False, time.monotonic() + 9)
        assert made is not None
        assert made.kind == TOO_LARGE
        assert "16320 x 12240" in made.detail


def test_a_webp_canvas_of_two_gigabytes(helper: ThumbnailHelper) -> None:
    whole = encoded(picture(), "WEBP", exif=b"II*\0\x08\0\0\0\0\0" + bytes(4))
    at = whole.index(b"VP8X") + 12
    data = whole[:at] + b"\xfe\x3f\0\xfe\x3f\0" + whole[at + 6 :]
    made = helper.make(data, SMALLER, lambda _: False, time.monotonic() + 9)
    assert made is not None
    assert made.kind in (DAMAGED, TOO_LARGE, TOO_MUCH)


def test_sizes_are_those_of_the_form() -> None:
    assert opened(png()).size == (WIDE, HIGH)


@pytest.mark.parametrize(
    ("colours", "depth", "left", "right"),
    [
        # A row of eight pixels in two halves; a transparent colour is written with the depth of the pixels (PNG, 11.3.2.1).
        (0, 1, b"\xf0", b""),
        (0, 2, b"\x55", b"\xaa"),
        (0, 4, b"\x33\x33", b"\xcc\xcc"),
        (0, 8, b"\x21" * 4, b"\xc1" * 4),
        (0, 16, b"\x12\x34" * 4, b"\xc1\x34" * 4),
        (2, 8, b"\x12\x34\x56" * 4, b"\xc1\x34\x56" * 4),
        (2, 16, b"\x12\x34\x56\x78\x9a\xbc" * 4, b"\xc1\x34\x56\x78\x9a\xbc" * 4),
    ],
)
def test_a_transparent_colour_of_each_depth(colours: int, depth: int, left: bytes, right: bytes) -> None:
    samples = {1: b"\0\1", 2: b"\0\1", 4: b"\0\3", 8: b"\0\x21", 16: b"\x12\x34"}[depth]
    clear = samples if colours == 0 else b"\0\x12\0\x34\0\x56" if depth == 8 else left[:6]
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, depth, colours, 0, 0, 0))
    data += chunk(b"tRNS", clear) + chunk(b"IDAT", zlib.compress((b"\0" + left + right) * 8)) + chunk(b"IEND", b"")
    shown = opened(make(data, ThumbnailSpec(4, 4, "webp")).data).convert("RGBA")
    alphas = [shown.getpixel((x, 2))[3] for x in (0, 3)]
    assert (alphas[0] < 30, alphas[1] > 225) == (True, True), alphas
