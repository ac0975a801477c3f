"""Records what the current request has done so far, for its log line and for those it calls.

In a context variable, not in arguments: the storage and the database are called from many places that know of no request.
Each thread and each greenlet has a context of its own.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass, field

_ODD = re.compile(r"[^A-Za-z0-9._:-]")
#: Characters of an operationID that are passed on and logged.
_MAX_OPERATION = 64


@dataclass(slots=True)
class Trail:
    """Holds what one request did."""

    #: The client's operationID, as it can stand in a header and in a log line.
    operation: str
    user: str = ""
    #: The answer's errCode.
    code: int = 0
    #: The instance that answered in this one's place.
    forwarded_to: str = ""
    #: Seconds by what was waited for: `storage`, `records`, `forward`.
    parts: dict[str, float] = field(default_factory=dict)


_current: ContextVar[Trail | None] = ContextVar("trail", default=None)


def begin(operation: str) -> Trail:
    """Begin the next request of this thread or greenlet; the HTTP layer writes down what it learns of it."""
    trail = Trail(_ODD.sub("_", operation[:_MAX_OPERATION]))
    _current.set(trail)
    return trail


def end() -> None:
    _current.set(None)


def operation() -> str:
    """Return the current request's operationID, or nothing."""
    return trail.operation if (trail := _current.get()) else ""


def took(part: str, seconds: float) -> None:
    """Add to the time that the request waited for `storage`, `records` or `forward`."""
    if trail := _current.get():
        trail.parts[part] = trail.parts.get(part, 0.0) + seconds
