"""`?type=image` through the whole deployment."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pillow_heif
import psutil
import pytest
import requests
from PIL import Image

from tests.picture_forms import all_forms
from tests.pictures import encoded, gif_of_frames, opened, photo, png_bomb
from tests.stack import API, REPO, MinIONode, Stack, running, same, started, wait_for

ROWS = json.loads((REPO / "tests/conformance/v3.4.0-thumbnails.json").read_text())
#: What differs from the recorded answers, by file: (from, to) in the format of thumbnails, and why.
FORMATS = {
    "p.png": {"webp": "WEBP"},
    "j.jpg": {"": "JPEG", "webp": "WEBP"},
    "g.gif": {"webp": "WEBP"},
    "w.webp": {"": "WEBP", "webp": "WEBP"},
    "b.bmp": {"webp": "WEBP"},
    "small.png": {"webp": "WEBP"},
    "big.jpg": {"": "JPEG", "webp": "WEBP"},
    "rot.jpg": {"": "JPEG", "webp": "WEBP"},
}
#: Files that v3.4.0 shows lying on their side, by EXIF: width and height of what is made of them are others.
TURNED = {"rot.jpg"}


def make_files() -> dict[str, bytes]:
    """As those that the answers were recorded with, by size and format."""
    image = photo(400, 200)
    exif = Image.Exif()
    exif[274] = 6
    return {
        "p.png": encoded(image, "PNG"),
        "j.jpg": encoded(image, "JPEG"),
        "g.gif": encoded(image, "GIF"),
        "w.webp": encoded(image, "WEBP"),
        "b.bmp": encoded(image, "BMP"),
        "small.png": encoded(photo(20, 10), "PNG"),
        "big.jpg": encoded(photo(3000, 2000), "JPEG"),
        "rot.jpg": encoded(image, "JPEG", exif=exif),
    }


@pytest.fixture(scope="module")
def files(stack: Stack) -> dict[str, tuple[str, bytes]]:
    """URL and content by name."""
    api = stack.api()
    return {name: (api.upload(data, f"u1/table/{name}"), data) for name, data in make_files().items()}


def shown_key(location: str) -> str:
    return urlsplit(location).path.split("/openim/", 1)[1]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r["file"] + r["query"])
def test_the_recorded_table(api: API, files: dict[str, tuple[str, bytes]], row: dict[str, Any]) -> None:
    url, data = files[row["file"]]
    answer = api.get(url + row["query"], allow_redirects=False)
    assert answer.status_code == row["status"]
    got = api.get(answer.headers["Location"])
    assert got.status_code == 200
    assert "Content-Disposition" not in got.headers
    image = Image.open(io.BytesIO(got.content))
    query = parse_qs(row["query"][1:])
    if "/thumbnail/" not in row["key"]:
        recorded_format, recorded_size = row["result"]
        if query.get("format") == ["webp"]:
            # small.png: the same size, in the format that was asked for.
            assert (image.format, str(image.size)) == ("WEBP", recorded_size)
            return
        assert (image.format, str(image.size)) == (recorded_format, recorded_size)
        assert same(got.content, data)
        # v3.4.0 says binary/octet-stream over 1024 pixels.
        assert got.headers["Content-Type"] == f"image/{image.format.lower()}"
        return
    recorded_format, recorded_size = row["result"]
    wanted_format = FORMATS[row["file"]].get(query.get("format", [""])[0], recorded_format)
    assert image.format == wanted_format
    assert got.headers["Content-Type"] == f"image/{wanted_format.lower()}"
    if row["file"] in TURNED:
        # 200 x 400 when it stands upright.
        box = [int(query.get(side, ["0"])[0]) for side in ("width", "height")]
        expected = {(100, 0): (100, 200), (0, 50): (25, 50), (100, 100): (50, 100)}[(box[0], box[1])]
        assert image.size == expected
    else:
        assert str(image.size) == recorded_size
    key = shown_key(answer.headers["Location"])
    # Where format and pixels are v3.4.0's, so is the name.
    recorded_name = row["key"].split("/")[-1]
    if query.get("format") in (["jpg"], ["png"]) and row["file"] not in TURNED:
        assert key.split("/")[-1] == recorded_name
    else:
        assert key.split("/")[-1].startswith("direct_")


def made_of(node: MinIONode, etag: str) -> list[str]:
    return node.keys(f"openim/thumbnail/{etag}/")


def etag_of(api: API, url: str) -> str:
    return str(api.get(url).headers["ETag"].strip('"'))


def puts(node: MinIONode) -> float:
    """Objects that were written to stay: each that a monitor writes now and then is removed at once."""
    text = requests.get(f"{node.url}/minio/v2/metrics/cluster", timeout=10).text
    written, removed = (
        sum(float(v) for v in re.findall(rf'minio_s3_requests_total\{{api="{api}"[^}}]*\}} (\S+)', text))
        for api in ("putobject", "deleteobject")
    )
    return written - removed


def test_a_hundred_at_once_make_it_once(stack: Stack, i1: API, i2: API, nodes: dict[str, MinIONode]) -> None:
    data = encoded(photo(2400, 1600, seed=5), "JPEG")
    url = i1.upload(data, "u1/hundred.jpg")
    name = url.split("/object/")[1]
    bases = [stack.url, i1.url, i2.url]
    time.sleep(11)  # MinIO's count is up to 10 s late.
    before = sum(puts(n) for n in nodes.values())

    def get(n: int) -> tuple[str, bytes]:
        answer = requests.get(f"{bases[n % 3]}/object/{name}?type=image&width=200&height=200", timeout=60)
        assert answer.status_code == 200
        return answer.history[0].headers.get("X-OpenIM-Direct-Thumbnail", ""), answer.content

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(get, range(100)))
    for instead, content in answers:
        assert instead in ("", "busy")
        assert same(content, data) if instead else opened(content).size == (200, 133)
    assert sum(not instead for instead, _ in answers) >= 1
    etag = etag_of(i1, f"{i1.url}/object/{name}")
    # On the object's node, and there once.
    assert made_of(nodes["m1"], etag) == [f"openim/thumbnail/{etag}/direct_w200_h200"]
    assert made_of(nodes["m2"], etag) == []
    assert wait_for("the count", lambda: sum(puts(n) for n in nodes.values()) - before, timeout=30) == 1
    # And the next view is a redirect to it for all.
    for base in bases:
        after = requests.get(f"{base}/object/{name}?type=image&width=200&height=200", timeout=10, allow_redirects=False)
        assert shown_key(after.headers["Location"]).endswith("direct_w200_h200")


def test_thumbnails_of_v3_4_0_are_used(i1: API, nodes: dict[str, MinIONode]) -> None:
    data = encoded(photo(400, 200, seed=7), "PNG")
    url = i1.upload(data, "u1/theirs.png").replace(i1.url, i1.url)
    name = url.split("/object/")[1]
    theirs = encoded(Image.new("RGB", (100, 50), "red"), "PNG")
    key = f"openim/thumbnail/{etag_of(i1, f'{i1.url}/object/{name}')}/image_w100_h100.png"
    nodes["m1"].client().put_object(
        bucket_name="openim", object_name=key, data=io.BytesIO(theirs), length=len(theirs), content_type="image/png"
    )
    got = i1.get(f"{i1.url}/object/{name}?type=image&width=100&height=100&format=png")
    assert same(got.content, theirs)
    # Made upright, in the source's own format and by a better method where nothing is asked for: ours.
    assert i1.get(f"{i1.url}/object/{name}?type=image&width=100&height=100").content != theirs


def test_made_at_the_objects_node_and_elsewhere_when_nobody_is_there(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    with running(Stack(tmp_path / "s", nodes, {"i1": "m1", "i2": "m2"}, balancer=None)) as stack:
        one, two = stack.api(stack.instance_url("i1")), stack.api(stack.instance_url("i2"))
        name = one.upload(encoded(photo(800, 600, seed=11), "JPEG"), "u1/far 图.jpg").split("/object/")[1]

        def helpers(instance: str) -> int:
            found = subprocess.run(
                ["pgrep", "-f", "app.downloads.decoder", "--session", str(stack.instances[instance].pid)],
                capture_output=True,
                text=True,
                check=False,
            )
            return len(found.stdout.split())

        far = f"{two.url}/object/{name}?type=image&width=90"
        assert opened(two.get(far).content).size == (90, 67)
        assert (helpers("i1"), helpers("i2")) == (1, 0)
        access = two.ok("access_url", {"name": "u1/far 图.jpg", "query": {"type": "image", "width": "91"}})
        assert opened(two.get(access["url"]).content).size == (91, 68)
        assert helpers("i2") == 0
        # The same object whatever its name holds: the path goes along as the client sent it.
        odd = "u1/100%/a%2Fb//图 ?#&+;.jpg"
        one.upload(encoded(photo(800, 600, seed=12), "JPEG"), odd)
        assert opened(two.get(f"{two.url}/object/{quote(odd)}?type=image&width=94").content).size == (94, 70)
        assert helpers("i2") == 0
        # nginx before 1.23 takes the first of the two that say how long to keep it.
        with requests.get(far.replace("width=90", "width=92"), allow_redirects=False, timeout=10) as forwarded:
            order = [name.lower() for name in forwarded.raw.headers]
        assert order.index("x-accel-expires") < order.index("cache-control")
        stack.instances["i1"].stop()
        # Made before: any instance shows it. Not made: the one that is asked makes it.
        assert opened(two.get(far).content).size == (90, 67)
        assert helpers("i2") == 0
        assert opened(two.get(far.replace("width=90", "width=92")).content).size == (92, 69)
        access = two.ok("access_url", {"name": "u1/far 图.jpg", "query": {"type": "image", "width": "93"}})
        assert opened(two.get(access["url"]).content).size == (93, 69)
        assert helpers("i2") >= 1
        # What an instance started ends with it.
        stack.instances["i2"].stop()
        wait_for("helpers to end", lambda: helpers("i2") == 0)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text.jpg", b"this is text"),
        ("begins-with-bm.bmp", b"BM is how this text begins, and it goes on"),
        ("script.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("sound.webp", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0"),
    ],
)
def test_what_is_no_picture(api: API, name: str, data: bytes) -> None:
    url = api.upload(data, f"u1/{name}", content_type="image/png")
    answer = api.get(f"{url}?type=image&width=100&height=100")
    assert answer.status_code == 400
    assert "object not image" in answer.text
    assert answer.text.rstrip().endswith("90007 DataError")
    post = api.post("access_url", {"name": f"u1/{name}", "query": {"type": "image", "width": "100"}})
    assert post.json()["errCode"] == 90007
    # The file itself stays what it is.
    assert same(api.get(url).content, data)


def check_original(api: API, url: str, data: bytes, instead: str, content_type: str) -> None:
    """A view shows the original, and says why; nobody keeps that answer for long."""
    for query in ("width=100&height=100", "width=100&format=png", "width=90&format=jpg"):
        answer = api.get(f"{url}?type=image&{query}", allow_redirects=False)
        assert answer.status_code == 302, answer.text
        assert answer.headers["X-OpenIM-Direct-Thumbnail"] == instead
        assert answer.headers["Cache-Control"] == "no-cache"
        assert "X-Accel-Expires" not in answer.headers
        got = api.get(answer.headers["Location"])
        assert (got.status_code, got.headers["Content-Type"]) == (200, content_type)
        assert same(got.content, data)
    name = url.split("/object/")[1]
    access = api.ok("access_url", {"name": name, "query": {"type": "image", "width": "100"}})
    assert same(api.get(access["url"]).content, data)


@pytest.mark.parametrize(
    ("name", "data", "instead", "content_type"),
    [
        ("cut.png", encoded(photo(400, 200), "PNG")[:-40_000], "damaged", "image/png"),
        ("cut.jpg", encoded(photo(400, 200), "JPEG")[:-4_000], "damaged", "image/jpeg"),
        ("signature-alone.png", b"\x89PNG\r\n\x1a\n", "damaged", "image/png"),
        ("not-decoded.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "damaged", "image/jxl"),
        ("bomb.png", png_bomb(50_000, 50_000), "too large", "image/png"),
        ("200-megapixels.png", encoded(Image.new("1", (16_320, 12_240)), "PNG"), "too large", "image/png"),
    ],
)
def test_the_original_where_no_thumbnail_can_be_made(
    stack: Stack, i1: API, name: str, data: bytes, instead: str, content_type: str
) -> None:
    url = i1.upload(data, f"u1/odd-{name}")
    check_original(i1, url.replace(stack.url, i1.url), data, instead, content_type)


@pytest.mark.parametrize("name", ["mpo.jpg", "text-big.png", "exif-broken.png", "side6.avif"])
def test_pictures_of_a_report(api: API, name: str) -> None:
    """Through the balancer, as a client asks for them."""
    url = api.upload((REPO / "tests/conformance/pictures" / name).read_bytes(), f"u1/report/{name}")
    for wanted in ("", "png", "jpg", "webp"):
        answer = api.get(f"{url}?type=image&width=160&height=160&format={wanted}")
        image = opened(answer.content)
        assert image.size == ((120, 160) if name == "side6.avif" else (160, 120))
        assert image.format == {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}.get(wanted, "PNG" if "png" in name else "JPEG")
        assert answer.headers["Content-Type"] == f"image/{image.format.lower()}"


def test_some_forms_through_the_whole_deployment(i1: API) -> None:
    """One in twelve of those that the unit tests hold."""
    for number, (name, data) in enumerate(all_forms()):
        if number % 12 == 0:
            url = i1.upload(data, f"u1/forms/{number}")
            answer = i1.get(f"{url}?type=image&width=30&height=30")
            assert answer.status_code == 200, name
            assert "X-OpenIM-Direct-Thumbnail" not in answer.history[0].headers, name
            assert opened(answer.content).size == (30, 20), name


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, MinIONode]]:
    """A deployment of one node, whose disk has 40 MiB."""
    folder = tmp_path_factory.mktemp("small-disk")
    node = MinIONode("m1", folder / "m1")
    (node.folder / "data").mkdir()
    mount = f"mount -t tmpfs -o size=40m none '{node.folder}/data' && exec \"$@\""
    node.process.command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", *node.process.command]
    with started({"m1": node}), running(Stack(folder / "s", {"m1": node}, {"i1": "m1"}, balancer=None)) as stack:
        yield stack, node


def uploaded(stack: Stack, api: API, name: str, data: bytes) -> str:
    """The URL at the instance itself."""
    return api.upload(data, name).replace(stack.url, api.url)


def test_a_decoder_that_dies(small_disk: tuple[Stack, MinIONode]) -> None:
    """Killed while it decodes: the original, for some seconds; the next picture has a process again."""
    stack, _ = small_disk
    api = stack.api(stack.instance_url("i1"))
    first = uploaded(stack, api, "u1/first.png", encoded(photo(400, 200, seed=32), "PNG"))
    deadly = uploaded(stack, api, "u1/deadly.png", encoded(photo(800, 600, seed=31), "PNG"))
    assert opened(api.get(f"{first}?type=image&width=50").content).size == (50, 25)
    (decoder,) = decoders(stack)
    decoder.suspend()
    before = reads(api)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(api.get, f"{deadly}?type=image&width=100", allow_redirects=False)
        # It is in the middle of it when the node has given the picture away.
        wait_for("the picture to be read", lambda: reads(api) > before)
        decoder.kill()
        assert answer.result().headers["X-OpenIM-Direct-Thumbnail"] == "failed"
    again = api.get(f"{deadly}?type=image&width=100", allow_redirects=False)
    assert again.headers["X-OpenIM-Direct-Thumbnail"] == "failed"
    assert opened(api.get(f"{first}?type=image&width=60").content).size == (60, 30)
    assert 'openim_direct_thumbnails_total{result="failed"} 2.0' in api.get(f"{api.url}/metrics").text


def reads(api: API) -> float:
    """Objects that the instance has read."""
    found = re.search(
        r'openim_direct_storage_calls_total\{call="GET",node="m1",result="206"\} (\S+)', api.get(f"{api.url}/metrics").text
    )
    return float(found.group(1)) if found else 0.0


def decoders(stack: Stack) -> list[psutil.Process]:
    processes = psutil.Process(stack.instances["i1"].pid).children(recursive=True)
    return [p for p in processes if "app.downloads.decoder" in p.cmdline()]


def test_a_node_without_room_shows_originals(small_disk: tuple[Stack, MinIONode]) -> None:
    """Its disk is filled after the upload: what was made before is shown, and of the rest the original."""
    stack, node = small_disk
    api = stack.api(stack.instance_url("i1"))
    data = encoded(photo(600, 400, seed=41), "PNG")
    url = uploaded(stack, api, "u1/before.png", data)
    assert opened(api.get(f"{url}?type=image&width=50").content).size == (50, 33)
    # As its process sees the disk.
    filler = Path(f"/proc/{node.process.pid}/root{node.folder}/data/filler")
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    assert opened(api.get(f"{url}?type=image&width=50").content).size == (50, 33)
    check_original(api, url, data, "not stored", "image/png")
    filler.unlink()
    # MinIO looks at its disk now and then; a size that was asked for is not tried again at once.
    widths = iter(range(200, 500))
    wait_for("room", lambda: opened(api.get(f"{url}?type=image&width={next(widths)}").content).size[0] < 500)


def test_the_content_decides_not_the_name(api: API) -> None:
    url = api.upload(encoded(photo(400, 200, seed=3), "JPEG"), "u1/liar.png", content_type="text/html")
    for query in ("?type=image", "?type=image&width=100"):
        answer = api.get(url + query)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert opened(answer.content).format == "JPEG"


def test_originals_of_50_mib_are_shown(i1: API) -> None:
    data = encoded(photo(300, 200), "JPEG") + os.urandom(50 << 20)
    url = i1.upload(data, "u1/large.jpg")
    for query in ("&width=100", "&width=100&format=png"):
        answer = i1.get(f"{url}?type=image{query}", allow_redirects=False)
        assert (answer.status_code, answer.headers["X-OpenIM-Direct-Thumbnail"]) == (302, "too large")
        assert "/thumbnail/" not in answer.headers["Location"]
    assert i1.get(f"{url}?type=image", allow_redirects=False).status_code == 302


def test_a_10_000_frame_animation(api: API) -> None:
    url = api.upload(gif_of_frames(10_000), "u1/frames.gif")
    answer = api.get(f"{url}?type=image&width=100&height=100")
    assert (opened(answer.content).size, answer.headers["Content-Type"]) == ((100, 100), "image/png")


def test_uploads_go_on_while_thumbnails_are_made(stack: Stack, i1: API) -> None:
    """Views take no more than half of a worker's threads; who would wait too long gets the original, and is told."""
    names = [
        i1.upload(encoded(photo(3000, 2000, seed=20 + n), "PNG"), f"u1/heavy{n}.png").split("/object/")[1] for n in range(4)
    ]
    stop, told = threading.Event(), Counter[str]()

    def view(n: int) -> None:
        with requests.Session() as session:
            side = 100
            while not stop.is_set():
                side += 1
                url = f"{i1.url}/object/{names[n % 4]}?type=image&width={side}&height={900 - n}"
                answer = session.get(url, timeout=30, allow_redirects=False)
                assert answer.status_code == 302
                told[answer.headers.get("X-OpenIM-Direct-Thumbnail", "made")] += 1

    threads = [threading.Thread(target=view, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    try:
        for n in range(20):
            assert i1.upload(os.urandom(2000), f"u1/meanwhile{n}")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert told["made"] > 0
    assert set(told) <= {"busy", "made", "too much"}


def test_a_worker_takes_less_than_300_mib_for_the_largest_file(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    """The process that serves, and its decoder."""
    with running(Stack(tmp_path / "s", nodes, {"i1": "m1"}, balancer=None)) as stack:
        api = stack.api(stack.instance_url("i1"))
        # What follows the picture is not decoded, and is read all the same.
        data = encoded(photo(4000, 3000, seed=77), "JPEG") + os.urandom((49 << 20) - 1_000_000)
        assert 45 << 20 < len(data) < 50 << 20
        name = api.upload(data, "u1/largest.jpg").split("/object/")[1]
        for side in range(200, 212):
            answer = api.get(f"{api.url}/object/{name}?type=image&width={side}", allow_redirects=False)
            assert answer.status_code == 302
            assert "X-OpenIM-Direct-Thumbnail" not in answer.headers
            assert opened(api.get(answer.headers["Location"]).content).size[0] == side
        processes = psutil.Process(stack.instances["i1"].pid).children(recursive=True)
        peaks = {p.pid: peak_mib(p.pid) for p in processes}
        assert len(peaks) >= 3, "no decoder"
        assert max(peaks.values()) < 300, peaks


def peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) >> 10


PEAK = """
import io, resource, struct, subprocess, sys, msgspec
from app.downloads.thumbnail_format import ThumbnailSpec
side = int(sys.argv[2])
data, wanted = open(sys.argv[1], "rb").read(), msgspec.msgpack.encode(ThumbnailSpec(side, side, sys.argv[3]))
frames = b"".join(struct.pack(">I", len(f)) + f for f in (wanted, data)) + struct.pack(">I", 0)
done = subprocess.run([sys.executable, "-m", "app.downloads.decoder"], input=frames, capture_output=True, timeout=60)
answer = done.stdout
while answer:
    (length,) = struct.unpack(">I", answer[:4])
    kind = msgspec.msgpack.decode(answer[4:4 + length])["kind"]
    answer = answer[4 + length:]
print(kind, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def peak_of(file: Path, side: int) -> int:
    """MiB of the process that makes a thumbnail of it."""
    command = [sys.executable, "-c", PEAK, file, str(side), ""]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPO)
    assert done.returncode == 0, done.stderr
    kind, peak = done.stdout.split()
    assert kind == "created", done.stdout
    return int(peak)


@pytest.mark.parametrize("case", ["jpeg", "jpeg-444", "png-alpha", "webp", "heic"])
def test_phones_pictures_take_less_than_400_mib(tmp_path: Path, case: str) -> None:
    """Screenshots as long as a format allows, and 48 megapixels."""
    file = tmp_path / "picture"
    if case == "heic":
        file = REPO / "tests/conformance/pictures/48-megapixels.heic"
    elif case == "webp":
        file.write_bytes(encoded(photo(1080, 331).resize((1080, 16_383)), "WEBP", lossless=True, quality=0, method=0))
    else:
        image = photo(2016, 1512).resize((8064, 6048), Image.Resampling.NEAREST)
        more: dict[str, Any] = {"compress_level": 1} if "png" in case else {"progressive": True}
        if case == "jpeg-444":
            more["subsampling"] = 0
        image = image.convert("RGBA") if case == "png-alpha" else image
        file.write_bytes(encoded(image, "PNG" if "png" in case else "JPEG", **more))
    peak = peak_of(file, 1024)
    assert peak < 400, peak


@pytest.mark.parametrize("case", ["png", "png16", "alpha", "jpeg", "progressive", "webp", "heif", "avif", "gif", "palette"])
def test_the_largest_pictures_take_less_than_300_mib(tmp_path: Path, case: str) -> None:
    """Of the process that decodes them; the worker itself holds the file, of 50 MiB at most."""
    pillow_heif.register_heif_opener()
    side = 5470
    tile = photo(547, 547)
    image = Image.new("RGB", (side, side))
    for left in range(0, side, 547):
        for top in range(0, side, 547):
            image.paste(tile, (left, top))
    if case == "png":
        data = encoded(image, "PNG", compress_level=1)
    elif case == "png16":
        data = encoded(image.convert("I;16"), "PNG", compress_level=1)
    elif case == "alpha":
        data = encoded(image.convert("RGBA"), "PNG", compress_level=1)
    elif case == "jpeg":
        data = encoded(image.resize((12_000, 12_000), Image.Resampling.NEAREST), "JPEG", quality=50)
    elif case == "progressive":
        data = encoded(image, "JPEG", progressive=True, subsampling=0, quality=80)
    elif case == "webp":
        data = encoded(image.crop((0, 0, 3870, 3870)), "WEBP", quality=50, method=0)
    elif case == "heif":
        data = encoded(image.crop((0, 0, 3000, 2000)), "HEIF", quality=30)
    elif case == "avif":
        data = encoded(image.crop((0, 0, 3000, 3000)), "AVIF", quality=30, speed=10)
    elif case == "gif":
        frames = [tile.resize((545, 545)).rotate(n * 90).quantize(32) for n in range(4)] * 24
        data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    else:
        data = encoded(image.quantize(64, dither=Image.Dither.NONE), "PNG", compress_level=1)
    assert len(data) < 50 << 20
    file = tmp_path / "picture"
    file.write_bytes(data)
    assert peak_of(file, 540 if case == "gif" else 1024) < 300
