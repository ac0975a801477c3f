"""Opens SQLite for several processes at once, and keeps its blocking calls off the threads that must not wait.

SQLite waits in C for a lock or a disk. Under gevent that would stop every request of a worker: there each blocking call is
handed to `run_blocking`, which runs it in another thread and lets the greenlets go on meanwhile.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

#: Calls a function with the arguments after it, where it may block, and gives back what it returns or raises.
RunBlocking = Callable[..., Any]

#: Connections of a process that read. WAL lets them go on while a write waits.
READERS = 8
#: Connections of a process that write. SQLite writes one after the other, and who waits in it polls, up to 100 ms apart; who
#: waits for the connection instead is woken at once, and leaves the threads to those that read.
WRITERS = 1
#: Threads with which no statement waits for a thread.
THREADS = READERS + WRITERS

#: Milliseconds that a write waits for another process's write to end. Writes take a millisecond each.
_BUSY_MS = 8000
#: Seconds that a statement waits for a connection.
_POOL_TIMEOUT = 8


def create_engine(url: sa.URL, connections: int, run_blocking: RunBlocking | None = None) -> Engine:
    """
    :param url: of a file, which is created on the first connection, with its folder.
    :param run_blocking: None calls directly.
    """
    arguments: dict[str, Any] = {"check_same_thread": False}
    if run_blocking is not None:
        arguments["factory"] = connection_class(run_blocking)
    # Every call is one statement, so autocommit saves a BEGIN and a COMMIT each.
    engine = sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT,
        connect_args=arguments,
    )

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, args: Any, options: Any) -> sqlite3.Connection:
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
        connection: sqlite3.Connection
        if run_blocking is None:
            connection = sqlite3.connect(*args, **options)
        else:
            connection = run_blocking(sqlite3.connect, *args, **options)
        return connection

    sa.event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: sqlite3.Connection, _: Any) -> None:
    """WAL lets readers and one writer of several processes go on side by side."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    # Changing to WAL needs the file alone for a moment, and does not honour busy_timeout; the mode stays in the file.
    deadline = time.monotonic() + _BUSY_MS / 1000
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    # FULL: an upload that was answered survives a power cut, not only a crash of the process.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def connection_class(run_blocking: RunBlocking) -> type[sqlite3.Connection]:
    """A connection whose calls that may wait for a lock or the disk go through `run_blocking`."""

    class Cursor(sqlite3.Cursor):
        """Reads the rows in the same call that executes: a change of threads costs more than most statements, and no
        statement of ours has many rows."""

        _rows: Iterator[Any] = iter(())

        def execute(self, sql: str, parameters: Any = ()) -> Cursor:
            self._rows = iter(run_blocking(self._execute_and_fetch, sql, parameters))
            return self

        def _execute_and_fetch(self, sql: str, parameters: Any) -> list[Any]:
            super().execute(sql, parameters)
            return super().fetchall()

        def executemany(self, sql: str, parameters: Any) -> Cursor:
            run_blocking(super().executemany, sql, parameters)
            return self

        def __next__(self) -> Any:
            return next(self._rows)

        def fetchone(self) -> Any:
            return next(self._rows, None)

        def fetchmany(self, size: int | None = 1) -> list[Any]:
            return list(islice(self._rows, size))

        def fetchall(self) -> list[Any]:
            return list(self._rows)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def commit(self) -> None:
            if self.in_transaction:
                run_blocking(super().commit)

        def rollback(self) -> None:
            if self.in_transaction:
                run_blocking(super().rollback)

        def close(self) -> None:
            # The last one to close writes the log back into the file.
            run_blocking(super().close)

    return Connection
