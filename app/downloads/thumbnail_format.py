"""What a thumbnail is asked for and how it is answered; sizes and keys. Pure, without Pillow."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

#: Pixels; over that v3.4.0 shows the original.
MAX_SIDE = 1024

#: Kinds of answers.
MADE = "made"
#: The thumbnail would be the picture itself.
ORIGINAL = "original"
#: v3.4.0 may have made this one: look, and ask again with `go_on` if it did not.
LOOK = "look"
NOT_AN_IMAGE = "not an image"
REFUSED = "refused"
#: Took too long, or too much memory.
TOO_MUCH = "too much"


class Wanted(msgspec.Struct, frozen=True):
    #: Pixels of the box; 0 where that side does not matter.
    width: int
    height: int
    #: png, jpeg, webp, or empty for the source's own family.
    format: str


class Made(msgspec.Struct, frozen=True):
    kind: str
    #: The last part of the thumbnail's object key.
    name: str = ""
    content_type: str = ""
    #: Why there is none, for people.
    detail: str = ""
    data: bytes = b""


def wanted_of(query: Mapping[str, str]) -> Wanted | None:
    """What a query asks for; None for the original: no size and format, a negative side, or one over 1024 (as v3.4.0).

    `webp` is ours; v3.4.0 takes it for PNG, as it does with every format that it does not know.
    """
    width, height = _side(query.get("width", "")), _side(query.get("height", ""))
    if not (0 <= width <= MAX_SIDE and 0 <= height <= MAX_SIDE):
        return None
    asked = query.get("format", "").lower()
    known = {"": "", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
    wanted = Wanted(width, height, known.get(asked, "png"))
    return None if wanted == Wanted(0, 0, "") else wanted


def _side(text: str) -> int:
    """As Go's Atoi, whose error is taken for 0."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0


def fit(size: tuple[int, int], wanted: Wanted) -> tuple[int, int]:
    """The largest size of the same shape within the box, never over the picture's own; sides rounded down, as v3.4.0."""
    width, height = size
    box_width, box_height = wanted.width or width, wanted.height or height
    if box_width >= width and box_height >= height:
        return size
    if box_width * height <= box_height * width:
        return box_width, max(1, height * box_width // width)
    return max(1, width * box_height // height), box_height


def legacy_name(size: tuple[int, int], wanted: Wanted) -> str:
    """v3.4.0's name: the box, which is the picture's own size where both sides are over that."""
    width, height = wanted.width or size[0], wanted.height or size[1]
    if width >= size[0] and height >= size[1]:
        width, height = size
    return f"image_w{width}_h{height}.{wanted.format}"


def own_name(wanted: Wanted) -> str:
    """Without an ending where the source decides on the format: one look finds it."""
    return f"direct_w{wanted.width}_h{wanted.height}" + (f".{wanted.format}" if wanted.format else "")
