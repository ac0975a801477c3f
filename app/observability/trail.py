"""What the request that this thread is answering has done so far, for its log line and for those it calls.

In the thread, not in arguments: the storage and the database are called from many places that know of no request.
"""

from __future__ import annotations

import re
import threading

_ODD = re.compile(r"[^A-Za-z0-9._:-]")
#: Characters of an operationID that are passed on and logged.
MAX_OPERATION = 64


class Trail:
    """One request's."""

    __slots__ = ("code", "forwarded_to", "operation", "parts", "user")

    def __init__(self, operation: str) -> None:
        #: The client's operationID, as it can stand in a header and in a log line.
        self.operation = operation
        self.user = ""
        #: The answer's errCode.
        self.code = 0
        #: The instance that answered in this one's place.
        self.forwarded_to = ""
        #: Seconds by what was waited for: `storage`, `records`, `forward`.
        self.parts: dict[str, float] = {}


class _Current(threading.local):
    trail: Trail | None = None


_current = _Current()


def begin(operation: str) -> Trail:
    """Begin the next request of this thread."""
    trail = _current.trail = Trail(_ODD.sub("_", operation[:MAX_OPERATION]))
    return trail


def end() -> None:
    _current.trail = None


def set_user(user: str) -> None:
    if _current.trail is not None:
        _current.trail.user = user


def set_code(code: int) -> None:
    """The errCode of the answer."""
    if _current.trail is not None:
        _current.trail.code = code


def set_forwarded(instance: str) -> None:
    """Who answered in this instance's place."""
    if _current.trail is not None:
        _current.trail.forwarded_to = instance


def operation() -> str:
    """The current request's operationID, or nothing."""
    trail = _current.trail
    return "" if trail is None else trail.operation


def took(part: str, seconds: float) -> None:
    trail = _current.trail
    if trail is not None:
        trail.parts[part] = trail.parts.get(part, 0.0) + seconds
