"""Records in SQLite: several processes write at once, and a locked file is an error that says so."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from app.core.errors import DatabaseError
from app.core.model import Record
from app.records.cache import RecordCache
from app.records.store import Records


def record(name: str, **change: object) -> Record:
    values: dict[str, object] = {
        "name": name, "user": "u1", "node": "m1", "key": "k", "hash": "h", "etag": "e", "size": 1,
        "content_type": "", "cause": "", "create_time": 1, **change,
    }  # fmt: skip
    return Record(**values)  # type: ignore[arg-type]


def write(url: str, process: int, count: int) -> None:
    records = Records(url)
    for n in range(count):
        records.put(record(f"p{process}/{n}"))
        records.put(record("shared", size=process))


def test_processes_write_at_once(tmp_path: Path) -> None:
    """The table is made by whoever comes first, and no write fails."""
    url = f"sqlite:///{tmp_path}/new/folder/records.db"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write, args=(url, p, 100)) for p in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [w.exitcode for w in workers] == [0] * 4
    records = Records(url)
    assert all(records.get(f"p{p}/{n}") is not None for p in range(4) for n in range(100))
    found = records.get("shared")
    assert found is not None
    assert found.size in range(4)
    records.close()


def test_a_name_has_one_record_and_content_is_found(tmp_path: Path) -> None:
    records = Records(f"sqlite:///{tmp_path}/records.db")
    records.put(record("a", hash="h1"))
    records.put(record("a", hash="h2", size=7))
    assert records.get("a") == record("a", hash="h2", size=7)
    assert records.get("A") is None
    assert records.find("h2") == [records.get("a")]
    assert records.find("h1") == []
    records.close()


def test_what_expire_marks_is_for_nobody_else(tmp_path: Path) -> None:
    records = Records(f"sqlite:///{tmp_path}/records.db")
    for made in (record("a", create_time=0), record("b", create_time=5), record("c", create_time=9), record("d", node="m2")):
        records.put(made)
    records.mark(["a", "b", "c"], 9)
    assert [records.get(name) for name in "ab"] == [None, None]
    assert [found.name for found in records.find("h")] == ["c", "d"]
    marked = records.page("", 10, before=0)
    assert [(r.name, r.create_time) for r in marked] == [("a", -1), ("b", -6)]
    # Once more changes nothing, and what a name means since then stays.
    records.mark(["a", "b"], 9)
    assert records.page("", 10, before=0) == marked
    records.put(record("b", key="k2", create_time=10))
    assert records.live("m1", ["h"]) == {("h", "k"), ("h", "k2")}
    # One that moved meanwhile is left to the next run.
    records.move(marked[0], "m3", "e")
    records.remove("m1", marked)
    assert [(r.name, r.node) for r in records.page("", 10)] == [("a", "m3"), ("b", "m1"), ("c", "m3"), ("d", "m2")]
    records.remove("m3", marked)
    assert [r.name for r in records.page("", 10)] == ["b", "c", "d"]
    assert records.names_of(record("c", node="m3", create_time=9)) == 1
    records.close()


def test_a_locked_database_is_an_error_and_goes_on_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.records.sqlite._BUSY_MS", 200)
    records = Records(f"sqlite:///{tmp_path}/records.db")
    records.put(record("before"))
    lock = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    start = time.monotonic()
    with pytest.raises(DatabaseError, match="database is locked"):
        records.put(record("during"))
    assert time.monotonic() - start < 2
    # Readers go on: WAL.
    assert records.get("before") is not None
    lock.execute("ROLLBACK")
    lock.close()
    records.put(record("after"))
    assert records.get("after") is not None
    records.close()


def test_a_new_file_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    """Its change to WAL needs it alone, and SQLite does not wait for that by itself."""
    lock = sqlite3.connect(tmp_path / "records.db", isolation_level=None, check_same_thread=False)
    lock.execute("CREATE TABLE t (n INTEGER)")
    lock.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, lock.execute, ["COMMIT"])
    release.start()
    records = Records(f"sqlite:///{tmp_path}/records.db")
    start = time.monotonic()
    records.put(record("a"))
    assert time.monotonic() - start > 0.3
    assert records.get("a") == record("a")
    release.join()
    lock.close()
    records.close()


class Flaky:
    """A database that can be switched off, and counts."""

    def __init__(self) -> None:
        self.rows: dict[str, Record] = {}
        self.down, self.asked = False, 0

    def get(self, name: str) -> Record | None:
        self.asked += 1
        if self.down:
            raise DatabaseError("down")
        return self.rows.get(name)

    def add(self, made: Record) -> None:
        self.rows[made.name] = made


def test_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr("app.records.cache._MOST", 2)
    database = Flaky()
    cache = RecordCache(database)
    assert cache.get("a") is None
    # What is not there is asked for each time.
    cache.add(record("a"))
    assert cache.get("a") == record("a")
    database.rows["a"] = record("a", size=2)
    asked = database.asked
    assert cache.get("a") == record("a")
    assert database.asked == asked
    now += 1.1
    assert cache.get("a") == record("a", size=2)
    # Two more names: what is known is not kept beyond the most, and comes again from the database.
    for name in ("c", "d"):
        database.rows[name] = record(name)
        assert cache.get(name) == record(name)
    asked = database.asked
    assert cache.get("a") == record("a", size=2)
    assert database.asked == asked + 1
    database.down = True
    now += 200
    assert cache.get("a") == record("a", size=2)
    with pytest.raises(DatabaseError):
        cache.get("b")
    now += 200
    with pytest.raises(DatabaseError):
        cache.get("a")


def test_every_call_is_counted_with_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[str, str]] = []
    monkeypatch.setattr("app.observability.metrics.records_called", lambda call, result, _: counted.append((call, result)))
    records = Records(f"sqlite:///{tmp_path}/records.db")
    records.put(record("a"))
    records.get("a")
    records.find("h")
    records.add(record("a"))
    records.totals()
    records.page("", 1)
    records.remove("m1", [record("a")])
    calls = ["create", "put", "get", "find", "add", "totals", "page", "remove"]
    assert counted == [(call, "done") for call in calls]
    lock = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    lock.execute("DROP TABLE openim_direct_object")
    lock.close()
    with pytest.raises(DatabaseError):
        records.get("a")
    assert counted[len(calls) :] == [("get", "failed")]
    records.close()
