"""Turns a picture's file into that of a smaller one."""

from __future__ import annotations

import struct

from app.downloads.decoder.resize import animated, frames_of, still
from app.downloads.decoder.sources import FORMATS, Format, Source, TooLargeError, opened
from app.downloads.decoder.stripped import Stripped
from app.downloads.signatures import HEAD, content_type
from app.downloads.thumbnail_format import (
    CHECK,
    CREATED,
    DAMAGED,
    NOT_AN_IMAGE,
    ORIGINAL,
    TOO_LARGE,
    TOO_MUCH,
    Outcome,
    ThumbnailSpec,
    fit,
    legacy_name,
    own_name,
)

#: What Pillow and its plugins raise for files that are cut or damaged.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    struct.error,
    ArithmeticError,
    TypeError,
    RuntimeError,
    AttributeError,
    AssertionError,
)


class Prepared:
    """A picture without its metadata, of the type that its bytes say."""

    def __init__(self, data: bytes) -> None:
        self.type = content_type(data[:HEAD]) or ""
        self.form = FORMATS.get(self.type)
        try:
            self.stripped = self.form.strip(data) if self.form is not None else Stripped(b"")
        except (struct.error, LookupError, ValueError):
            # Not of the form that its format has: the decoder says what it makes of it.
            self.stripped = Stripped(data)


def make(data: bytes, spec: ThumbnailSpec, checked: bool = True) -> Outcome:
    """The picture that fits the box, upright, without metadata; or why there is none.

    :param checked: false answers `CHECK`, by the picture's header alone, where v3.4.0 may have created it already.
    """
    return make_prepared(Prepared(data), spec, checked)


def make_prepared(picture: Prepared, spec: ThumbnailSpec, checked: bool = True) -> Outcome:
    """As `make`."""
    if not picture.type:
        return Outcome(NOT_AN_IMAGE)
    if picture.form is None:
        return Outcome(DAMAGED, detail=f"{picture.type} is not decoded")
    try:
        with opened(picture.form, picture.stripped) as source:
            return _of_source(source, picture.form, picture.type, spec, checked)
    except TooLargeError as e:
        return Outcome(TOO_LARGE, detail=str(e))
    except MemoryError:
        return Outcome(TOO_MUCH, detail="the picture takes too much memory")
    except _DAMAGE as e:
        return Outcome(DAMAGED, detail=f"the picture is damaged ({type(e).__name__})")


def _of_source(source: Source, form: Format, type_: str, spec: ThumbnailSpec, checked: bool) -> Outcome:
    turned = source.orientation != 1
    size = fit(source.upright, spec)
    same_format = not spec.format or type_ == f"image/{spec.format}"
    if size == source.upright and same_format and form.shown and (not turned or (form.turned and not spec.format)):
        # Nothing would change; viewers turn the original of a JPEG by its EXIF themselves.
        return Outcome(ORIGINAL, content_type=type_)
    frames = frames_of(source.image) if form.animated and not spec.format and source.image is not None else 1
    target = spec.format.upper() or (form.names[0] if frames > 1 else form.family)
    if spec.format in ("png", "jpeg") and not turned:
        # What v3.4.0 makes of the same request is the same picture in the same format.
        name = legacy_name(source.upright, spec)
        if not checked:
            return Outcome(CHECK, name=name, content_type=f"image/{target.lower()}")
    else:
        name = own_name(spec)
    if frames > 1 and source.image is not None:
        made = animated(source.image, target, size, frames, source.orientation)
    else:
        made = still(source, target, size)
    return Outcome(CREATED, name=name, content_type=f"image/{target.lower()}", data=made)
