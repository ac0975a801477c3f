"""Finds and writes what names mean. SQLite and MySQL by the same statements (SQLAlchemy Core)."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from app.core.errors import DatabaseError
from app.core.model import Record
from app.records import schema
from app.records.database import Database
from app.records.schema import objects, same_object, to_record, to_row
from app.records.sqlite import RunBlocking
from app.records.v340_table import LegacyTable

#: Records of one content that are looked at: a picture that is forwarded a lot has thousands of names.
_SAME_HASH = 8

_BY_NAME = sa.select(objects).where(objects.c.name == sa.bindparam("of_name"))
_BY_HASH = sa.select(objects).where(objects.c.hash == sa.bindparam("of_hash"), objects.c.create_time >= 0).limit(_SAME_HASH)


class Records:
    """The records' database, for one process. Every method raises DatabaseError when the database cannot serve.

    :param url: `sqlite:///...` (created on first use, with its folder) or `mysql+pymysql://...`.
    :param legacy: v3.4.0's table in the same database, for names that are not in ours.
    :param mirror: write new records there too.
    :param patience: seconds that MySQL may take for a statement; commands read whole tables.
    :param run_blocking: called as `run_blocking(function, *args, **kwargs)` for what blocks in SQLite; where greenlets share
        a thread it must run the function in one of at least `sqlite.THREADS` others. None calls directly.
    :param ca_file: trusted for a MySQL that is reached by TLS, where the URL names no file of its own.
    """

    def __init__(
        self,
        url: str,
        legacy: LegacyTable | None = None,
        mirror: bool = False,
        run_blocking: RunBlocking | None = None,
        patience: int = 8,
        ca_file: str | None = None,
    ) -> None:
        self._legacy = legacy
        self._mirror = legacy if mirror else None
        self._database = Database(url, run_blocking, patience, ca_file)
        self._upsert = schema.upsert(objects, self._database.dialect)
        self._insert = schema.insert_if_absent(self._database.dialect)
        self._prepared = False

    def get(self, name: str) -> Record | None:
        record = self._get("get", name)
        if record is not None or self._legacy is None:
            return record
        found = self._legacy.get(self._database, name)
        if found is None:
            return None
        # Ours of the same row says more: its object may have moved.
        ours = self._get("get", found.name) if found.name != name else None
        return msgspec.structs.replace(ours or found, name=name)

    def find(self, content_hash: str) -> list[Record]:
        """Some records of this content, whatever their names."""
        return [to_record(row) for row in self._ready().rows("find", _BY_HASH, {"of_hash": content_hash})]

    def put(self, record: Record) -> None:
        """Creates or replaces the record of a name: one uploaded again shows its new content."""
        self._ready().write("put", self._upsert, to_row(record))
        if self._mirror is not None:
            # After ours: where it fails, the client's retry repeats both.
            self._mirror.put(self._database, record)

    def add(self, record: Record) -> None:
        """Creates the record of a name that has none; one that was created meanwhile stays."""
        self._ready().write("add", self._insert, to_row(record))

    def totals(self) -> dict[str, tuple[int, int]]:
        """Objects and bytes by node, as the records say; one that several names mean counts once."""
        columns = objects.c
        each = sa.select(columns.node, columns.key, sa.func.max(columns.size).label("size"))
        once = each.group_by(columns.node, columns.key).subquery()
        statement = sa.select(once.c.node, sa.func.count(), sa.func.sum(once.c.size)).group_by(once.c.node)
        return {node: (int(count), int(size)) for node, count, size in self._ready().rows("totals", statement)}

    def page(self, after: str, count: int, node: str | None = None, before: int | None = None) -> list[Record]:
        """The next records by name, with those that expire is about to remove.

        :param node: only those on this node.
        :param before: only those created before this, Unix milliseconds; 0 for those that expire is about to remove.
        """
        columns = objects.c
        statement = sa.select(objects).where(columns.name > after.encode()).order_by(columns.name).limit(count)
        if node is not None:
            statement = statement.where(columns.node == node)
        if before is not None:
            statement = statement.where(columns.create_time < before)
        return [to_record(row) for row in self._ready().rows("page", statement)]

    def old_page(self, after: str, count: int) -> list[Record]:
        """The next rows of v3.4.0's table, in its order."""
        return [] if self._legacy is None else self._legacy.page(self._database, after, count)

    def old_names(self, keys: list[str]) -> set[str]:
        """Which of these object keys v3.4.0's table names."""
        return set() if self._legacy is None or not keys else self._legacy.named_keys(self._database, keys)

    def old_hashes(self, hashes: list[str]) -> set[str]:
        """Which of these contents v3.4.0's table names."""
        return set() if self._legacy is None or not hashes else self._legacy.named_hashes(self._database, hashes)

    def absent(self, names: list[str]) -> list[str]:
        """Which of these names have no record of ours."""
        statement = sa.select(objects.c.name).where(objects.c.name.in_([n.encode() for n in names]))
        existing = {bytes(row[0]).decode() for row in self._ready().rows("absent", statement)}
        return [name for name in names if name not in existing]

    def move(self, record: Record, node: str, etag: str) -> int:
        """Lets every name of this object mean the same key on another node; how many did. Names that mean something else by
        now stay as they are."""
        statement = sa.update(objects).where(*same_object(record)).values(node=node, etag=etag)
        return self._ready().write("move", statement)

    def names_of(self, record: Record) -> int:
        """How many names mean this object."""
        statement = sa.select(sa.func.count()).select_from(objects).where(*same_object(record))
        return int(self._ready().rows("names_of", statement)[0][0])

    def mark(self, names: list[str], before: int) -> None:
        """Takes these names' records from everybody but `remove`: they are found no more, and stay in the table until their
        objects are gone, however often that is begun.

        :param before: only records created before this, Unix milliseconds.
        """
        columns = objects.c
        where = (columns.name.in_([n.encode() for n in names]), columns.create_time >= 0, columns.create_time < before)
        self._ready().write("mark", sa.update(objects).where(*where).values(create_time=-1 - columns.create_time))

    def remove(self, node: str, marked: list[Record]) -> None:
        """Removes marked records of one node, those that are marked still."""
        columns = objects.c
        named = columns.name.in_([r.name.encode() for r in marked])
        # Of a name that was uploaded and marked again meanwhile the time is another.
        same = columns.create_time.in_([r.create_time for r in marked])
        self._ready().write("remove", sa.delete(objects).where(named, same, columns.node == node, columns.create_time < 0))

    def live(self, node: str, hashes: list[str]) -> set[tuple[str, str]]:
        """Hash and key of the objects with one of these contents that names on a node mean, but for marked ones."""
        columns = objects.c
        # The hash first: it has the index.
        where = (columns.hash.in_(hashes), columns.node == node, columns.create_time >= 0)
        statement = sa.select(columns.hash, columns.key).where(*where).distinct()
        return {(row[0], row[1]) for row in self._ready().rows("live", statement)}

    def named_keys(self, keys: list[str], hashes: list[str] | None, except_on: list[str]) -> set[str]:
        """Which of these object keys any record names, marked ones too.

        :param hashes: of the contents that these keys hold, as far as is known: with them it is quick, and may find too
            few; without, the whole table is read.
        :param except_on: nodes whose records do not count.
        """
        return self._existing("named_keys", objects.c.key, keys, hashes, objects.c.node.not_in(except_on))

    def known_etags(self, node: str, etags: list[str], hashes: list[str] | None) -> set[str]:
        """Which of these ETags an object on a node has that any record means; see `named_keys`."""
        return self._existing("known_etags", objects.c.etag, etags, hashes, objects.c.node == node)

    def _existing(
        self, call: str, column: sa.Column[str], values: list[str], hashes: list[str] | None, where: sa.ColumnElement[bool]
    ) -> set[str]:
        statement = sa.select(column).where(column.in_(values), where).distinct()
        if hashes is not None:
            statement = statement.where(objects.c.hash.in_(hashes))
        return {row[0] for row in self._ready().rows(call, statement)}

    def check_legacy(self) -> None:
        """
        :raises DatabaseError: v3.4.0's table does not exist, or may not be read.
        """
        if self._legacy is None:
            return
        try:
            self._legacy.get(self._database, "openim-direct check")
        except DatabaseError as e:
            raise DatabaseError(
                "v3.4.0's table `object` cannot be read: is `records` v3.4.0's own database, and has it run there? Else "
                "set legacy.table to false"
            ) from e

    def prepare(self) -> None:
        """Creates the table where it is missing; the first call does it too. Several processes may do it at once."""
        self._database.change("create", schema.create)
        self._prepared = True

    def close(self) -> None:
        self._database.close()

    def _ready(self) -> Database:
        if not self._prepared:
            self.prepare()
        return self._database

    def _get(self, call: str, name: str) -> Record | None:
        rows = self._ready().rows(call, _BY_NAME, {"of_name": name.encode()})
        record = to_record(rows[0]) if rows else None
        return None if record is None or record.create_time < 0 else record
