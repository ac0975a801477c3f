"""Executes statements, one at a time and each committed by itself: the one place where they are counted and timed, and where
their failures become DatabaseError."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from app.core.errors import DatabaseError
from app.observability import metrics
from app.records import sqlite

log = logging.getLogger(__name__)


class Database:
    """One process's connections to the records' database.

    :param url: `sqlite:///...` or `mysql+pymysql://...`.
    :param run_blocking: runs SQLite's blocking calls (`sqlite.RunBlocking`); None calls them directly. PyMySQL needs none:
        it waits in Python's sockets, which gevent makes cooperate.
    """

    def __init__(self, url: str, run_blocking: sqlite.RunBlocking | None = None) -> None:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            self._readers = sqlite.create_engine(parsed, sqlite.READERS, run_blocking)
            self._writers = sqlite.create_engine(parsed, sqlite.WRITERS, run_blocking)
        else:
            self._readers = self._writers = _mysql_engine(parsed)
        self.dialect = self._readers.dialect.name

    def rows(self, call: str, statement: sa.Select[Any], values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The rows that a query finds.

        :param call: what the metrics count it under.
        :raises DatabaseError: the database cannot serve.
        """
        with self._connection(call, self._readers) as connection:
            return connection.execute(statement, values).all()

    def write(self, call: str, statement: sa.Executable, values: Mapping[str, Any] | None = None) -> int:
        """Executes a statement that writes; how many rows an UPDATE or DELETE matched.

        :raises DatabaseError: the database cannot serve.
        """
        with self.writing(call) as connection:
            return connection.execute(statement, values).rowcount

    def writing(self, call: str) -> AbstractContextManager[Connection]:
        """A connection for several statements that belong together, counted as one call."""
        return self._connection(call, self._writers)

    def close(self) -> None:
        self._readers.dispose()
        self._writers.dispose()

    @contextmanager
    def _connection(self, call: str, engine: Engine) -> Iterator[Connection]:
        start, result = time.perf_counter(), "failed"
        try:
            with engine.connect() as connection:
                yield connection
            result = "done"
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as e:
            # SQLAlchemy's text holds the statement and its values; the driver's holds what went wrong.
            cause = e.orig if isinstance(e, sa.exc.DBAPIError) else e
            log.error("records database: %s: %s", type(cause).__name__, cause)
            raise DatabaseError(f"the records database cannot serve now ({type(cause).__name__}); try again") from e
        finally:
            metrics.records_called(call, result, time.perf_counter() - start)


def _mysql_engine(url: sa.URL) -> Engine:
    return sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=16,
        max_overflow=16,
        pool_timeout=5,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={"connect_timeout": 3, "read_timeout": 8, "write_timeout": 8},
    )
