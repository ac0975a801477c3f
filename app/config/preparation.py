"""Makes the settings of a document: variables replaced, secrets read from their files, what is not set left out."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from app.config.document import NULL
from app.config.section import Section, secret_kind, section_of
from app.config.values import VARIABLE, Secret


class Unread:
    """Stands for a value that has a fault already."""


UNREAD = Unread()


class Preparation:
    """
    :param base: folder from which relative files are meant.
    :ivar faults: (path in the file, what is wrong).
    :ivar holds_secrets: whether one stands in the document itself, and not in the environment or a file of its own.
    """

    def __init__(self, environ: Mapping[str, str], base: Path) -> None:
        self._environ = environ
        self._base = base
        self.faults: list[tuple[str, str]] = []
        self.warnings: list[str] = []
        self.holds_secrets = False

    def section(self, values: Mapping[str, Any], model: type[Section], path: str = "") -> dict[str, Any]:
        """The values of one section; what is not of its keys is handed on as it is."""
        known = model.keys()
        files = {f"{key}_file": key for key, field in known.items() if secret_kind(field)}
        at = f"{path}." if path else ""
        prepared = {
            key: self._value(value, known[key], f"{at}{key}") if key in known else value
            for key, value in values.items()
            if key not in files
        }
        # What is nothing is a default.
        prepared = {key: value for key, value in prepared.items() if value is not None or key not in known}
        for file, key in files.items():
            named = values.get(file)
            if isinstance(named, str):
                named = self._expand(named, f"{at}{file}")
            if named is None or named is NULL or named == "":
                continue
            if key in prepared:
                self.faults.append((f"{at}{file}", f"stands beside {key}: write one of the two"))
            else:
                prepared[key] = self._secret_in(named, f"{at}{file}")
        return prepared

    def _value(self, value: Any, field: FieldInfo, path: str) -> Any:
        """None where it means that the key is not set."""
        kind = secret_kind(field)
        if value is NULL:
            return NULL if kind is Secret else None
        if isinstance(value, str):
            if kind is not None and "${" not in value and not path.endswith("access_key"):
                self.holds_secrets |= kind is Secret or kind(value).masked() != value
            return self._expand(value, path) or None
        if isinstance(value, list):
            self.holds_secrets |= path == "auth.secrets" and any(isinstance(s, str) and "${" not in s for s in value)
            return [self._expand(item, f"{path}[{n}]") if isinstance(item, str) else item for n, item in enumerate(value)]
        section = section_of(field)
        if section is None or not isinstance(value, dict):
            return value
        if get_origin(field.annotation) is not dict:
            return self.section(value, section, path)
        entries: dict[str, Any] = {}
        for key, entry in value.items():
            entry = {} if entry is None or entry is NULL else entry
            entries[key] = self.section(entry, section, f"{path}.{key}") if isinstance(entry, dict) else entry
        return entries

    def _expand(self, text: str, path: str) -> str | Unread:
        missing = []

        def replace(match: re.Match[str]) -> str:
            name, default = match.group(1), match.group(2)
            value = self._environ.get(name) or default
            if value is None:
                missing.append(name)
            return value or ""

        expanded = VARIABLE.sub(replace, text)
        for name in missing:
            self.faults.append((path, f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"))
        return UNREAD if missing else expanded

    def _secret_in(self, named: Any, path: str) -> str | Unread:
        if isinstance(named, Unread):
            return named
        if not isinstance(named, str):
            self.faults.append((path, "must be a string"))
            return UNREAD
        file = self._base / named
        try:
            text = file.read_text(encoding="utf-8").strip()
            if file.stat().st_mode & stat.S_IROTH:
                self.warnings.append(f"{file} is a secret and every user of this machine may read it: chmod o-r it")
        except (OSError, ValueError) as e:
            self.faults.append((path, f"cannot be read: {e.strerror if isinstance(e, OSError) else 'not UTF-8'}"))
            return UNREAD
        if not text:
            self.faults.append((path, "is an empty file"))
        return text or UNREAD
