"""Reads v3.4.0's table `object` in its own MySQL database. Writes rows only where the deployment says so; alters nothing."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from app.core.model import Record
from app.records.database import Database
from app.records.schema import upsert

log = logging.getLogger(__name__)

#: Characters of the table's key.
MAX_NAME = 191

# A MetaData of its own: nothing in it is ever created.
_object = sa.Table(
    "object",
    sa.MetaData(),
    sa.Column("name", sa.String(MAX_NAME), primary_key=True),
    sa.Column("user_id", sa.Text),
    sa.Column("hash", sa.Text),
    sa.Column("key", sa.Text),
    sa.Column("size", sa.BigInteger),
    sa.Column("content_type", sa.Text),
    sa.Column("cause", sa.Text),
    sa.Column("create_time", mysql.DATETIME(fsp=3)),
)

_BY_NAME = sa.select(_object).where(_object.c.name == sa.bindparam("of_name"))
_AFTER = sa.select(_object).where(_object.c.name > sa.bindparam("after_name")).order_by(_object.c.name)
_UPSERT = upsert(_object, "mysql")


class LegacyTable:
    """
    :param node: the node that holds v3.4.0's objects; "" where each has to be looked for.
    """

    def __init__(self, node: str) -> None:
        self._node = node

    def get(self, database: Database, name: str) -> Record | None:
        """The row that v3.4.0 would find, under its own name: its collation takes names for one that differ only in case,
        and links made with either have always worked."""
        if len(name) > MAX_NAME:
            return None
        rows = database.rows("v340_get", _BY_NAME, {"of_name": name})
        return _record(rows[0], self._node) if rows else None

    def page(self, database: Database, after: str, count: int) -> list[Record]:
        """The next rows in the order of its collation."""
        return [_record(row, self._node) for row in database.rows("v340_page", _AFTER.limit(count), {"after_name": after})]

    def named_keys(self, database: Database, keys: list[str]) -> set[str]:
        """Which of these object keys any row names. Reads the whole table: v3.4.0 has no index of them."""
        statement = sa.select(_object.c.key).where(_object.c.key.in_(keys))
        return {row[0] for row in database.rows("v340_named_keys", statement)}

    def named_hashes(self, database: Database, hashes: list[str]) -> set[str]:
        """The same of contents."""
        statement = sa.select(_object.c.hash).where(_object.c.hash.in_(hashes)).distinct()
        return {row[0] for row in database.rows("v340_named_hashes", statement)}

    def put(self, database: Database, record: Record) -> None:
        """Writes a record as v3.4.0 writes it; only a line in the log where the table cannot hold it."""
        unfit = ""
        if len(record.name) > MAX_NAME:
            unfit = f"its name is longer than {MAX_NAME} characters"
        else:
            row = self.get(database, record.name)
            if row is not None and row.name != record.name:
                unfit = f"the table takes its name for that of another object, {row.name!r}"
        if unfit:
            log.warning("not in v3.4.0's table: %r: %s", record.name, unfit)
            return
        # v3.4.0 writes the server's local time.
        created = datetime.fromtimestamp(record.create_time / 1000)
        values = {**msgspec.structs.asdict(record), "user_id": record.user, "create_time": created}
        database.write("v340_put", _UPSERT, {column.name: values[column.name] for column in _object.columns})


def _record(row: Any, node: str) -> Record:
    created: datetime | None = row.create_time
    return Record(
        name=row.name,
        user=row.user_id or "",
        node=node,
        key=row.key or "",
        hash=row.hash or "",
        etag="",
        size=row.size or 0,
        content_type=row.content_type or "",
        cause=row.cause or "",
        create_time=0 if created is None else int(created.timestamp() * 1000),
    )
