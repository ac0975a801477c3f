"""GIF (89a): what is needed to decode."""

from __future__ import annotations

from app.downloads.decoder.stripped import Stripped

_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
#: Time, disposal and transparency of the next picture, four bytes.
_CONTROL = b"\x21\xf9\x04"
#: How often an animation is repeated, in a block of three bytes that follows.
_LOOPS = (b"\x21\xff\x0bNETSCAPE2.0\x03", b"\x21\xff\x0bANIMEXTS1.0\x03")


def strip(data: bytes) -> Stripped:
    """Without comments, texts, and applications' own blocks: Pillow joins comments one by one, for hours where they are
    50 MB. From what is no block on, the rest stays as it is.
    """
    view = memoryview(data)
    at = 13 + _colours(data[10:11])
    parts = [view[:at]]
    while at < len(view):
        start, kind = at, view[at]
        if kind == _EXTENSION and at + 2 < len(view):
            at = _after_blocks(view, at + 2)
            if not _needed(bytes(view[start : start + 15])):
                continue
        elif kind == _IMAGE and at + 10 < len(view):
            # And the size of the first code.
            at = _after_blocks(view, at + 10 + _colours(view[at + 9 : at + 10]) + 1)
        else:
            # The end, or nothing that is known.
            at = len(view) if kind != _END else at + 1
        parts.append(view[start:at])
        if kind == _END:
            break
    return Stripped(b"".join(parts))


def _needed(head: bytes) -> bool:
    """Whether an extension that begins so has to do with the pixels, and is as long as it should be."""
    return head.startswith((_CONTROL, *_LOOPS))


def _colours(flags: bytes | memoryview) -> int:
    """Bytes of the table of colours that follows."""
    return 3 << ((flags[0] & 7) + 1) if len(flags) and flags[0] & 0x80 else 0


def _after_blocks(view: memoryview, at: int) -> int:
    """Where blocks that begin at `at` have ended: with an empty one, or with the file."""
    while at < len(view) and view[at]:
        at += view[at] + 1
    return at + 1
