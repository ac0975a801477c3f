"""What all sections of instances.yaml have in common: how they are read from the file, and what is known of a key."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from app.config.document import NULL
from app.config.values import VARIABLE_BEGINS, Secret, Written, duration_of

#: Within a text: `${VAR}`, or `${VAR:-what stands for it where it is not set}`.
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class Fault:
    """Stands where a value cannot be had: pydantic refuses it there, as it is of no kind.

    :ivar of_file: whether it is a fault of the key with `_file` added.
    """

    text: str
    of_file: bool = False


@dataclass
class Reading:
    """One reading of a file; the context in which pydantic validates its sections.

    :ivar base: folder from which relative files are meant.
    :ivar partial: whether what has a fault is None instead, so that rules between keys see all the rest.
    :ivar holds_secrets: whether one stands in the file itself, and not in the environment or a file of its own.
    """

    environ: Mapping[str, str]
    base: Path
    partial: bool = False
    warnings: list[str] = dataclass_field(default_factory=list)
    holds_secrets: bool = False

    def given(self, section: type[Section], values: dict[str, Any]) -> dict[str, Any]:
        """What the file gives a section: variables replaced, secrets read from their files, what is nothing left out."""
        fields = section.model_fields
        files = {f"{key}_file": key for key in fields if lies_in_file(fields[key])}
        given: dict[str, Any] = {}
        for key, value in values.items():
            if key in fields or key in files:
                value = self._value(key, value, fields.get(key))
                if value is not None and value != "":
                    given[key] = value
            elif not self.partial:
                given[key] = Fault(f"unknown key; known here: {', '.join(sorted([*fields, *files]))}")
        for file, key in files.items():
            if file in given:
                try:
                    given[key] = self._secret_in(given.pop(file), beside=key if key in given else None)
                except ValueError as e:
                    given[key] = Fault(str(e), of_file=True)
        required = [key for key in fields if self.partial and fields[key].is_required()]
        return dict.fromkeys(required) | given

    def _value(self, key: str, value: Any, field: FieldInfo | None) -> Any:
        kind = field and secret_kind(field)
        items = value if isinstance(value, list) else [value]
        # An access key is a name, and no secret by itself.
        if kind and key != "access_key":
            self.holds_secrets |= any(isinstance(i, str) and "${" not in i and kind(i).masked() != i for i in items)
        if isinstance(value, list):
            return [self._expanded(item) for item in value]
        if value is NULL and not (field and kind is Secret and lies_in_file(field)):
            return None
        return self._expanded(value)

    def _expanded(self, value: Any) -> Any:
        if value is NULL:
            return Fault(
                "is missing: null and ~ are nothing in YAML; write it in quotes if that is its text, else leave it out"
            )
        missing = []

        def replace(match: re.Match[str]) -> str:
            text = self.environ.get(match[1]) or match[2]
            if text is None:
                missing.append(f"the environment variable {match[1]} is not set; set it, or write ${{{match[1]}:-default}}")
            return text or ""

        expanded = _VARIABLE.sub(replace, value) if isinstance(value, str) else value
        return Fault("; ".join(missing)) if missing else expanded

    def _secret_in(self, named: Any, beside: str | None) -> str:
        """
        :raises ValueError: says why there is none.
        """
        if beside:
            raise ValueError(f"stands beside {beside}: write one of the two")
        if not isinstance(named, str):
            raise ValueError(named.text if isinstance(named, Fault) else "must be a string")
        file = self.base / named
        try:
            text = file.read_text(encoding="utf-8").strip()
            if file.stat().st_mode & stat.S_IROTH:
                self.warnings.append(f"{file} is a secret and every user of this machine may read it: chmod o-r it")
        except (OSError, ValueError) as e:
            raise ValueError(f"cannot be read: {e.strerror if isinstance(e, OSError) else 'not UTF-8'}") from None
        if not text:
            raise ValueError("is an empty file")
        return text


def _schema(schema: dict[str, Any], model: type[Section]) -> None:
    """As the file is written, which is not quite as the models hold it: `${VAR}`, null for a default, secrets in files."""
    for key, field in model.model_fields.items():
        found = schema["properties"][key]
        found.pop("title", None)
        about = {word: found.pop(word) for word in ("description", "default", "examples", "deprecated") if word in found}
        kind = written(field)
        forms = kind.schema(dict(zip(("minimum", "maximum"), _bounds(field), strict=False))) if kind else [found]
        if "enum" in found:
            forms.append({"type": "string", "pattern": VARIABLE_BEGINS})
        if not field.is_required() and not (lies_in_file(field) and secret_kind(field) is Secret):
            forms.append({"type": "null"})
        if section_of(field):
            about.pop("default", None)
        else:
            about["description"] = description(field)
        schema["properties"][key] = about | (forms[0] if len(forms) == 1 else {"anyOf": forms})
        if lies_in_file(field):
            text = f"File that holds `{key}`, relative to this one."
            schema["properties"][f"{key}_file"] = {"type": "string", "description": text}


class Section(BaseModel):
    """A mapping of the file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True, json_schema_extra=_schema
    )

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: Any, info: ValidationInfo) -> Any:
        reading: Reading | None = info.context
        if reading is None:
            return values
        if values is None or values is NULL or (reading.partial and not isinstance(values, dict)):
            values = {}
        return reading.given(cls, values) if isinstance(values, dict) else values

    @field_validator("*", mode="wrap")
    @classmethod
    def _readable(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError:
            if info.context and info.context.partial:
                return None
            raise


def _parts(field: FieldInfo) -> Iterator[Any]:
    """The type of a key and what it is made of, with what they are annotated with."""
    parts = [field.annotation, *field.metadata]
    for part in parts:
        yield part
        parts += get_args(part)


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a key holds, or of which it holds several by ID."""
    return next((p for p in _parts(field) if isinstance(p, type) and not get_args(p) and issubclass(p, Section)), None)


def secret_kind(field: FieldInfo) -> type[Secret] | None:
    return next((p for p in _parts(field) if isinstance(p, type) and not get_args(p) and issubclass(p, Secret)), None)


def is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def lies_in_file(field: FieldInfo) -> bool:
    """Whether it may: a secret, in a file of its own that is named by the key with `_file` added."""
    return secret_kind(field) is not None and not is_list(field)


def written(field: FieldInfo) -> Written | None:
    """How the value of a key is written; None of those that are lists, sections, or words to choose from."""
    return None if is_list(field) else next((part for part in _parts(field) if isinstance(part, Written)), None)


def description(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _bounds(field: FieldInfo) -> list[int]:
    return [getattr(part, name) for name in ("ge", "le") for part in field.metadata if hasattr(part, name)]


def bounds(field: FieldInfo) -> str:
    """As they are written, `2h to 7d`; empty where a value has none."""
    kind = written(field)
    shown = duration_of if kind and kind.words == "duration" else str
    return " to ".join(shown(bound) for bound in _bounds(field))
