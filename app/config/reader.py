"""Reads one mapping of a YAML file after another, and notes every fault by its path in the file instead of stopping."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

#: Node and instance IDs stand in cookies, URLs and balancer maps.
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d)?")
_UNITS = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def load_yaml(text: str) -> Any:
    """A YAML document.

    :raises ValueError: it is none.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as e:
        raise ValueError(str(e)) from None


def dump_yaml(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


class Secret(str):
    """A string that does not show in `repr`, and so in no log line of a structure that holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Loader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys; here a second `i1:` is a fault, not a silent loss of an instance."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (str, int, float, bool)) or key is None:
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} is there twice", key_node.start_mark
                    )
                seen.add(key)
        return super().construct_mapping(node, deep)


class Section:
    """One mapping of the file. Getters note faults instead of raising, and answer a stand-in so that reading goes on."""

    def __init__(
        self,
        values: Any,
        path: str,
        faults: list[tuple[str, str]],
        environ: Mapping[str, str],
        warnings: list[str] | None = None,
    ) -> None:
        self.path = path
        self.faults = faults
        self.environ = environ
        self.warnings: list[str] = [] if warnings is None else warnings
        self.read: set[str] = set()
        if values is not None and not isinstance(values, dict):
            self.fault("", f"must be a mapping, is {_kind(values)}")
        self.values: dict[Any, Any] = values if isinstance(values, dict) else {}

    def at(self, key: Any) -> str:
        return f"{self.path}.{key}" if self.path and key != "" else str(key) or self.path

    def fault(self, key: Any, text: str) -> None:
        self.faults.append((self.at(key), text))

    def section(self, key: str, required: bool = False) -> Section:
        self.read.add(key)
        if required and self.values.get(key) in (None, {}):
            self.fault(key, "is missing, or empty")
        return Section(self.values.get(key), self.at(key), self.faults, self.environ, self.warnings)

    def string(self, key: str, default: str | None = None, required: bool = False) -> str | None:
        self.read.add(key)
        value = self.values.get(key)
        if value is None:
            if required:
                self.fault(key, "is missing")
            return default
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            self.fault(key, f"must be a string, is {_kind(value)}")
            return default
        expanded = self.expand(key, str(value))
        if expanded == "":
            if required:
                self.fault(key, "is empty")
            return default
        return expanded

    def expand(self, key: Any, value: str) -> str:
        def replace(match: re.Match[str]) -> str:
            name, default = match.group(1), match.group(2)
            found = self.environ.get(name)
            if found:
                return found
            if default is not None:
                return default
            self.fault(key, f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
            return "unset"

        return _VARIABLE.sub(replace, value)

    def secret(self, key: str, base: Path) -> Secret | None:
        """A string that may also lie in a file of its own, named by `<key>_file` (relative to this one)."""
        value = self.string(key)
        named = self.string(f"{key}_file")
        if named is None:
            return None if value is None else Secret(value)
        if value is not None:
            self.fault(f"{key}_file", f"stands beside {key}: write one of the two")
            return None
        try:
            text = (base / named).read_text(encoding="utf-8").strip()
            if (base / named).stat().st_mode & stat.S_IROTH:
                self.warnings.append(f"{base / named} is a secret and every user of this machine may read it: chmod o-r it")
        except (OSError, UnicodeDecodeError) as e:
            self.fault(f"{key}_file", f"cannot be read: {e.strerror if isinstance(e, OSError) else 'not UTF-8'}")
            return Secret("unread")
        if not text:
            self.fault(f"{key}_file", "is an empty file")
        return Secret(text)

    def strings(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        self.read.add(key)
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(v, (str, int)) and not isinstance(v, bool) for v in value):
            self.fault(key, "must be a list of strings")
            return default
        return tuple(self.expand(f"{key}[{i}]", str(v)) for i, v in enumerate(value))

    def boolean(self, key: str, default: bool) -> bool:
        self.read.add(key)
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fault(key, f"must be true or false, is {_kind(value)}")
            return default
        return value

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        self.read.add(key)
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, str):
            value = self.expand(key, value)
            value = int(value) if re.fullmatch(r"-?\d{1,18}", value) else value
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(key, f"must be a whole number, is {_kind(value)}")
            return default
        if not low <= value <= high:
            self.fault(key, f"must be from {low} to {high}, is {value}")
            return default
        return value

    def duration(self, key: str, default: int | None, low: int, high: int) -> int | None:
        """Seconds, written as a number or as `90s`, `15m`, `24h`, `7d`."""
        self.read.add(key)
        value = self.values.get(key)
        if value is None:
            return default
        seconds = None if isinstance(value, bool) else seconds_of(self.expand(key, str(value)))
        if seconds is None:
            self.fault(key, "must be a duration such as 90s, 15m, 24h or 7d")
            return default
        if not low <= seconds <= high:
            self.fault(key, f"must be from {_human(low)} to {_human(high)}, is {_human(seconds)}")
            return default
        return seconds

    def url(self, key: str, required: bool = False, path_allowed: bool = False) -> str | None:
        """An http(s) URL without its last slash."""
        text = self.string(key, required=required)
        if text is None:
            return None
        fault = url_fault(text, path_allowed)
        if fault:
            self.fault(key, fault)
            return None
        return text.rstrip("/")

    def urls(self, key: str) -> tuple[str, ...]:
        """A list of http(s) URLs without paths."""
        found = []
        for n, text in enumerate(self.strings(key)):
            fault = url_fault(text, path_allowed=False)
            if fault:
                self.fault(f"{key}[{n}]", fault)
            else:
                found.append(text.rstrip("/"))
        if len(set(found)) != len(found):
            self.fault(key, "names one of them twice")
        return tuple(found)

    def ids(self) -> list[tuple[str, Section]]:
        """The entries of a mapping whose keys are IDs."""
        entries: list[tuple[str, Section]] = []
        folded: dict[str, str] = {}
        for key, value in self.values.items():
            self.read.add(key)
            if isinstance(key, bool) or not isinstance(key, (str, int)) or not _ID.fullmatch(str(key)):
                self.fault(key, "an ID is 1 to 32 letters, digits, - and _ (in quotes where YAML reads it otherwise)")
                continue
            other = folded.setdefault(str(key).lower(), str(key))
            if other != str(key):
                # nginx compares the values of a map without case.
                self.fault(key, f"differs from {other} only in case, and balancers compare without it")
            entries.append((str(key), Section(value, self.at(key), self.faults, self.environ, self.warnings)))
        return entries

    def done(self) -> None:
        for key in self.values:
            if key not in self.read:
                known = ", ".join(sorted(map(str, self.read)))
                self.fault(key, f"unknown key; known here: {known}")


def seconds_of(text: str) -> int | None:
    """Of `90s`, `15m`, `24h`, `7d` or a plain number; None where it is no duration."""
    match = _DURATION.fullmatch(text)
    return None if match is None else int(match.group(1)) * _UNITS[match.group(2)]


def url_fault(text: str, path_allowed: bool) -> str | None:
    """What is wrong with an URL. Never repeats the URL: it may hold a password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as e:
        return f"is no URL: {e}"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://"
    if not parts.hostname or not re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname) or port == 0:
        return "must name a host, and a port from 1 to 65535 where it names one"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user or password"
    if parts.query or parts.fragment or "?" in text or "#" in text:
        return "must not hold a query or fragment"
    path = parts.path.rstrip("/")
    if path and not path_allowed:
        return "must not hold a path"
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        return "its path must be plain segments of letters, digits and . _ ~ -"
    return None


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {bool: "true or false", dict: "a mapping", list: "a list", str: "a string", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def _human(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
