"""Works on many records at once: what the commands migrate, expire, gc and purge need."""

from __future__ import annotations

import sqlalchemy as sa

from app.core.model import Record
from app.records.schema import objects, same_object, to_record
from app.records.store import Records


class BulkRecords(Records):
    """Records, page by page and object by object."""

    def page(self, after: str, count: int, node: str | None = None, before: int | None = None) -> list[Record]:
        """The next records by name.

        :param node: only those on this node.
        :param before: only those created before this, Unix milliseconds.
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

    def remove(self, record: Record) -> bool:
        """Removes the record of a name, if it is still this one."""
        columns = objects.c
        where = (columns.name == record.name.encode(), columns.create_time == record.create_time)
        return self._ready().write("remove", sa.delete(objects).where(*where, *same_object(record))) > 0

    def needs(self, record: Record) -> bool:
        """Whether any name means this object."""
        one = sa.select(sa.literal(1)).select_from(objects).where(*same_object(record, any_etag=True)).limit(1)
        return bool(self._ready().rows("needs", one))

    def known_keys(self, node: str, keys: list[str]) -> set[str]:
        """Which of these write-once keys of a node any name means; they hold their content's hash."""
        columns = objects.c
        hashes = [key.rsplit("/", 1)[-1].split("_")[0] for key in keys]
        statement = sa.select(columns.key).where(columns.hash.in_(hashes), columns.node == node, columns.key.in_(keys))
        return {row[0] for row in self._ready().rows("known_keys", statement)}
