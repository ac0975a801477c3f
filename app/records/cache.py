"""Remembers records that were read a moment ago. Hot names cost the database one read a second for each worker, and views
of known names go on for a while when the database cannot serve."""

from __future__ import annotations

import time

from cachetools import TTLCache

from app.core.errors import DatabaseError
from app.core.model import Record
from app.records.store import Records

#: Seconds for which a record is served without a read, and when the read fails.
FRESH = 1.0
STALE = 300.0
#: Records: some MiB a worker.
_MOST = 4_000


class RecordCache:
    """One worker's own. Names without a record are not remembered: they may be uploaded any moment."""

    def __init__(self, records: Records) -> None:
        self._records = records
        # No lock: greenlets do not change in the middle of it, and each worker has its own.
        self._known: TTLCache[str, tuple[Record, float]] = TTLCache(_MOST, STALE, timer=time.monotonic)

    def get(self, name: str) -> Record | None:
        """
        :raises DatabaseError: the database cannot serve, and the name was not read lately.
        """
        known, now = self._known.get(name), time.monotonic()
        if known is not None and now - known[1] < FRESH:
            return known[0]
        try:
            record = self._records.get(name)
        except DatabaseError:
            if known is None:
                raise
            return known[0]
        if record is None:
            self._known.pop(name, None)
        else:
            self._known[name] = record, now
        return record

    def add(self, record: Record) -> None:
        self._records.add(record)
