"""Sets up log lines: JSON, one object a line, where a program reads them, and for people at a terminal plain text.

Each request is a line too: a record of `requests`, whose argument is a mapping of what there is to say.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import msgspec

requests = logging.getLogger("app.requests")
TEXT = "%(status)s %(errCode)5s %(ms)8.1f ms  %(method)s %(path)s  %(user)s %(pin)s %(operationID)s"


def log_request(entry: dict[str, Any]) -> None:
    """Write a line for a request. The record is made here: `Logger.info` would look for the caller in the stack first."""
    if requests.isEnabledFor(logging.INFO):
        requests.handle(logging.LogRecord(requests.name, logging.INFO, "", 0, TEXT, (entry,), None))


class JSONLines(logging.Formatter):
    """Writes a record as one JSON object; times are RFC 3339, UTC, with milliseconds."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, instance: str) -> None:
        super().__init__()
        self._instance = instance

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {"time": self.formatTime(record), "level": record.levelname, "instance": self._instance}
        if record.name == requests.name and isinstance(record.args, dict):
            entry |= record.args
        else:
            entry |= {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            entry["stack"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


class TextLines(logging.Formatter):
    """Writes a record for people."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name != requests.name or not isinstance(record.args, dict):
            return super().format(record)
        entry = record.args
        line = f"{self.formatTime(record, '%H:%M:%S')} {entry['instance']} {record.getMessage()}"
        if "forwardedTo" in entry:
            line += f" -> {entry['forwardedTo']}"
        if parts := ", ".join(f"{name[:-3]} {value}" for name, value in entry.items() if name.endswith("_ms")):
            line += f" ({parts})"
        # Control characters would be the terminal's, and a newline another line.
        return "".join(c if c.isprintable() else "?" for c in line)


def configure(instance: str, form: str = "auto", log_requests: bool = True) -> None:
    """Set up logging for one instance's process.

    :param form: `json`, `text`, or `auto`: text on a terminal.
    """
    # What no line shows need not be found out for each (Python's logging HOWTO, "Optimization"). The process is shown: by
    # gunicorn's own lines.
    logging.logThreads = logging.logMultiprocessing = False
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    text = f"%(asctime)s {instance} %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(JSONLines(instance) if as_json else TextLines(text))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    requests.setLevel(logging.INFO if log_requests else logging.WARNING)
