"""What all sections of instances.yaml have in common, and what a key's definition says of it."""

from __future__ import annotations

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

from app.config.values import ANY_TEXT, VARIABLE_BEGINS, Secret, Written

#: Context of a second reading of a faulty file: what cannot be read is None, so that rules between keys see all the rest.
PARTIAL = object()


def _schema(schema: dict[str, Any], model: type[Section]) -> None:
    """As the file is written, which is not quite as the models hold it: `${VAR}`, null for a default, secrets in files."""
    for key, field in model.keys().items():
        found = schema["properties"][key]
        about = {word: found.pop(word) for word in ("description", "default", "examples", "deprecated") if word in found}
        found.pop("title", None)
        kind = written(field)
        forms = [dict(found)] if kind is None else kind.schema(*bounds(field))
        if "enum" in found:
            forms.append({"type": "string", "pattern": VARIABLE_BEGINS})
        if not field.is_required() and secret_kind(field) is not Secret:
            forms.append({"type": "null"})
        if section_of(field):
            about.pop("default", None)
        found.clear()
        found.update(about, **(forms[0] if len(forms) == 1 else {"anyOf": forms}))
        if secret_kind(field):
            text = f"File that holds `{key}`, relative to this one."
            schema["properties"][f"{key}_file"] = {"type": "string", "description": text}


class Section(BaseModel):
    """A mapping of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, json_schema_extra=_schema)

    @classmethod
    def keys(cls) -> dict[str, FieldInfo]:
        """As the file names them."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: Any, info: ValidationInfo) -> Any:
        if info.context is not PARTIAL:
            return values
        values = values if isinstance(values, dict) else {}
        return {key: values.get(key) for key, field in cls.keys().items() if key in values or field.is_required()}

    @field_validator("*", mode="wrap")
    @classmethod
    def _readable(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError:
            if info.context is PARTIAL:
                return None
            raise


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a key holds, or of which it holds several by ID."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)


def secret_kind(field: FieldInfo) -> type[Secret] | None:
    """The kind of secret that may also lie in a file of its own, named by the key with `_file` added."""
    kinds = (field.annotation, *get_args(field.annotation))
    found = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Secret))
    return None if get_origin(field.annotation) is tuple else next(found, None)


def written(field: FieldInfo) -> Written | None:
    """How the value of a key is written; None of those that are lists, sections, or words to choose from."""
    if secret_kind(field):
        return ANY_TEXT
    if get_origin(field.annotation) is tuple:
        return None
    inner = [m for kind in get_args(field.annotation) for m in getattr(kind, "__metadata__", ())]
    return next((m for m in (*field.metadata, *inner) if isinstance(m, Written)), None)


def bounds(field: FieldInfo) -> tuple[int | None, int | None]:
    def of(name: str) -> int | None:
        return next((getattr(m, name) for m in field.metadata if hasattr(m, name)), None)

    return of("ge"), of("le")


def field_at(section: type[Section], path: tuple[int | str, ...]) -> tuple[type[Section], FieldInfo | None]:
    """The innermost section on a path from a section on, and the key in it that the path leads to or through."""
    field: FieldInfo | None = None
    for key in path:
        if field is not None and (inner := section_of(field)) is not None:
            section, entries = inner, get_origin(field.annotation) is dict
            field = None
            if entries:
                continue
        if field is None:
            field = section.keys().get(str(key))
    return section, field
