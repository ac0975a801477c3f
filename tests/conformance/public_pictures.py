"""Holds the public image libraries' own test pictures against what a view shows, and prints figures; not part of the gate:

    python -m tests.conformance.public_pictures            fetches Pillow's, pillow-heif's and Go's, by pip and go
    python -m tests.conformance.public_pictures FOLDER...  pictures that are there

A picture that Go decodes, or that has the bytes of one that browsers show, has to be shown: as a thumbnail, or as the
original. It ends with exit code 1 where one is an error, or where a thumbnail's colours are not those that Go sees.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image

from app.downloads.decoder.stripped import orientation
from app.downloads.decoder.thumbnail import Prepared
from app.downloads.decoder_process import ThumbnailHelper
from app.downloads.signatures import HEAD, content_type
from app.downloads.thumbnail_format import CREATED, NOT_AN_IMAGE, ORIGINAL, Outcome, ThumbnailSpec

REPO = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).parent / "gopictures"
#: Distributions whose sources hold test pictures.
PACKAGES = ("pillow", "pillow-heif")
#: Of 255, in the mean of a field: what JPEG and another filter make of edges.
TOLERANCE = 30
#: So small that nearly all have to be decoded: the PNG suite's are of 32 x 32.
BOX = ThumbnailSpec(24, 24, "")
#: Of which Go sees something else, and why.
OTHERWISE = {
    "icc_profile_big.jpg": "its profile's colours are shown",
    "dispose_bgnd_transparency.gif": "Go shows the first picture without the screen around it",
    "first_frame_transparency.gif": "the same",
    "16bit.r.tif": "the bits of each byte are in reverse",
    "tiff_tiled_planar_16bit_RGB.tiff": "Go takes planes for pixels",
    "tiff_tiled_planar_16bit_RGBa.tiff": "Go takes planes for pixels",
}


def fetched() -> list[Path]:
    """Folders of the libraries' sources."""
    home = Path(os.environ.get("OPENIM_DIRECT_HOME", REPO / ".openim-direct")) / "pictures"
    home.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        name = package.replace("-", "_")
        if not list(home.glob(f"{name}-*/")):
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--no-binary",
                ":all:",
                "-d",
                home,
                package,
            ]
            subprocess.run(command, check=True)
            with tarfile.open(next(home.glob(f"{name}-*.tar.gz"))) as archive:
                archive.extractall(home, filter="data")
    module = json.loads(go("mod", "download", "-json", "golang.org/x/image"))
    return [*home.glob("*/"), Path(module["Dir"]), Path(go("env", "GOROOT").strip()) / "src/image"]


def go(*arguments: str, given: str = "") -> str:
    done = subprocess.run(["go", *arguments], cwd=PROGRAM, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(folders: list[Path]) -> list[Path]:
    """All files, each content once."""
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
    return list({hash(file.read_bytes()): file for file in reversed(files)}.values())


def decoded_by_go(files: list[Path]) -> dict[str, dict[str, Any]]:
    lines = go("run", ".", given="".join(f"{file}\n" for file in files)).splitlines()
    return {answer["file"]: answer for answer in map(json.loads, lines)}


def fields(image: Image.Image) -> list[tuple[int, ...]]:
    """Mean colours of 4 x 4 fields on white."""
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image.convert("RGBA"))
    small = ground.convert("RGB").resize((4, 4), Image.Resampling.BOX)
    return [small.getpixel((x, y)) for y in range(4) for x in range(4)]  # type: ignore[misc]


def turned(data: bytes) -> bool:
    if content_type(data) == "image/tiff":
        return Image.open(io.BytesIO(data)).getexif().get(274, 1) != 1
    return orientation(Prepared(data).stripped.exif) != 1


def difference(file: Path, outcome: Outcome, seen: dict[str, Any]) -> int:
    """The largest one of a field's colour; 0 where the two cannot be held against each other."""
    if outcome.kind != CREATED or not seen["fields"] or file.name in OTHERWISE:
        return 0
    made = Image.open(io.BytesIO(outcome.data))
    if min(made.size) < 12 or getattr(made, "n_frames", 1) > 1 or turned(file.read_bytes()):
        # Too small for its edges not to matter; an animation, made with fewer colours; turned, which Go does not do.
        return 0
    pairs = zip(fields(made), seen["fields"], strict=True)
    return max(abs(a - b) for one, two in pairs for a, b in zip(one, two, strict=True))


def main(folders: list[Path]) -> int:
    files = contents(folders or fetched())
    seen = decoded_by_go(files)
    # What is no picture by its bytes is an error of the view, and has to be none to Go.
    files = [f for f in files if not seen[str(f)]["error"] or content_type(f.open("rb").read(HEAD)) is not None]
    helper = ThumbnailHelper()
    table: Counter[tuple[str, str, str]] = Counter()
    faults = []
    for file in files:
        data, answer = file.read_bytes(), seen[str(file)]
        outcome = helper.make(data, BOX, lambda _: False, time.monotonic() + 60)
        assert outcome is not None
        kind = content_type(data[:HEAD]) or ""
        by_go = "" if answer["error"] else "Go"
        table[kind, by_go, outcome.kind] += 1
        apart = difference(file, outcome, answer) if by_go else 0
        if apart > TOLERANCE:
            faults.append(f"{file}: {apart} of 255 from Go's colours")
        elif outcome.kind == NOT_AN_IMAGE:
            faults.append(f"{file}: no picture, though Go decodes it")
        elif outcome.kind not in (CREATED, ORIGINAL):
            print(f"original instead: {file.name}: {by_go or answer['error']}; {outcome.kind}: {outcome.detail}")
    helper.close()
    for row, count in sorted(table.items()):
        print(f"{count:5}  {row[0]:14} {row[1]:3} {row[2]}")
    print(f"{len(files)} pictures, {sum(n for row, n in table.items() if row[1])} of which Go decodes; {len(faults)} faults")
    print(*faults, sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
