"""Writes to records in SQLite under gevent, while another process holds the file's lock; prints what the greenlets saw.

Run by test_sqlite.py as `python -m gevent.monkey --module ...`, which patches the process before this is imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.threadpool import ThreadPool

from app.core.model import Record
from app.records import sqlite
from app.records.store import Records

_LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("COMMIT")
"""


def main(file: str, where: str, seconds: str) -> None:
    pool = ThreadPool(sqlite.THREADS)

    def run_blocking(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return pool.apply(function, args, kwargs)

    records = Records(f"sqlite:///{file}", run_blocking=run_blocking if where == "pool" else None)

    def record(name: str) -> Record:
        return Record(name, "u1", "m1", "k", "h", "e", 1, "", "", 1)

    records.put(record("before"))
    longest, reads, writing = 0.0, [], True

    def tick() -> None:
        nonlocal longest
        last = time.perf_counter()
        while writing:
            gevent.sleep(0.01)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()

    def read() -> None:
        while writing:
            start = time.perf_counter()
            assert records.get("before") is not None
            reads.append(time.perf_counter() - start)
            gevent.sleep(0.05)

    with subprocess.Popen([sys.executable, "-c", _LOCK, file, seconds], stdout=subprocess.PIPE) as lock:
        assert lock.stdout is not None
        lock.stdout.readline()
        watchers = [gevent.spawn(tick), gevent.spawn(read)]
        gevent.sleep(0.1)
        start = time.perf_counter()
        # More than there are threads.
        names = [f"during/{n}" for n in range(30)]
        gevent.joinall([gevent.spawn(records.put, record(name)) for name in names], raise_error=True)
        waited = time.perf_counter() - start
        writing = False
        gevent.joinall(watchers, raise_error=True)
    written = sum(records.get(name) is not None for name in names)
    print(json.dumps({"waited": waited, "gap": longest, "reads": len(reads), "slowest": max(reads), "written": written}))
    records.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
