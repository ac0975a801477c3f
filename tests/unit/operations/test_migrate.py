"""What a storage that fails in ways a real one cannot be made to does to a migration: no name follows a wrong copy."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import msgspec
import pytest

from app.core.errors import NetworkError
from app.core.model import ChangedObject, ObjectInfo, Record, StoredObject
from app.operations.migrate import UNEQUAL, Migration
from app.operations.recovery import Patience
from app.operations.transfer import Limiter


class Content(io.BytesIO):
    content_type = "image/png"


class Bucket:
    """A bucket in memory, which may spoil what it is given."""

    def __init__(self, node_id: str, spoil: Any = lambda data: data) -> None:
        self.id, self.spoil = node_id, spoil
        self.objects: dict[str, bytes] = {}
        #: What it says the ETag is, where it lies.
        self.lie: str | None = None
        self.down = False

    def _etag(self, data: bytes) -> str:
        return self.lie or hashlib.md5(data).hexdigest()

    def stat(self, key: str) -> ObjectInfo | None:
        data = self.objects.get(key)
        return None if data is None else ObjectInfo(len(data), self._etag(data), "image/png")

    @contextmanager
    def reading(self, key: str, etag: str, first: int, length: int) -> Iterator[Content]:
        if key not in self.objects or self._etag(self.objects[key]) != etag:
            raise ChangedObject
        yield Content(self.objects[key][first : first + length])

    def write(self, key: str, body: IO[bytes], length: int, content_type: str, part: Any = None) -> str:
        if self.down:
            raise NetworkError(f"MinIO node {self.id} does not answer")
        if key in self.objects:
            return ""
        self.objects[key] = self.spoil(body.read(length))
        return self._etag(self.objects[key])

    def list_page(self, prefix: str, after: str = "") -> list[StoredObject]:
        return [
            StoredObject(key, len(data), 0.0, self._etag(data))
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix) and key > after
        ]

    def remove(self, key: str) -> None:
        self.objects.pop(key, None)

    def object_lock(self) -> str:
        return ""

    def first_part(self, key: str) -> int:
        raise AssertionError("not joined from parts")

    create_upload = complete_upload = abort_upload = first_part  # type: ignore[assignment]


class Names:
    """Records in memory."""

    def __init__(self, records: list[Record]) -> None:
        self.records = {r.name: r for r in records}

    def page(self, after: str, count: int, node: str | None = None, before: int | None = None) -> list[Record]:
        found = [r for name, r in sorted(self.records.items()) if name > after and r.node == node]
        return found[:count]

    def old_page(self, after: str, count: int) -> list[Record]:
        return []

    def absent(self, names: list[str]) -> list[str]:
        return []

    def add(self, record: Record) -> None:
        self.records.setdefault(record.name, record)

    def move(self, record: Record, node: str, etag: str) -> int:
        same = [r for r in self.records.values() if (r.node, r.key, r.etag) == (record.node, record.key, record.etag)]
        for one in same:
            self.records[one.name] = msgspec.structs.replace(one, node=node, etag=etag)
        return len(same)

    def names_of(self, record: Record) -> int:
        return sum((r.node, r.key) == (record.node, record.key) for r in self.records.values())

    def known_etags(self, node: str, etags: list[str], hashes: list[str] | None) -> set[str]:
        return {r.etag for r in self.records.values() if r.node == node} & set(etags)


def set_up(count: int, target: Bucket) -> tuple[Bucket, Names]:
    source = Bucket("m1")
    records = []
    for n in range(count):
        data = f"content {n}".encode() * 50
        source.objects[f"k{n}"] = data
        etag = hashlib.md5(data).hexdigest()
        records.append(Record(f"u1/{n:03}", "u1", "m1", f"k{n}", f"h{n}", etag, len(data), "image/png", "", 0))
    return source, Names(records)


def migrate(source: Bucket, target: Bucket, names: Names, **more: Any) -> Any:
    more.setdefault("patience", Patience(0))
    return Migration({"m1": source}, target, names, parallel=2, limiter=Limiter(None), **more).run()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("spoil", [lambda d: d[:-1], lambda d: b"x" + d[1:], lambda d: b""], ids=["cut", "changed", "empty"])
def test_a_copy_that_differs_is_removed_and_no_name_follows_it(full: bool, spoil: Any) -> None:
    target = Bucket("c1", spoil)
    source, names = set_up(3, target)
    summary = migrate(source, target, names, full=full)
    assert [reason for _, reason in summary.left.examples] == [UNEQUAL] * summary.left.count == [UNEQUAL] * 3
    assert {r.node for r in names.records.values()} == {"m1"}
    assert target.objects == {}
    # Once it is mended, the next run moves all.
    target.spoil = lambda data: data
    assert migrate(source, target, names, full=full).objects == 3
    assert {r.node for r in names.records.values()} == {"c1"}
    assert target.objects == source.objects


def test_a_target_that_lies_is_found_out_by_reading_it_back() -> None:
    target = Bucket("c1", lambda data: b"x" + data[1:])
    source, names = set_up(1, target)
    target.lie = names.records["u1/000"].etag
    summary = migrate(source, target, names, full=True)
    assert summary.left.examples == [("u1/000", UNEQUAL)]
    assert names.records["u1/000"].node == "m1"


def test_an_etag_that_is_no_md5_removes_nothing() -> None:
    """As of a node that encrypts: the contents decide, and the record has the ETag that the target gave."""
    target = Bucket("c1")
    source, names = set_up(3, target)
    target.lie = "0123456789abcdef" * 2
    assert migrate(source, target, names).objects == 3
    assert target.objects == source.objects
    assert {(r.node, r.etag) for r in names.records.values()} == {("c1", target.lie)}


def test_a_failure_that_passes_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the source, of the target, and of the records whose statement was executed although its answer was cut."""
    target = Bucket("c1")
    source, names = set_up(3, target)
    failed: set[str] = set()

    def once(place: str, key: str) -> None:
        if f"{place} {key}" not in failed:
            failed.add(f"{place} {key}")
            raise NetworkError(f"MinIO node {place} does not answer")

    read, write, move = source.reading, target.write, names.move

    def reading(key: str, *rest: Any) -> Any:
        once("m1", key)
        return read(key, *rest)

    def writing(key: str, *rest: Any) -> str:
        etag = write(key, *rest)
        once("c1", key)
        return etag

    def moving(record: Record, *rest: Any) -> int:
        moved = move(record, *rest)
        once("records", record.name)
        return moved

    monkeypatch.setattr(source, "reading", reading)
    monkeypatch.setattr(target, "write", writing)
    monkeypatch.setattr(names, "move", moving)
    patience = Patience(0)
    summary = migrate(source, target, names, patience=patience)
    assert (summary.objects, summary.names, summary.left.count, summary.given_up) == (3, 3, 0, "")
    assert patience.repeated == 9
    assert target.objects == source.objects


def test_thumbnails_follow_their_pictures() -> None:
    target = Bucket("c1")
    source, names = set_up(2, target)
    first, second = (names.records[name].etag for name in ("u1/000", "u1/001"))
    del source.objects["k1"]
    for etag in (first, second):
        source.objects[f"openim/thumbnail/{etag}/image_w10_h10.png"] = etag.encode()
    summary = migrate(source, target, names)
    assert (summary.objects, summary.left.count, summary.thumbnails) == (1, 1, 1)
    # That of the picture that did not move stays too.
    assert set(target.objects) == {"k0", f"openim/thumbnail/{first}/image_w10_h10.png"}


def test_a_target_that_is_down_ends_it_early() -> None:
    target = Bucket("c1")
    source, names = set_up(200, target)
    target.down = True
    summary = migrate(source, target, names)
    assert "does not answer" in summary.given_up
    assert summary.left.count < 40
    assert {r.node for r in names.records.values()} == {"m1"}


def test_several_names_of_one_object_move_together() -> None:
    target = Bucket("c1")
    source, names = set_up(1, target)
    first = names.records["u1/000"]
    for name in ("u2/a", "u3/b"):
        names.records[name] = msgspec.structs.replace(first, name=name)
    summary = migrate(source, target, names)
    assert (summary.objects, summary.names, summary.bytes) == (1, 3, first.size)
    assert {r.node for r in names.records.values()} == {"c1"}
