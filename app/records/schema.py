"""Defines our table: its columns, how its rows are written in SQLite and in MySQL, and how they become records.

Names are bytes, so that they are compared byte for byte whatever a database's collation says; v3.4.0 takes names that
differ only in case for one.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateIndex, CreateTable

from app.core.model import Record

log = logging.getLogger(__name__)

_metadata = sa.MetaData()
objects = sa.Table(
    "openim_direct_object",
    _metadata,
    sa.Column("name", sa.LargeBinary().with_variant(mysql.VARBINARY(1024), "mysql"), primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("node", sa.String(64), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("hash", sa.String(32), nullable=False),
    sa.Column("etag", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("content_type", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    # Unix milliseconds.
    sa.Column("create_time", sa.BigInteger, nullable=False),
    mysql_engine="InnoDB",
    mysql_default_charset="utf8mb4",
    mysql_row_format="DYNAMIC",
    sqlite_with_rowid=False,
)
_by_hash = sa.Index("openim_direct_object_hash", objects.c.hash, objects.c.node)


def create(connection: Connection) -> None:
    """Creates the table where it is missing. Several processes may do so at once."""
    if connection.dialect.name == "sqlite":
        connection.execute(CreateTable(objects, if_not_exists=True))
        connection.execute(CreateIndex(_by_hash, if_not_exists=True))
        return
    # MySQL has no CREATE INDEX IF NOT EXISTS.
    try:
        _metadata.create_all(connection)
    except sa.exc.OperationalError as e:
        if not sa.inspect(connection).has_table(objects.name):
            raise
        log.info("the records table was created by another process meanwhile (%s)", e.orig)


def upsert(table: sa.Table, dialect: str) -> Any:
    """The statement that writes a row over the one of the same name."""
    columns = [c.name for c in table.columns if c.name != "name"]
    if dialect == "sqlite":
        statement = sqlite.insert(table)
        return statement.on_conflict_do_update(index_elements=["name"], set_={c: statement.excluded[c] for c in columns})
    insert = mysql.insert(table)
    return insert.on_duplicate_key_update({c: insert.inserted[c] for c in columns})


def insert_if_absent(dialect: str) -> Any:
    """The statement that writes a record unless its name has one."""
    if dialect == "sqlite":
        return sqlite.insert(objects).on_conflict_do_nothing(index_elements=["name"])
    return mysql.insert(objects).prefix_with("IGNORE")


def same_object(record: Record) -> list[Any]:
    """The conditions for rows that mean the same object as this record."""
    columns = objects.c
    # The hash first: it has the index.
    where = [columns.hash == record.hash, columns.node == record.node, columns.key == record.key]
    return [*where, columns.etag == record.etag]


def to_row(record: Record) -> dict[str, Any]:
    values = msgspec.structs.asdict(record)
    values["name"] = record.name.encode()
    values["user_id"] = values.pop("user")
    return values


def to_record(row: Any) -> Record:
    # The table's columns stand in the order of Record's fields.
    return Record(bytes(row[0]).decode(), *row[1:])
