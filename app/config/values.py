"""The kinds of values in instances.yaml: how each is written, and what is wrong with one that is not.

No fault repeats a value: any of them may be a password in the wrong place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, core_schema

#: Pattern of a text that holds a variable.
VARIABLE_BEGINS = r"\$\{[A-Za-z_]"
_DURATION = re.compile(r"(\d+(?:_\d+)*)\s*([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
#: As YAML 1.1 has them, in which the file was read at first.
_FLAGS = dict.fromkeys(("true", "yes", "on"), True) | dict.fromkeys(("false", "no", "off"), False)


@dataclass(frozen=True)
class Written:
    """How a value is written in the file.

    :ivar words: for people.
    :ivar forms: JSON types that an editor takes such a value for where it stands without quotes.
    :ivar pattern: of its text; any by default.
    """

    words: str
    forms: tuple[str, ...] = ()
    pattern: str = ""

    def schema(self, limits: dict[str, int] | None = None) -> list[dict[str, Any]]:
        """The forms of JSON Schema that such a value may have; any may come from the environment."""
        text = {"type": "string"} | ({"pattern": f"{self.pattern}|{VARIABLE_BEGINS}"} if self.pattern else {})
        return [*({"type": form, **(limits or {})} for form in self.forms), text]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": self.schema()}


class Secret(str):
    """A text that shows neither in `repr`, and so in no log line of what holds it, nor in `config show`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def masked(self) -> str:
        return "***"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(), serialization=core_schema.plain_serializer_function_ser_schema(cls.masked)
        )


class SecretURL(Secret):
    """A URL whose password is secret."""

    __slots__ = ()

    def masked(self) -> str:
        return re.sub(r"://(?:([^:/?#@]*):)?[^/?#@]*@", lambda m: f"://{'' if m[1] is None else m[1] + ':'}***@", self)


def seconds_of(text: str) -> int | None:
    """Of `90s`, `15m`, `24h`, `7d` or a plain number; None where it is no duration."""
    match = _DURATION.fullmatch(text)
    return None if match is None or len(text) > 20 else int(match.group(1)) * _UNITS[match.group(2)]


def duration_of(seconds: int) -> str:
    """As it is written, in the largest unit that is whole."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def kind_of(value: Any) -> str:
    names = {bool: "true or false", dict: "a mapping", list: "a list", str: "a string", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")


def _flag(value: Any) -> bool:
    if isinstance(value, str) and value in (value.lower(), value.upper(), value.capitalize()):
        value = _FLAGS.get(value.lower(), value)
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, is {kind_of(value)}")
    return value


def _whole(value: Any) -> int:
    try:
        number = int(value, 0) if isinstance(value, str) and len(value) < 40 else value
    except ValueError:
        number = value
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"must be a whole number, is {kind_of(value)}")
    return number


def _seconds(value: Any) -> int:
    seconds = seconds_of(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise ValueError("must be a duration such as 90s, 15m, 24h or 7d")
    return seconds


def matching(pattern: str, says: str) -> AfterValidator:
    """Refuses a text that does not match as a whole, in words that say what would."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(says)
        return text

    return AfterValidator(check)


Text = Annotated[str, Written("text", ("number", "boolean"))]
SecretText = Annotated[Secret, Written("secret", ("number", "boolean"))]
Flag = Annotated[bool, BeforeValidator(_flag), Written("true or false", ("boolean",), r"^(true|yes|on|false|no|off)$")]
Whole = Annotated[int, BeforeValidator(_whole), Written("whole number", ("integer",), r"^[-+]?\d[\d_]*$")]
Duration = Annotated[
    int,
    BeforeValidator(_seconds),
    PlainSerializer(duration_of, return_type=str),
    Written("duration", ("integer",), r"^\d[\d_]*\s*[smhd]?$"),
]
