"""Log lines: JSON, one object a line, where a program reads them, and for people at a terminal plain text."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

_STDERR = 2


class JSONLines(logging.Formatter):
    """What the program says beside its requests, in the same form."""

    def __init__(self, instance: str) -> None:
        super().__init__()
        self._instance = instance

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname,
            "instance": self._instance,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["stack"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


def configure(instance: str, form: str = "auto") -> None:
    """Set up logging for one instance's process.

    :param form: `json`, `text`, or `auto`: text on a terminal.
    """
    handler = logging.StreamHandler()
    if _as_json(form):
        handler.setFormatter(JSONLines(instance))
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s {instance} %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def _as_json(form: str) -> bool:
    return form == "json" or (form == "auto" and not sys.stderr.isatty())


def writer(form: str) -> Callable[[Mapping[str, Any]], None]:
    """What writes an entry for each request, to stderr."""
    return _write_json if _as_json(form) else _write_text


def _write_json(entry: Mapping[str, Any]) -> None:
    """One request. Written at once, so that lines of several workers do not mix (pipes take 4 KiB in one piece)."""
    os.write(_STDERR, msgspec.json.encode({"time": _time(time.time()), "level": "INFO", **entry}) + b"\n")


def _write_text(entry: Mapping[str, Any]) -> None:
    parts = ", ".join(f"{name[:-3]} {value}" for name, value in entry.items() if name.endswith("_ms"))
    line = (
        f"{time.strftime('%H:%M:%S')} {entry['instance']} {entry['status']} {entry['errCode']:>5} {entry['ms']:8.1f} ms  "
        f"{entry['method']} {entry['path']}  {entry.get('user', '')} {entry['pin']} {entry['operationID']}"
        f"{' -> ' + entry['forwardedTo'] if 'forwardedTo' in entry else ''}{f' ({parts})' if parts else ''}\n"
    )
    # Control characters would be the terminal's, and a newline another line.
    os.write(
        _STDERR, "".join(c if c.isprintable() or c == "\n" else "?" for c in line[:-1]).replace("\n", "?").encode() + b"\n"
    )


def _time(seconds: float) -> str:
    """RFC 3339, UTC, with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"
