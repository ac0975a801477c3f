"""Opens SQLite for several processes at once, and keeps its blocking calls off the threads that must not wait.

SQLite waits in C for a lock or a disk. Under gevent that would stop every request of a worker: there each call that may wait
is handed to `run_blocking`, which runs it in another thread and lets the greenlets go on meanwhile.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
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


def create_engine(url: sa.URL, connections: int, run_blocking: RunBlocking) -> Engine:
    """
    :param url: of a file, which is created on the first connection, with its folder.
    """
    # Every call is one statement, so autocommit saves a BEGIN and a COMMIT each.
    engine = sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        # So there is nothing to roll back when a connection is given back.
        pool_reset_on_return=None,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT,
        connect_args={"check_same_thread": False},
    )

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, args: Any, options: Any) -> Any:
        return run_blocking(_connect, *args, **options)

    return engine


def _connect(file: str, **options: Any) -> sqlite3.Connection:
    """WAL lets readers and one writer of several processes go on side by side."""
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    connection: sqlite3.Connection = sqlite3.connect(file, **options)
    try:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        # Changing to WAL needs the file alone for a moment, and does not honour busy_timeout; the mode stays in the file.
        deadline = time.monotonic() + _BUSY_MS / 1000
        while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        # FULL: an upload that was answered survives a power cut, not only a crash of the process.
        connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
