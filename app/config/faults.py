"""What is wrong with a file, by path, in words that say what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.config.document import NULL
from app.config.models import Deployment
from app.config.preparation import UNREAD
from app.config.section import bounds, field_at, secret_kind, written
from app.config.values import duration_of, kind_of


class ConfigError(Exception):
    """A file that cannot be used; `faults` are (path in the file, what is wrong and what to write instead)."""

    def __init__(self, source: str, faults: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{source}: {path}: {text}" if path else f"{source}: {text}" for path, text in faults))
        self.faults = faults


def path_of(location: tuple[int | str, ...]) -> str:
    """`("instances", "i2", "node")` is `instances.i2.node`, and `("auth", "admins", 0)` is `auth.admins[0]`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in location).removeprefix(".")


def described(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Path and text of each fault that pydantic found, but for those of values that have one already."""
    for one in error.errors(include_url=False):
        if one["input"] is not UNREAD:
            describe = _TEXTS.get(one["type"])
            yield path_of(one["loc"]), one["msg"] if describe is None else describe(one)


def _value_error(error: ErrorDetails) -> str:
    return str(error["ctx"]["error"])


def _unknown(error: ErrorDetails) -> str:
    section, _ = field_at(Deployment, error["loc"])
    known = [k for key, field in section.keys().items() for k in ([key, f"{key}_file"] if secret_kind(field) else [key])]
    return f"unknown key; known here: {', '.join(sorted(known))}"


def _no_text(error: ErrorDetails) -> str:
    if error["input"] is NULL:
        return "is missing: null and ~ are nothing in YAML; write it in quotes if that is its text, else leave it out"
    return f"must be a string, is {kind_of(error['input'])}"


def _out_of_bounds(error: ErrorDetails) -> str:
    _, field = field_at(Deployment, error["loc"])
    assert field is not None  # noqa: S101 (bounds belong to a key)
    kind = written(field)
    shown = duration_of if kind is not None and kind.words == "duration" else str
    low, high = (shown(bound) for bound in bounds(field) if bound is not None)
    return f"must be from {low} to {high}"


def _no_choice(error: ErrorDetails) -> str:
    _, field = field_at(Deployment, error["loc"])
    return f"must be {error['ctx']['expected']}. {field.description if field else ''}".replace("`", "")


#: By the types of pydantic's errors.
_TEXTS: dict[str, Callable[[ErrorDetails], str]] = {
    "missing": lambda error: "is missing, or empty",
    "extra_forbidden": _unknown,
    "value_error": _value_error,
    "string_type": _no_text,
    "greater_than_equal": _out_of_bounds,
    "less_than_equal": _out_of_bounds,
    "literal_error": _no_choice,
    "model_type": lambda error: f"must be a mapping, is {kind_of(error['input'])}",
    "dict_type": lambda error: f"must be a mapping, is {kind_of(error['input'])}",
    "tuple_type": lambda error: f"must be a list of strings, is {kind_of(error['input'])}",
}
