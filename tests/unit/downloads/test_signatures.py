"""What is a picture, by its bytes."""

from __future__ import annotations

import struct

import pytest

from app.downloads.signatures import HEAD, content_type
from tests.picture_forms import all_forms


def ftyp(major: bytes, *others: bytes) -> bytes:
    body = major + bytes(4) + b"".join(others)
    return struct.pack(">I", 8 + len(body)) + b"ftyp" + body + b"\0\0\0\x08meta" + bytes(40)


def test_the_forms_are_known() -> None:
    types = {"avif": "image/avif", "heic": "image/heic", "ico": "image/x-icon"}
    for name, data in all_forms():
        kind = name.split("-")[0]
        assert content_type(data[:HEAD]) == types.get(kind, f"image/{kind}"), name


@pytest.mark.parametrize(
    ("head", "type_"),
    [
        (ftyp(b"avif", b"mif1", b"miaf"), "image/avif"),
        (ftyp(b"mif1", b"avif", b"miaf"), "image/avif"),
        (ftyp(b"avis", b"msf1"), "image/avif"),
        (ftyp(b"mif1", b"heic"), "image/heic"),
        (ftyp(b"heix"), "image/heic"),
        (ftyp(b"isom", b"iso2", b"avc1", b"mp41"), None),
        (ftyp(b"qt  "), None),
        (ftyp(b"crx ", b"heic"), None),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
        (b"MM\0*\0\0\0\x08", "image/tiff"),
        (b"\0\0\2\0\1\0\x20\x20\0\0", "image/x-icon"),
    ],
)
def test_by_their_first_bytes(head: bytes, type_: str | None) -> None:
    assert content_type(head) == type_


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x89PNG",
        b"BM is how this text begins, and it goes on",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"<svg xmlns='http://www.w3.org/2000/svg'>",
        b"%PDF-1.7",
        # A Targa picture, which is an icon of no pictures by its first four bytes.
        b"\0\0\2\0\0\0\0\0\0\0\0\0\x40\0\x40\0\x18\0",
        b"\0\0\1\xba",
        b"\0\0\0\x08ftyp",
        b"\xff\xffftypavif",
    ],
)
def test_what_is_none(head: bytes) -> None:
    assert content_type(head) is None
