"""SQLite's blocking calls run where `run_blocking` puts them, and nowhere else."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.pool import Pool

from app.core.errors import DatabaseError
from app.records.database import Database
from app.records.store import Records
from tests.unit.records.test_store import record

ROOT = Path(__file__).resolve().parents[3]


class Elsewhere:
    """Runs functions in threads of its own, and remembers them."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(4, thread_name_prefix="elsewhere")
        self.called: list[Any] = []

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.called.append(function)
        return self.executor.submit(function, *args, **kwargs).result()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    found = Elsewhere()
    yield found
    found.executor.shutdown()


@pytest.fixture
def statements() -> Iterator[list[tuple[str, str]]]:
    """What SQLite executes, each with the name of the thread it executes in: SQLite itself says so."""
    seen: list[tuple[str, str]] = []

    def trace(connection: Any, _: Any) -> None:
        assert isinstance(connection, sqlite3.Connection)
        connection.set_trace_callback(lambda sql: seen.append((sql, threading.current_thread().name)))

    event.listen(Pool, "connect", trace)
    yield seen
    event.remove(Pool, "connect", trace)


def test_every_blocking_call_runs_elsewhere(
    tmp_path: Path, elsewhere: Elsewhere, statements: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def connect(*args: Any, **options: Any) -> Any:
        opened.append(threading.current_thread().name.split("_")[0])
        return open_file(*args, **options)

    open_file = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", connect)
    records = Records(f"sqlite:///{tmp_path}/records.db", run_blocking=elsewhere)
    one, two = record("a", hash="h1", key="k/h1"), record("b", hash="h2", size=5)
    records.put(one)
    records.put(one)
    records.add(two)
    assert records.get("a") == one
    assert records.get("c") is None
    assert records.find("h2") == [two]
    assert records.page("", 10) == [one, two]
    assert records.absent(["a", "c"]) == ["c"]
    assert records.named_keys(["k/h1", "k/h3"], ["h1", "h3"], ["m2"]) == {"k/h1"}
    assert records.named_keys(["k/h1"], None, ["m1"]) == set()
    assert records.known_etags("m1", ["e", "x"], None) == {"e"}
    assert records.live("m1", ["h2"]) == {("h2", "k")}
    assert records.move(two, "m2", "e2") == 1
    assert records.totals() == {"m1": (1, 1), "m2": (1, 5)}
    records.mark(["a"], 2)
    (marked,) = records.page("", 10, before=0)
    records.remove("m1", [marked])
    assert records.page("", 10, "m1") == []
    records.close()
    kinds = {sql.split()[0] for sql, _ in statements}
    assert kinds >= {"CREATE", "INSERT", "SELECT", "UPDATE", "DELETE"}
    # SQLAlchemy's own on the first connection of an engine reads a flag in memory.
    blocking = [(sql, thread) for sql, thread in statements if sql != "PRAGMA read_uncommitted"]
    assert len(statements) - len(blocking) == 2
    assert {thread.split("_")[0] for _, thread in blocking} == {"elsewhere"}
    # One connection reads and one writes; opening and closing a file blocks as well.
    assert opened == ["elsewhere"] * 2
    assert [f.__name__ for f in elsewhere.called].count("dispose") == 2


def test_statements_that_belong_together_run_elsewhere_too(
    tmp_path: Path, elsewhere: Elsewhere, statements: list[tuple[str, str]]
) -> None:
    """Transactions, many rows at once, and rows one by one."""

    def work(connection: Connection) -> list[Any]:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
        connection.execute(text("BEGIN"))
        connection.execute(text("INSERT INTO t VALUES (:n)"), [{"n": n} for n in range(6)])
        connection.execute(text("COMMIT"))
        rows = connection.execute(text("SELECT n FROM t ORDER BY n"))
        return [rows.fetchone(), rows.fetchmany(2), next(rows), rows.fetchall(), rows.fetchone()]

    database = Database(f"sqlite:///{tmp_path}/a.db", elsewhere)
    assert database.change("work", work) == [(0,), [(1,), (2,)], (3,), [(4,), (5,)], None]
    database.close()
    blocking = [(sql.split()[0], thread) for sql, thread in statements if sql != "PRAGMA read_uncommitted"]
    assert {kind for kind, _ in blocking} == {"CREATE", "BEGIN", "INSERT", "COMMIT", "SELECT"}
    assert {thread.split("_")[0] for _, thread in blocking} == {"elsewhere"}


def test_without_it_calls_are_direct(tmp_path: Path, statements: list[tuple[str, str]]) -> None:
    records = Records(f"sqlite:///{tmp_path}/records.db")
    records.put(record("a"))
    records.close()
    assert {thread for _, thread in statements} == {threading.current_thread().name}


def test_an_error_from_elsewhere_is_an_error(tmp_path: Path, elsewhere: Elsewhere) -> None:
    (tmp_path / "records.db").write_text("no database, but a text that is long enough to be taken for a header" * 20)
    records = Records(f"sqlite:///{tmp_path}/records.db", run_blocking=elsewhere)
    with pytest.raises(DatabaseError, match="file is not a database"):
        records.put(record("a"))
    records.close()


@pytest.mark.parametrize("where", ["pool", "caller"])
def test_a_locked_file_stops_no_greenlet(tmp_path: Path, where: str) -> None:
    """Another process holds the lock for 2 s: greenlets go on, reads too, and the writes succeed afterwards. In the caller's
    own thread they stop, which is what `run_blocking` is for."""
    script = "tests.unit.records.locked_under_gevent"
    done = subprocess.run(
        [sys.executable, "-m", "gevent.monkey", "--module", script, str(tmp_path / "records.db"), where, "2"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["written"] == 30
    assert seen["waited"] > 1.5
    if where == "caller":
        assert seen["gap"] > 1.5
        return
    assert seen["gap"] < 0.2
    assert seen["slowest"] < 0.5
    assert seen["reads"] > 10
