"""Limits what one user may begin in an hour. Counts in Redis where there is one, else in each worker on its own."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol

from cachetools import TTLCache

from app.core.errors import NoPermissionError

_HOUR = 3600


class Counters(Protocol):
    def count(self, key: str, by: int, seconds: int) -> int:
        """Add to a counter that lives for at least `seconds`; its new value.

        :raises DatabaseError: it cannot be counted now.
        """


class MemoryCounters:
    """For deployments without Redis: bounded, forgotten at a restart, and each worker counts for itself."""

    def __init__(self) -> None:
        self._values: TTLCache[str, int] = TTLCache(100_000, _HOUR)
        self._lock = threading.Lock()

    def count(self, key: str, by: int, seconds: int) -> int:
        with self._lock:
            self._values[key] = value = self._values.get(key, 0) + by
        return value


@dataclass
class Limits:
    counters: Counters
    #: Begun an hour and user; None is without limit.
    uploads: int | None
    #: Declared bytes an hour and user.
    total: int | None

    def begin(self, user: str, size: int) -> None:
        """Count an upload that is about to begin.

        :raises NoPermissionError: it is over the user's limit of this hour; says when the next begins.
        """
        hour, gone = divmod(int(time.time()), _HOUR)
        for what, by, most in (("uploads", 1, self.uploads), ("bytes", size, self.total)):
            if most is not None and self.counters.count(f"openim-direct:{what}:{hour}:{user}", by, _HOUR) > most:
                raise NoPermissionError(f"over {most} {what} in this hour; the next begins in {_HOUR - gone} s")
