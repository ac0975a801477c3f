"""Describes instances.yaml: as a reference for people, as JSON Schema for editors, and a deployment as it was understood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import jinja2
from pydantic.fields import FieldInfo

from app.config.document import dump_yaml
from app.config.models import Deployment
from app.config.section import Section, bounds, description, is_list, section_of, written
from app.config.values import Secret

_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("app.config"),
    autoescape=False,  # noqa: S701 (Markdown of our own)
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["description"] = description


def schema() -> str:
    """The JSON Schema of the file."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "instances.yaml of openim-direct"}
    return json.dumps(head | Deployment.model_json_schema() | {"title": head["title"]}, indent=2)


def shown(deployment: Deployment) -> str:
    """A deployment as YAML that can be read again, with all defaults; secrets are masked."""
    document = deployment.model_dump(mode="json")
    auth = document["auth"]
    del auth["secret" if len(auth["secrets"]) > 1 else "secrets"]
    if "secret" in auth:
        auth["secret"] = Secret().masked()
    for node in document["nodes"].values():
        del node["endpoint" if len(node["endpoints"]) > 1 else "endpoints"]
        for key in ("access_key", "secret_key", "session_token"):
            if node[key] is None:
                del node[key]
    return dump_yaml(document)


def reference() -> str:
    """The reference of all keys, as Markdown."""
    sections = [("", "", _rows("", Deployment))]
    for key, field in Deployment.model_fields.items():
        section = section_of(field)
        if section:
            prefix = f"{key}.<id>." if get_origin(field.annotation) is dict else f"{key}."
            sections.append((key, section.__doc__ or "", _rows(prefix, section)))
    return _environment.get_template("reference.md.j2").render(sections=sections)


def _rows(prefix: str, section: type[Section]) -> Iterator[tuple[str, FieldInfo, str, str]]:
    # As they are written in a file.
    defaults = section.model_construct().model_dump(mode="json", warnings=False)
    for key, field in section.model_fields.items():
        if not section_of(field) and not field.deprecated:
            yield f"{prefix}{key}", field, _value(field), "required" if field.is_required() else _default(defaults[key])


def _default(value: Any) -> str:
    return "" if value in (None, "", []) else f"`{json.dumps(value)}`".replace('"', "")


def _value(field: FieldInfo) -> str:
    kind = written(field)
    if is_list(field):
        return "list"
    if kind is None:
        return " or ".join(f"`{choice}`" for choice in get_args(field.annotation))
    return f"{kind.words}, {bounds(field)}" if bounds(field) else kind.words
