"""Reads JSON as Go's encoding/json reads it into a struct, which is more than the standard takes. Pure.

A decoder of Go reads one value and stops; it matches keys without regard to case, lets a later field replace an earlier one
but not by `null`, and puts U+FFFD for what is no UTF-8 and for half of a surrogate pair. v3.4.0's clients send all of these.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec

ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)

#: What `null` means within a list or a map, by the field's name: Go's zero value of the element's type.
_ZERO: Mapping[str, Any] = {"partNumbers": 0, "parts": "", "query": ""}
_BLANK = " \t\r\n"
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Digits of the largest 64-bit number, and its sign.
_MAX_DIGITS = 20


class NotJSONError(ValueError):
    """No JSON value; the message says why."""


class _Object(list[tuple[str, Any]]):
    """The fields of a JSON object in order, with those that are there twice."""


def _integer(digits: str) -> int:
    # Python takes seconds for numbers of a million digits, or refuses them. Out of every range is enough.
    return int(digits) if len(digits) <= _MAX_DIGITS else 2**64


def _refuse(constant: str) -> None:
    raise NotJSONError(f"{constant} is no number there")


_decoder = json.JSONDecoder(
    object_pairs_hook=_Object,
    parse_int=_integer,
    # Go takes no fraction and no exponent for an integer, 1.0 as little as 1.5.
    parse_float=lambda _: math.nan,
    parse_constant=_refuse,
)


def read(body: bytes, shape: type[ShapeT]) -> ShapeT:
    """Read the first value of a body into a struct; what follows it is ignored.

    :raises NotJSONError: it does not begin with JSON, or is nested more deeply than Python's stack allows, about 900 levels.
    :raises msgspec.ValidationError: a field is not of its type; names the field.
    """
    try:
        # A lone surrogate for each byte that is no UTF-8, as the JSON's own `\ud83d` gives one.
        text = body.decode("utf-8", "surrogateescape").lstrip(_BLANK)
        value, _ = _decoder.raw_decode(text)
    except json.JSONDecodeError as e:
        raise NotJSONError(f"{e.msg} (character {e.pos})") from None
    except RecursionError:
        raise NotJSONError("nested too deeply") from None
    if value is None:
        # Go leaves the zero value for a JSON null.
        return shape()
    if not isinstance(value, _Object):
        return msgspec.convert(_text(value), shape)
    fields = _fields(shape)
    found: dict[str, Any] = {}
    for sent_key, sent in value:
        field = fields.get(_fold(sent_key))
        if field is not None:
            name, key = field
            found[name] = _one(shape, name, key, sent, found.get(name))
    return shape(**found)


@cache
def _fields(shape: type[msgspec.Struct]) -> dict[str, tuple[str, str]]:
    """Return the names of each field, Python's and JSON's, by its folded key."""
    return {_fold(field.encode_name): (field.name, field.encode_name) for field in msgspec.structs.fields(shape)}


def _fold(key: str) -> str:
    """Return what keys of Go are equal by: letters without case, with the two that Unicode folds into ASCII (k and s)."""
    return key.lower().replace("\u017f", "s")


def _one(shape: type[msgspec.Struct], name: str, key: str, sent: Any, before: Any) -> Any:
    """Return a field's value after one occurrence of it.

    :param before: its value after those before; None where there were none.
    """
    if sent is None:
        # Lists and maps can be null in Go; all else keeps what it had.
        return None if key in _ZERO else before
    value = getattr(msgspec.convert({key: _plain(sent, _ZERO.get(key), before)}, shape), name)
    if isinstance(before, dict):
        before.update(value)
        return before
    return value


def _plain(sent: Any, zero: Any, before: Any) -> Any:
    """Return a value as Go takes it. Not what is deeper than a field's list or map: that is of no field's type."""
    if isinstance(sent, _Object):
        return {_text(key): zero if value is None else _text(value) for key, value in sent}
    if isinstance(sent, list):
        # Go reads a list that is there twice into the memory of the first one, whose elements `null` leaves as they are.
        kept = before if isinstance(before, list) else []
        return [(kept[n] if n < len(kept) else zero) if value is None else _text(value) for n, value in enumerate(sent)]
    return _text(sent)


def _text(sent: Any) -> Any:
    return _SURROGATE.sub("\ufffd", sent) if isinstance(sent, str) else sent
