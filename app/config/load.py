"""instances.yaml to the settings of a deployment. The only reader of settings, and of the variables that they name.

Every fault of a file is found in one pass and named by its path in the file (`nodes.m1.endpoint`). `${VAR}` and
`${VAR:-default}` are replaced inside strings, after YAML was parsed, so that a value never becomes structure.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from app.config.document import load_yaml
from app.config.models import Deployment
from app.config.rules import breaches, complete
from app.config.section import Fault, Reading, Section, bounds, description, section_of
from app.config.values import kind_of


class ConfigError(Exception):
    """A file that cannot be used; `faults` are (path in the file, what is wrong and what to write instead)."""

    def __init__(self, source: str, faults: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{source}: {path}: {text}" if path else f"{source}: {text}" for path, text in faults))
        self.faults = faults


def load(path: str | Path, environ: Mapping[str, str] = os.environ) -> Deployment:
    """Read a deployment file.

    :raises ConfigError: with every fault of the file.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        others_read = bool(path.stat().st_mode & stat.S_IROTH)
    except FileNotFoundError:
        raise ConfigError(str(path), [("", "no such file; name it with --config or OPENIM_DIRECT_CONFIG")]) from None
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is not UTF-8"
        raise ConfigError(str(path), [("", f"cannot be read: {reason}")]) from None
    return parse(text, environ, path.resolve().parent, str(path), others_read)


def parse(
    text: str, environ: Mapping[str, str], base: Path, source: str = "instances.yaml", others_read: bool = False
) -> Deployment:
    """Read a deployment from its text; relative files are meant from `base`.

    :param others_read: whether every user of this machine may read the text.
    :raises ConfigError: with every fault of the text.
    """
    try:
        document = load_yaml(text)
    except ValueError as e:
        raise ConfigError(source, [("", f"not YAML: {e}")]) from None
    if not isinstance(document, dict):
        raise ConfigError(source, [("", "must be a mapping with public_url, auth, nodes and instances")])
    reading = Reading(environ, base)
    errors: list[ErrorDetails] = []
    try:
        deployment = Deployment.model_validate(document, context=reading)
    except ValidationError as e:
        errors = e.errors(include_url=False)
        deployment = Deployment.model_validate(document, context=Reading(environ, base, partial=True))
    faults = [_fault(error) for error in errors]
    faults += breaches(deployment, base, [_path(error["loc"]) for error in errors])
    if faults:
        raise ConfigError(source, faults)
    warnings = reading.warnings
    if others_read and reading.holds_secrets:
        warnings.insert(0, f"{source} holds secrets and every user of this machine may read it: chmod o-r {source}")
    if "threads" in deployment.server.model_fields_set:
        warnings.append("server.threads has no meaning any more: write server.views and server.connections, or leave it out")
    deployment = complete(deployment, base)
    deployment._warnings = tuple(warnings)
    return deployment


def _fault(error: ErrorDetails) -> tuple[str, str]:
    """Path and text of a fault that pydantic found."""
    given, path = error["input"], _path(error["loc"])
    if isinstance(given, Fault):
        return f"{path}_file" if given.of_file else path, given.text
    match error["type"]:
        case "missing" | "too_short":
            return path, "is missing, or empty"
        case "value_error":
            return path, str(error["ctx"]["error"])
        case "greater_than_equal" | "less_than_equal":
            return path, f"must be from {bounds(_key_at(error['loc']))}"
        case "literal_error":
            return path, f"must be {error['ctx']['expected']}. {description(_key_at(error['loc']))}".replace("`", "")
    wanted = {"string_type": "a string", "tuple_type": "a list of strings"}.get(error["type"], "a mapping")
    return path, f"must be {wanted}, is {kind_of(given)}"


def _path(location: tuple[int | str, ...]) -> str:
    """`("instances", "i2", "node")` is `instances.i2.node`, and `("auth", "admins", 0)` is `auth.admins[0]`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in location).removeprefix(".")


def _key_at(location: tuple[int | str, ...]) -> FieldInfo:
    section: type[Section] = Deployment
    field = FieldInfo()
    for key in location:
        # IDs of entries and numbers of items are no keys.
        field = section.model_fields.get(str(key), field)
        section = section_of(field) or section
    return field
