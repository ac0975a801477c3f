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
from app.records import mysql, sqlite

log = logging.getLogger(__name__)

T = TypeVar("T")


class Database:
    """One process's connections to the records' database.

    :param url: `sqlite:///...` or `mysql+pymysql://...`.
    :param run_blocking: runs what blocks in SQLite (`sqlite.RunBlocking`); None calls it directly. PyMySQL needs none: it
        waits in Python's sockets, which gevent makes cooperate.
    :param patience: seconds that MySQL may take for a statement.
    :param ca_file: see `mysql.create_engine`.
    """

    def __init__(
        self,
        url: str,
        run_blocking: sqlite.RunBlocking | None = None,
        patience: int = 8,
        ca_file: str | None = None,
    ) -> None:
        parsed = sa.make_url(url)
        self._run_blocking = _call
        if parsed.get_backend_name() == "sqlite":
            self._run_blocking = run_blocking or _call
            self._readers = sqlite.create_engine(parsed, sqlite.READERS, self._run_blocking)
            self._writers = sqlite.create_engine(parsed, sqlite.WRITERS, self._run_blocking)
        else:
            self._readers = self._writers = mysql.create_engine(parsed, ca_file, patience)
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
        except Exception as e:
            # Anything: drivers let out what is of neither their classes nor SQLAlchemy's (RuntimeError for a login that they
            # cannot do, struct.error for an answer that is not a database's), and none of it is the client's fault.
            raise _failure(e) from e
        finally:
            metrics.records_called(call, result, time.perf_counter() - start)


def _call(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    return function(*args, **options)


def _failure(error: Exception) -> DatabaseError:
    # SQLAlchemy's text holds the statement and its values; the driver's holds what went wrong.
    cause = (error.orig or error) if isinstance(error, sa.exc.DBAPIError) else error
    number, cure = mysql.number(cause), mysql.cure(cause)
    kind = type(cause).__name__ if number is None else f"{type(cause).__name__} {number}"
    text = str(cause if isinstance(cause, OSError) or not cause.args else cause.args[-1]) or kind
    said = f"the records database says: {text} ({kind})" + (f"; {cure}" if cure else "")
    log.error("%s", said)
    return DatabaseError(f"the records database cannot serve now ({kind}); try again", said)
