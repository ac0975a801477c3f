"""Describes instances.yaml: as a reference for people, as JSON Schema for editors, and a deployment as it was understood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from app.config.document import dump_yaml
from app.config.models import Deployment
from app.config.section import Section, bounds, secret_kind, section_of, written
from app.config.values import Secret, duration_of

_HEAD = """\
# instances.yaml, key by key

<!-- Made from app/config/models.py: openim-direct config reference > docs/configuration.md -->

The same file on every instance. `openim-direct config show` prints it as understood, with every default and without secrets;
`openim-direct config schema` prints a JSON Schema, by which editors complete and check it.

- Every fault is found in one pass and named by its path in the file (`instances.i2.node`); the exit code is then 2.
- `${VAR}` and `${VAR:-default}` are replaced from the environment, within any value.
- A value is taken as it is written: a secret `0123` or `1_000` is that text, with quotes or without. What YAML gives a
  meaning stands in quotes: `null`, `~`, and texts that begin with one of ``* & ! | > % @ ` # { [`` or hold `: ` or ` #`.
- Each secret may lie in a file of its own, named by the key with `_file` added (`secret_key_file: /run/secrets/minio`).
- In `auth.redis` and `records`, the characters that have a meaning in URLs are percent-encoded in user and password:
  `#` is `%23`, `@` is `%40`, `/` is `%2F`, `?` is `%3F`, `[` is `%5B`, `]` is `%5D`, `:` is `%3A`, `%` is `%25`.
- Durations are `90s`, `15m`, `24h`, `7d`, or a number of seconds.
- A key that is left out, empty or `null` has its default.
"""


def schema() -> str:
    """The JSON Schema of the file."""
    found = Deployment.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "instances.yaml of openim-direct"}
    return json.dumps(head | found | {"title": head["title"]}, indent=2)


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
    sections: list[tuple[str, str, type[Section]]] = [("", "", Deployment)]
    for key, field in Deployment.keys().items():
        section = section_of(field)
        if section is not None:
            sections.append((key, f"{key}.<id>." if get_origin(field.annotation) is dict else f"{key}.", section))
    return _HEAD + "".join(line for title, prefix, section in sections for line in _table(title, prefix, section))


def _table(title: str, prefix: str, section: type[Section]) -> Iterator[str]:
    yield f"\n## {title}\n\n{section.__doc__}\n" if title else ""
    yield "\n| key | meaning | value | default |\n|---|---|---|---|\n"
    # As they are written in a file.
    defaults = section.model_construct().model_dump(mode="json", warnings=False)
    for key, field in section.keys().items():
        if section_of(field) is None and not field.deprecated:
            examples = "".join(f" Such as `{example}`." for example in field.examples or ())
            default = "required" if field.is_required() else _default(defaults[key])
            yield f"| `{prefix}{key}` | {field.description}{examples} | {_value(field)} | {default} |\n"


def _default(value: Any) -> str:
    words = {True: "`true`", False: "`false`", None: ""}
    return words[value] if value is None or isinstance(value, bool) else f"`{value}`" if value not in ("", []) else ""


def _value(field: FieldInfo) -> str:
    kind = written(field)
    if kind is None:
        choices = get_args(field.annotation)
        return "list" if get_origin(field.annotation) is tuple else " or ".join(f"`{choice}`" for choice in choices)
    words = "secret" if secret_kind(field) else kind.words
    shown = duration_of if words == "duration" else str
    limits = [shown(bound) for bound in bounds(field) if bound is not None]
    return f"{words}, {' to '.join(limits)}" if limits else words
