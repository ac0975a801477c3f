"""Limits what one user may begin in an hour. Counts in Redis where there is one, else in each worker on its own."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from app.core.errors import NoPermissionError

_HOUR = 3600


class Counters(Protocol):
    def count(self, key: str, by: int, seconds: int) -> int:
        """Add to a counter that lives for `seconds` from its first use; its new value.

        :raises DatabaseError: it cannot be counted now.
        """


class MemoryCounters:
    """For deployments without Redis: bounded, forgotten at a restart, and each worker counts for itself."""

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._values: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def count(self, key: str, by: int, seconds: int) -> int:
        now = time.time()
        with self._lock:
            value, until = self._values.get(key, (0, now + seconds))
            if until <= now:
                value, until = 0, now + seconds
            if len(self._values) >= self._most:
                self._values = {k: v for k, v in self._values.items() if v[1] > now}
                if len(self._values) >= self._most:
                    self._values.clear()
            self._values[key] = value + by, until
            return value + by


class Limits:
    """
    :param uploads: begun an hour and user; None is without limit.
    :param total: declared bytes an hour and user.
    """

    def __init__(self, counters: Counters, uploads: int | None, total: int | None) -> None:
        self._counters = counters
        self._uploads = uploads
        self._total = total

    def begin(self, user: str, size: int) -> None:
        """Count an upload that is about to begin.

        :raises NoPermissionError: it is over the user's limit of this hour; says when the next begins.
        """
        hour = int(time.time()) // _HOUR
        wait = (hour + 1) * _HOUR - int(time.time())
        if self._uploads is not None:
            begun = self._counters.count(f"openim-direct:uploads:{hour}:{user}", 1, _HOUR)
            if begun > self._uploads:
                raise NoPermissionError(f"over {self._uploads} uploads in this hour; the next begins in {wait} s")
        if self._total is not None:
            total = self._counters.count(f"openim-direct:bytes:{hour}:{user}", size, _HOUR)
            if total > self._total:
                raise NoPermissionError(f"over {self._total} bytes in this hour; the next begins in {wait} s")
