"""Pictures to smaller pictures."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.core.errors import APIError, DataError, InternalError, NetworkError
from app.core.model import ObjectInfo, Record
from app.downloads import pictures
from app.downloads.decoder import make
from app.downloads.decoder_process import ThumbnailHelper
from app.downloads.pictures import Pictures
from app.downloads.thumbnail_format import (
    CHECK,
    CREATED,
    DAMAGED,
    FAILED,
    NOT_AN_IMAGE,
    ORIGINAL,
    TOO_LARGE,
    TOO_MUCH,
    Outcome,
    ThumbnailSpec,
    fit,
    legacy_name,
    spec_of,
)
from tests.pictures import (
    as_v340,
    encoded,
    gif_of_frames,
    opened,
    photo,
    png_bomb,
    similarity,
    swapped_profile,
)

ROWS = json.loads((Path(__file__).parents[2] / "conformance/v3.4.0-thumbnails.json").read_text())
SIZES = {"small.png": (20, 10), "big.jpg": (3000, 2000)}
BOX = ThumbnailSpec(100, 100, "")
FORMATS = ["PNG", "JPEG", "GIF", "WEBP", "BMP", "AVIF", "HEIF"]


@pytest.fixture(scope="module")
def small() -> Image.Image:
    return photo(400, 200)


def query_of(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.lstrip("?").split("&"))


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r["file"] + r["query"])
def test_sizes_and_names_are_v3_4_0s(row: dict[str, Any]) -> None:
    size = SIZES.get(row["file"], (400, 200))
    wanted = spec_of(query_of(row["query"]))
    shown = size if wanted is None else fit(size, wanted)
    assert str(shown) == row["result"][1]
    if wanted is not None and "/thumbnail/" in row["key"]:
        recorded = row["key"].split("/")[-1]
        ending = recorded.split(".")[-1]
        assert legacy_name(size, ThumbnailSpec(wanted.width, wanted.height, ending)) == recorded


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("width=100", ThumbnailSpec(100, 0, "")),
        ("width=1024&height=1024", ThumbnailSpec(1024, 1024, "")),
        ("width=1025&height=5", None),
        ("width=5&height=-1", None),
        ("width=99999999999999999999", None),
        ("width=1e2", None),
        ("width=١", None),
        ("width=+7", ThumbnailSpec(7, 0, "")),
        ("width= 7", None),
        ("format=JPG", ThumbnailSpec(0, 0, "jpeg")),
        ("format=tiff", ThumbnailSpec(0, 0, "png")),
        ("format=webp", ThumbnailSpec(0, 0, "webp")),
        ("", None),
    ],
)
def test_what_a_query_asks_for(query: str, wanted: ThumbnailSpec | None) -> None:
    assert spec_of(dict(p.split("=") for p in query.split("&") if p)) == wanted


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (3, 7), (401, 199), (1024, 1024)])
@pytest.mark.parametrize(
    "wanted", [ThumbnailSpec(100, 100, ""), ThumbnailSpec(1, 1, ""), ThumbnailSpec(0, 50, ""), ThumbnailSpec(33, 0, "")]
)
def test_fits_the_box_and_is_never_larger(size: tuple[int, int], wanted: ThumbnailSpec) -> None:
    width, height = fit(size, wanted)
    assert 1 <= width <= min(size[0], wanted.width or size[0])
    assert 1 <= height <= min(size[1], wanted.height or size[1])


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("PNG", "PNG"),
        ("JPEG", "JPEG"),
        ("GIF", "PNG"),
        ("WEBP", "WEBP"),
        ("BMP", "PNG"),
        ("AVIF", "JPEG"),
        ("HEIF", "JPEG"),
    ],
)
def test_formats(small: Image.Image, source: str, target: str) -> None:
    data = encoded(small, source)
    asked = {"": target, "png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}
    for wanted, expected in asked.items():
        made = make(data, ThumbnailSpec(100, 100, wanted))
        assert made.kind == CREATED
        image = opened(made.data)
        assert (image.format, image.size, made.content_type) == (expected, (100, 50), f"image/{expected.lower()}")
    within = make(data, ThumbnailSpec(1000, 1000, ""))
    # HEIC is shown by few.
    assert within.kind == (CREATED if source == "HEIF" else ORIGINAL)


@pytest.mark.parametrize(
    "box",
    [ThumbnailSpec(320, 320, ""), ThumbnailSpec(1000, 1000, ""), ThumbnailSpec(97, 0, ""), ThumbnailSpec(320, 320, "webp")],
)
def test_looks_like_a_careful_resize(box: ThumbnailSpec) -> None:
    source = photo(3000, 2000)
    for form, more in (("JPEG", {"quality": 92}), ("PNG", {})):
        made = opened(make(encoded(source, form, **more), box).data)
        reference = source.resize(made.size, Image.Resampling.LANCZOS)
        assert similarity(made, reference) > 0.95, form
        # The measure can fail: v3.4.0's way does.
    assert similarity(source.resize(made.size, Image.Resampling.NEAREST), reference) < 0.95


def test_bytes_of_a_12_megapixel_photos_thumbnail() -> None:
    source = photo(4000, 3000)
    made = make(encoded(source, "JPEG", quality=90), ThumbnailSpec(640, 640, ""))
    image = opened(made.data)
    assert image.size == (640, 480)
    assert len(made.data) * 4 <= len(as_v340(source, image.size))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("wanted", ["", "png", "jpeg", "webp"])
def test_where_a_photo_was_taken_is_gone(small: Image.Image, form: str, wanted: str) -> None:
    exif = Image.Exif()
    exif[271] = "CameraMaker"
    exif.get_ifd(34853)[1] = "N"
    exif.get_ifd(34853)[2] = (48.0, 51.0, 29.0)
    exif.get_ifd(34853)[29] = "2026:11:25"
    data = encoded(small, form, exif=exif, **({"comment": b"a remark"} if form == "JPEG" else {}))
    assert b"2026:11:25" in data
    made = make(data, ThumbnailSpec(100, 100, wanted))
    image = opened(made.data)
    assert dict(image.getexif()) == {}
    assert "exif" not in image.info
    for text in (b"2026:11:25", b"CameraMaker", b"a remark", b"Exif"):
        assert text not in made.data


def test_transparency_stays_and_is_white_in_jpeg() -> None:
    image = Image.new("RGBA", (400, 200), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 200, 200))
    for form in ("PNG", "WEBP"):
        made = opened(make(encoded(image, form), BOX).data)
        assert made.mode == "RGBA"
        assert made.getpixel((90, 25))[3] == 0
        assert made.getpixel((10, 25))[2:] == (255, 255)
    flat = opened(make(encoded(image, "PNG"), ThumbnailSpec(100, 100, "jpeg")).data)
    assert all(value > 245 for value in flat.getpixel((90, 25)))
    palette = opened(make(encoded(image.quantize(), "PNG"), BOX).data)
    assert palette.convert("RGBA").getpixel((90, 25))[3] == 0
    keyed = Image.new("RGB", (400, 200), (1, 2, 3))
    assert opened(make(encoded(keyed, "PNG", transparency=(1, 2, 3)), BOX).data).convert("RGBA").getpixel((5, 5))[3] == 0


def test_colours() -> None:
    """CMYK, 16 bits of grey, one bit, and a profile that is not sRGB."""
    cyan = opened(make(encoded(Image.new("CMYK", (400, 200), (255, 0, 0, 0)), "JPEG", quality=95), BOX).data)
    assert cyan.mode == "RGB"
    red, green, blue = cyan.getpixel((50, 25))
    assert red < 40 < 200 < min(green, blue) + 60
    deep = Image.new("I;16", (400, 200), 32768)
    assert opened(make(encoded(deep, "PNG"), BOX).data).convert("L").getpixel((5, 5)) in (127, 128)
    one = opened(make(encoded(Image.new("1", (400, 200), 1), "PNG"), BOX).data)
    assert one.convert("RGB").getpixel((5, 5)) == (255, 255, 255)
    profiled = encoded(Image.new("RGB", (400, 200), (255, 0, 0)), "PNG", icc_profile=swapped_profile())
    made = opened(make(profiled, BOX).data)
    red, green, blue = made.getpixel((5, 5))
    assert green > 200 > red
    assert "icc_profile" not in made.info
    broken = encoded(Image.new("RGB", (400, 200), (255, 0, 0)), "JPEG", icc_profile=b"no profile at all")
    assert opened(make(broken, BOX).data).getpixel((5, 5))[0] > 240


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_animations_stay_animated(form: str) -> None:
    frames = [Image.new("RGB", (400, 200), colour) for colour in ("red", "lime", "blue", "white")]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=[100, 200, 300, 400], loop=3)
    made = make(data, BOX)
    image = Image.open(io.BytesIO(made.data))
    assert (image.format, image.size, getattr(image, "n_frames", 1)) == (form, (100, 50), 4)
    durations, colours = [], []
    for n in range(4):
        image.seek(n)
        image.load()
        durations.append(image.info["duration"])
        colours.append(image.convert("RGB").getpixel((50, 25)))
    assert durations == [100, 200, 300, 400]
    assert image.info["loop"] == 3
    assert [max(range(3), key=c.__getitem__) for c in colours[:3]] == [0, 1, 2]
    still = opened(make(data, ThumbnailSpec(100, 100, "png")).data)
    assert (still.format, getattr(still, "n_frames", 1)) == ("PNG", 1)


@pytest.mark.parametrize("form", FORMATS)
def test_files_that_are_cut_have_no_thumbnail(small: Image.Image, form: str) -> None:
    data = encoded(small, form)
    for part in (0.3, 0.7, 0.95):
        made = make(data[: int(len(data) * part)], BOX)
        assert made.kind == DAMAGED, (part, made.kind)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%PDF-1.4",
        b"%!PS-Adobe-3.0",
    ],
)
def test_what_is_no_image(data: bytes) -> None:
    assert make(data, BOX).kind == NOT_AN_IMAGE


def test_bombs_are_known_by_their_header() -> None:
    bomb = png_bomb(50_000, 50_000)
    assert len(bomb) < 2048
    start = time.process_time()
    made = make(bomb, BOX)
    assert (made.kind, "50000 x 50000" in made.detail) == (TOO_LARGE, True)
    assert time.process_time() - start < 0.5
    # A size that is allowed, and a body that ends early.
    assert make(png_bomb(5000, 5000), BOX).kind == DAMAGED
    huge = bytearray(encoded(Image.new("L", (64, 64)), "JPEG"))
    place = huge.index(b"\xff\xc0") + 5
    huge[place : place + 4] = b"\xff\xdc\xff\xdc"
    assert make(bytes(huge), BOX).kind == TOO_LARGE


def test_an_animation_of_10_000_frames_is_shown_still() -> None:
    data = gif_of_frames(10_000)
    start = time.process_time()
    made = make(data, BOX)
    assert (made.kind, made.content_type) == (CREATED, "image/png")
    assert time.process_time() - start < 3
    few = make(gif_of_frames(20), BOX)
    assert few.content_type == "image/gif"


def test_what_v3_4_0_made_is_looked_for_first(small: Image.Image) -> None:
    data = encoded(small, "PNG")
    assert make(data, ThumbnailSpec(100, 100, "png"), checked=False) == Outcome(CHECK, "image_w100_h100.png", "image/png")
    # Of its own making where ours is better: upright, in the source's format.
    exif = Image.Exif()
    exif[274] = 6
    turned = encoded(small, "JPEG", exif=exif)
    assert make(turned, ThumbnailSpec(100, 100, "png"), checked=False).name == "direct_w100_h100.png"
    assert make(data, BOX, checked=False).name == "direct_w100_h100"


# The process


@pytest.fixture
def helper() -> Any:
    made = ThumbnailHelper()
    yield made
    made.close()


def soon() -> float:
    return time.monotonic() + 10


def test_the_process_makes_and_asks(helper: ThumbnailHelper, small: Image.Image) -> None:
    asked: list[str] = []

    def exists(name: str) -> bool:
        asked.append(name)
        return len(asked) == 2

    data = encoded(small, "PNG")
    first = helper.make(data, ThumbnailSpec(100, 100, "png"), exists, soon())
    second = helper.make(data, ThumbnailSpec(100, 100, "png"), exists, soon())
    third = helper.make(data, BOX, exists, soon())
    assert first is not None and second is not None and third is not None
    assert [first.kind, second.kind, third.kind] == [CREATED, CHECK, CREATED]
    assert asked == ["image_w100_h100.png"] * 2


def test_a_look_that_fails_leaves_no_half_exchange(helper: ThumbnailHelper, small: Image.Image) -> None:
    def exists(_: str) -> bool:
        raise DataError("the node went away")

    data = encoded(small, "PNG")
    with pytest.raises(DataError):
        helper.make(data, ThumbnailSpec(100, 100, "png"), exists, soon())
    made = helper.make(data, BOX, exists, soon())
    assert made is not None
    assert opened(made.data).size == (100, 50)


def test_a_process_that_dies_is_replaced(helper: ThumbnailHelper, small: Image.Image) -> None:
    data = encoded(small, "PNG")
    assert helper.make(data, BOX, lambda _: False, soon()) is not None
    process = helper._running().process
    process.kill()
    process.wait()
    made = helper.make(data, BOX, lambda _: False, soon())
    assert made is not None
    assert made.kind == CREATED


def test_a_process_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, small: Image.Image) -> None:
    monkeypatch.setattr("app.downloads.decoder_process.TIMEOUT", 0.5)
    helper = ThumbnailHelper()
    try:
        process = helper._running().process
        os.kill(process.pid, signal.SIGSTOP)
        made = helper.make(encoded(small, "PNG"), BOX, lambda _: False, soon())
        assert made is not None
        assert made.kind == TOO_MUCH
        assert process.poll() is not None
    finally:
        helper.close()


def test_a_process_that_is_killed_while_it_decodes(helper: ThumbnailHelper, small: Image.Image) -> None:
    process = helper._running().process
    os.kill(process.pid, signal.SIGSTOP)
    killer = threading.Timer(0.2, process.kill)
    killer.start()
    made = helper.make(encoded(small, "PNG"), BOX, lambda _: False, soon())
    killer.join()
    assert made is not None
    assert made.kind == FAILED
    after = helper.make(encoded(small, "PNG"), BOX, lambda _: False, soon())
    assert after is not None
    assert after.kind == CREATED


def test_a_process_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, small: Image.Image) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    made = ThumbnailHelper().make(encoded(small, "PNG"), BOX, lambda _: False, soon())
    assert made is not None
    assert made.kind == FAILED


#: Has the kernel end this process at setpriority, as systemd's `SystemCallFilter=~@resources` does, and becomes another
#: program. The filter (linux/filter.h) loads the call's number, and compares.
SANDBOX = """
import ctypes, os, platform, struct, sys
number = {"x86_64": 141, "aarch64": 140}[platform.machine()]
lines = ((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000))
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(lines), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_in_a_sandbox_that_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Image.Image) -> None:
    sandbox = tmp_path / "python"
    sandbox.write_text(f"#!{sys.executable}\n{SANDBOX}")
    sandbox.chmod(0o755)
    # It does kill.
    nice = subprocess.run([sandbox, "-c", "import os; os.nice(1)"], check=False)
    assert nice.returncode == -signal.SIGSYS
    monkeypatch.setattr("sys.executable", str(sandbox))
    helper = ThumbnailHelper()
    try:
        made = helper.make(encoded(small, "PNG"), BOX, lambda _: False, soon())
    finally:
        helper.close()
    assert made is not None
    assert made.kind == CREATED


def test_no_secret_goes_to_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIO_SECRET_KEY", "dummy-secret")
    helper = ThumbnailHelper()
    try:
        pid = helper._running().process.pid
        assert b"dummy-secret" not in Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        helper.close()


# Which picture answers


class FakeNode:
    """A bucket in memory."""

    id = "m1"

    def __init__(self, **objects: bytes) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {k: (v, "") for k, v in objects.items()}
        self.calls: list[str] = []
        #: What `put_once` raises.
        self.refuses: APIError | None = None

    def stat(self, key: str) -> ObjectInfo | None:
        self.calls.append(f"stat {key}")
        found = self.objects.get(key)
        return None if found is None else ObjectInfo(len(found[0]), "e", found[1])

    def read(self, key: str, length: int) -> bytes:
        self.calls.append(f"read {key} {length}")
        return self.objects.get(key, (b"", ""))[0][:length]

    def put_once(self, key: str, body: bytes, content_type: str) -> None:
        self.calls.append(f"put {key}")
        if self.refuses is not None:
            raise self.refuses
        self.objects.setdefault(key, (body, content_type))


class SlowMaker:
    def __init__(self) -> None:
        self.go, self.begun, self.count = threading.Event(), threading.Event(), 0

    def make(self, data: bytes, wanted: ThumbnailSpec, exists: Callable[[str], bool], deadline: float) -> Outcome | None:
        self.count += 1
        self.begun.set()
        self.go.wait(10)
        return make(data, wanted)


class FixedMaker(SlowMaker):
    """Answers at once.

    :param outcome: None for what the picture makes.
    """

    def __init__(self, outcome: Outcome | None) -> None:
        super().__init__()
        self.go.set()
        self.outcome = outcome

    def make(self, data: bytes, wanted: ThumbnailSpec, exists: Callable[[str], bool], deadline: float) -> Outcome | None:
        made = super().make(data, wanted, exists, deadline)
        return self.outcome or made


def record(size: int = 100, etag: str = "etag") -> Record:
    return Record("u1/p.png", "u1", "m1", "k", "h", etag, size, "", "", 0)


def test_too_many_at_once_get_the_original(small: Image.Image) -> None:
    node, maker = FakeNode(k=encoded(small, "PNG")), SlowMaker()
    shown = Pictures(maker, waiting=1)
    thread = threading.Thread(target=shown.make, args=(record(), node, BOX))
    thread.start()
    assert maker.begun.wait(10)
    busy = shown.make(record(), node, ThumbnailSpec(50, 50, ""))
    assert (busy.key, busy.content_type, busy.instead) == ("", "image/png", "busy")
    maker.go.set()
    thread.join()
    # It is not remembered.
    assert shown.make(record(), node, ThumbnailSpec(50, 50, "")).key == "openim/thumbnail/etag/direct_w50_h50"


def test_the_same_one_at_once_is_made_once(small: Image.Image) -> None:
    node, maker = FakeNode(k=encoded(small, "PNG")), SlowMaker()
    shown = Pictures(maker, waiting=20)
    found: list[pictures.Picture] = []
    threads = [threading.Thread(target=lambda: found.append(shown.make(record(), node, BOX))) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert maker.begun.wait(10)
    time.sleep(0.1)
    maker.go.set()
    for thread in threads:
        thread.join()
    assert maker.count == 1
    assert {p.key for p in found} == {"openim/thumbnail/etag/direct_w100_h100"}


def test_later_views_ask_nobody(small: Image.Image) -> None:
    node = FakeNode(k=encoded(small, "PNG"))
    maker = SlowMaker()
    maker.go.set()
    shown = Pictures(maker, waiting=1)
    assert shown.find(record(), node, BOX) is None
    made = shown.make(record(), node, BOX)
    node.calls.clear()
    assert shown.find(record(), node, BOX) == made
    assert node.calls == []
    # Another worker looks once.
    other = Pictures(maker, waiting=1)
    assert other.find(record(), node, BOX) == made
    assert node.calls == ["stat openim/thumbnail/etag/direct_w100_h100"]
    assert maker.count == 1


def test_what_is_no_image_is_refused() -> None:
    maker = SlowMaker()
    maker.go.set()
    shown = Pictures(maker, waiting=1)
    for data in (b"text", b"<svg/>", b"<?xml version='1.0'?><svg><script/></svg>", b"BMW, a car", b"RIFF....WAVEfmt ", b""):
        node = FakeNode(k=data)
        for _ in range(2):
            with pytest.raises(DataError, match="object not image"):
                shown.make(record(etag=data.hex()), node, BOX)
            with pytest.raises(DataError, match="object not image"):
                shown.original(record(etag=data.hex()), node)
        assert len(node.calls) <= 4
    assert maker.count == 0


def test_the_original_stands_for_what_cannot_be_made(small: Image.Image) -> None:
    """Each kind by its own word; what stays so is read once, what may pass is tried again."""
    whole = encoded(small, "PNG")
    cases: list[tuple[str, bytes, int, Outcome | None]] = [
        ("too large", whole, 50 << 20, None),
        ("damaged", whole[:-500], 100, None),
        ("damaged", b"\x89PNG\r\n\x1a\n", 100, None),
        ("damaged", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60), 100, None),
        ("too large", png_bomb(50_000, 50_000), 100, None),
        ("too much", whole, 100, Outcome(TOO_MUCH)),
        ("failed", whole, 100, Outcome(FAILED)),
    ]
    for word, data, size, outcome in cases:
        node, maker = FakeNode(k=data), FixedMaker(outcome)
        shown = Pictures(maker, waiting=1)
        made = shown.make(record(size), node, BOX)
        assert (made.key, made.instead) == ("", word)
        assert made.content_type.startswith("image/")
        reads = sum(call.startswith("read k 5") for call in node.calls)
        assert reads == (0 if size == 50 << 20 else 1)
        node.calls.clear()
        for _ in range(3):
            assert shown.find(record(size), node, BOX) == made
        assert node.calls == []


def test_a_node_that_does_not_store_shows_the_original(small: Image.Image) -> None:
    for error in (NetworkError("full"), InternalError("the node's keys lack the right to do this")):
        node, maker = FakeNode(k=encoded(small, "PNG")), FixedMaker(None)
        node.refuses = error
        shown = Pictures(maker, waiting=1)
        assert shown.make(record(), node, BOX) == pictures.Picture("", "image/png", "not stored")
        # For a while: each try reads the picture and decodes it.
        assert shown.make(record(), node, BOX).instead == "not stored"
        assert maker.count == 1


def test_how_long_each_answer_is_kept() -> None:
    kept = {
        word: pictures._until(None, pictures.Picture("", "image/png", word), 0.0) for word in ("", "damaged", "too large")
    }
    short = {word: pictures._until(None, pictures.Picture("", "image/png", word), 0.0) for word in ("failed", "not stored")}
    assert set(kept.values()) == {600.0}
    assert set(short.values()) == {30.0}
    assert pictures._until(None, "object not image", 0.0) == 600.0


def test_without_a_folder_for_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Image.Image) -> None:
    """The disk of temporary files may be full, or another user's."""
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    shown = Pictures(FixedMaker(None), waiting=1)
    assert shown.make(record(), FakeNode(k=encoded(small, "PNG")), BOX).key.endswith("direct_w100_h100")


def test_without_pillow_originals_are_shown(small: Image.Image) -> None:
    shown = Pictures(None, waiting=1)
    assert shown.find(record(), FakeNode(k=encoded(small, "PNG")), BOX) == pictures.Picture("", "image/png")
