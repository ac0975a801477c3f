"""Executes statements, one at a time and each committed by itself: the one place where they are counted and timed, and where
their failures become DatabaseError."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from app.core.errors import DatabaseError
from app.observability import metrics
from app.records import sqlite

log = logging.getLogger(__name__)

T = TypeVar("T")


class Database:
    """One process's connections to the records' database.

    :param url: `sqlite:///...` or `mysql+pymysql://...`.
    :param run_blocking: runs what blocks in SQLite (`sqlite.RunBlocking`); None calls it directly. PyMySQL needs none: it
        waits in Python's sockets, which gevent makes cooperate.
    :param patience: seconds that MySQL may take for a statement.
    """

    def __init__(self, url: str, run_blocking: sqlite.RunBlocking | None = None, patience: int = 8) -> None:
        parsed = sa.make_url(url)
        self._run_blocking = _call
        if parsed.get_backend_name() == "sqlite":
            self._run_blocking = run_blocking or _call
            self._readers = sqlite.create_engine(parsed, sqlite.READERS, self._run_blocking)
            self._writers = sqlite.create_engine(parsed, sqlite.WRITERS, self._run_blocking)
        else:
            self._readers = self._writers = _mysql_engine(parsed, patience)
        self.dialect = self._readers.dialect.name

    def rows(self, call: str, statement: sa.Select[Any], values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The rows that a query finds.

        :param call: what the metrics count it under.
        :raises DatabaseError: the database cannot serve.
        """
        return self._run(call, self._readers, lambda connection: connection.execute(statement, values).all())

    def write(self, call: str, statement: sa.Executable, values: Mapping[str, Any] | None = None) -> int:
        """Executes a statement that writes; how many rows an UPDATE or DELETE matched. Raises as `rows`."""
        return self.change(call, lambda connection: connection.execute(statement, values).rowcount)

    def change(self, call: str, do: Callable[[Connection], T]) -> T:
        """Several statements that belong together, counted as one call. Raises as `rows`."""
        return self._run(call, self._writers, do)

    def close(self) -> None:
        for engine in (self._readers, self._writers):
            # The last one to close writes SQLite's log back into the file.
            self._run_blocking(engine.dispose)

    def _run(self, call: str, engine: Engine, do: Callable[[Connection], T]) -> T:
        start, result = time.perf_counter(), "failed"
        try:
            # Who waits for a connection waits here; another thread only executes and reads the rows.
            with engine.connect() as connection:
                answer: T = self._run_blocking(do, connection)
            result = "done"
            return answer
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as e:
            # SQLAlchemy's text holds the statement and its values; the driver's holds what went wrong.
            cause = e.orig if isinstance(e, sa.exc.DBAPIError) else e
            log.error("records database: %s: %s", type(cause).__name__, cause)
            raise DatabaseError(f"the records database cannot serve now ({type(cause).__name__}); try again") from e
        finally:
            metrics.records_called(call, result, time.perf_counter() - start)


def _call(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    return function(*args, **options)


def _mysql_engine(url: sa.URL, patience: int) -> Engine:
    return sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=16,
        max_overflow=16,
        pool_timeout=5,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={"connect_timeout": 3, "read_timeout": patience, "write_timeout": patience},
    )
