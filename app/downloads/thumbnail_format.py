"""Says what a thumbnail is requested and answered with, and how large and under which key. Pure, without Pillow."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

#: Pixels; over that v3.4.0 shows the original.
MAX_SIDE = 1024

#: Kinds of answers.
CREATED = "created"
#: The thumbnail would be the picture itself.
ORIGINAL = "original"
#: v3.4.0 may have created this one: check whether it exists, and go on if it does not.
CHECK = "check"
NOT_AN_IMAGE = "not an image"
#: From here on the original stands for the thumbnail, and clients and metrics are told why by these words.
#: Others' thumbnails were being made.
BUSY = "busy"
#: Took too long, or too much memory.
TOO_MUCH = "too much"
#: Too many pixels, or a file that is not read for that.
TOO_LARGE = "too large"
#: Cut, or of a form that is not decoded; browsers may well show it.
DAMAGED = "damaged"
#: The process that decodes has ended.
FAILED = "failed"
#: Made, but the node would not take it: its disk is full, or its keys lack the right.
NOT_STORED = "not stored"
#: What may soon be otherwise. `BUSY` is not kept in mind at all, the others for long.
SHORT = (FAILED, NOT_STORED)


class ThumbnailSpec(msgspec.Struct, frozen=True):
    """What a view requests."""

    #: Pixels of the box; 0 where that side does not matter.
    width: int
    height: int
    #: png, jpeg, webp, or empty for the source's own family.
    format: str


class Outcome(msgspec.Struct, frozen=True):
    """A thumbnail, or why there is none."""

    kind: str
    #: The last part of the thumbnail's object key.
    name: str = ""
    content_type: str = ""
    #: Why there is none, for people.
    detail: str = ""
    data: bytes = b""


def spec_of(query: Mapping[str, str]) -> ThumbnailSpec | None:
    """What a query asks for; None for the original: no size and format, a negative side, or one over 1024 (as v3.4.0).

    `webp` is ours; v3.4.0 takes it for PNG, as it does with every format that it does not know.
    """
    width, height = _side(query.get("width", "")), _side(query.get("height", ""))
    if not (0 <= width <= MAX_SIDE and 0 <= height <= MAX_SIDE):
        return None
    requested = query.get("format", "").lower()
    known = {"": "", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
    spec = ThumbnailSpec(width, height, known.get(requested, "png"))
    return None if spec == ThumbnailSpec(0, 0, "") else spec


def _side(text: str) -> int:
    """As Go's Atoi, whose error is taken for 0."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0


def fit(size: tuple[int, int], spec: ThumbnailSpec) -> tuple[int, int]:
    """The largest size of the same shape within the box, never over the picture's own; sides rounded down, as v3.4.0."""
    width, height = size
    box_width, box_height = spec.width or width, spec.height or height
    if box_width >= width and box_height >= height:
        return size
    if box_width * height <= box_height * width:
        return box_width, max(1, height * box_width // width)
    return max(1, width * box_height // height), box_height


def legacy_name(size: tuple[int, int], spec: ThumbnailSpec) -> str:
    """v3.4.0's name: the box, which is the picture's own size where both sides are over that."""
    width, height = spec.width or size[0], spec.height or size[1]
    if width >= size[0] and height >= size[1]:
        width, height = size
    return f"image_w{width}_h{height}.{spec.format}"


def own_name(spec: ThumbnailSpec) -> str:
    """Without an ending where the source decides on the format: one call finds it."""
    return f"direct_w{spec.width}_h{spec.height}" + (f".{spec.format}" if spec.format else "")
