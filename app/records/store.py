"""Which object a name means: the only SQL. SQLite and MySQL by the same statements (SQLAlchemy Core).

Names are bytes, so that they are compared byte for byte whatever a database's collation says; v3.4.0 takes names that
differ only in case for one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from app.core.errors import DatabaseError
from app.core.model import Record
from app.observability import metrics
from app.records.v340_table import LegacyTable

log = logging.getLogger(__name__)

#: Milliseconds that a write waits for another process's write to end. Writes take a millisecond each.
_SQLITE_BUSY_MS = 8000

_SAME_HASH = 8

_metadata = sa.MetaData()
_objects = sa.Table(
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
_by_hash = sa.Index("openim_direct_object_hash", _objects.c.hash, _objects.c.node)


class Records:
    """The records' database, for one process. Every method raises DatabaseError when the database cannot serve.

    :param url: `sqlite:///...` (made on first use, with its folder) or `mysql+pymysql://...`.
    :param legacy: v3.4.0's table in the same database, for names that are not in ours.
    :param mirror: write new records there too.
    """

    def __init__(self, url: str, legacy: LegacyTable | None = None, mirror: bool = False) -> None:
        self._legacy = legacy
        self._mirror = legacy if mirror else None
        self._url = make_url(url)
        self._engine = _engine(self._url)
        columns = _objects.c
        self._select = sa.select(_objects).where(columns.name == sa.bindparam("of_name"))
        self._select_hash = sa.select(_objects).where(columns.hash == sa.bindparam("of_hash")).limit(_SAME_HASH)
        self._upsert = _upsert(self._engine.dialect.name)
        self._get_sql, self._find_sql, self._put_sql = (
            _Compiled(statement, self._engine.dialect) for statement in (self._select, self._select_hash, self._upsert)
        )
        self._insert = _insert_if_absent(self._engine.dialect.name)
        self._prepared = False

    def get(self, name: str) -> Record | None:
        rows = self._run("get", self._get_sql, {"of_name": name.encode()})
        if rows:
            return _record(rows[0])
        if self._legacy is None:
            return None
        with self._connection() as connection:
            return self._old(connection, name)

    def _old(self, connection: Connection, name: str) -> Record | None:
        """v3.4.0's row, unless ours of the same row says more: its object may have moved."""
        found = self._legacy.get(connection, name) if self._legacy is not None else None
        if found is None:
            return None
        ours = None
        if found.name != name:
            row = connection.execute(self._select, {"of_name": found.name.encode()}).first()
            ours = None if row is None else _record(row)
        return msgspec.structs.replace(ours or found, name=name)

    def find(self, content_hash: str) -> list[Record]:
        """Some records of this content, whatever their names: a picture that is forwarded a lot has thousands."""
        return [_record(row) for row in self._run("find", self._find_sql, {"of_hash": content_hash})]

    def put(self, record: Record) -> None:
        """Make or replace the record of a name: one uploaded again shows its new content."""
        self._run("put", self._put_sql, _values(record))
        if self._mirror is not None:
            # After ours: where it fails, the client's retry repeats both.
            with self._connection() as connection:
                self._mirror.put(connection, record)

    def add(self, record: Record) -> None:
        """Make the record of a name that has none; one that was made meanwhile stays."""
        with self._connection() as connection:
            connection.execute(self._insert, _values(record))

    def check_legacy(self) -> None:
        """
        :raises DatabaseError: v3.4.0's table is not there, or may not be read.
        """
        if self._legacy is None:
            return
        try:
            with self._engine.connect() as connection:
                self._legacy.get(connection, "openim-direct check")
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as e:
            raise DatabaseError(
                "v3.4.0's table `object` cannot be read: is `records` v3.4.0's own database, and has it run there? Else "
                "set legacy.table to false"
            ) from e

    def prepare(self) -> None:
        """Make the table where it is missing; the first call does it too. Several processes may do it at once."""
        with self._connection():
            pass

    def close(self) -> None:
        self._engine.dispose()

    # Work on many records: migrate, purge, expire, status

    def page(self, after: str, count: int, node: str | None = None, before: int | None = None) -> list[Record]:
        """The next records by name.

        :param node: only those on this node.
        :param before: only those made before this, Unix milliseconds.
        """
        columns = _objects.c
        statement = sa.select(_objects).where(columns.name > after.encode()).order_by(columns.name).limit(count)
        if node is not None:
            statement = statement.where(columns.node == node)
        if before is not None:
            statement = statement.where(columns.create_time < before)
        with self._connection() as connection:
            return [_record(row) for row in connection.execute(statement).all()]

    def old_page(self, after: str, count: int) -> list[Record]:
        """The next rows of v3.4.0's table, in its order."""
        if self._legacy is None:
            return []
        with self._connection() as connection:
            return self._legacy.after(connection, after, count)

    def old_names(self, keys: list[str]) -> set[str]:
        """Which of these object keys v3.4.0's table names."""
        if self._legacy is None or not keys:
            return set()
        with self._connection() as connection:
            return self._legacy.naming(connection, keys)

    def absent(self, names: list[str]) -> list[str]:
        """Which of these names have no record of ours."""
        statement = sa.select(_objects.c.name).where(_objects.c.name.in_([n.encode() for n in names]))
        with self._connection() as connection:
            there = {bytes(name).decode() for name in connection.execute(statement).scalars()}
        return [name for name in names if name not in there]

    def move(self, record: Record, node: str, etag: str) -> int:
        """Let every name of this object mean the same key on another node; how many did. Names that mean something else by
        now stay as they are."""
        statement = sa.update(_objects).where(*_same_object(record)).values(node=node, etag=etag)
        with self._connection() as connection:
            return connection.execute(statement).rowcount

    def remove(self, record: Record) -> bool:
        """Remove the record of a name, if it is still this one."""
        columns = _objects.c
        where = (columns.name == record.name.encode(), columns.create_time == record.create_time)
        with self._connection() as connection:
            return connection.execute(sa.delete(_objects).where(*where, *_same_object(record))).rowcount > 0

    def needs(self, record: Record) -> bool:
        """Whether any name means this object."""
        statement = sa.select(sa.literal(1)).select_from(_objects).where(*_same_object(record, any_etag=True)).limit(1)
        with self._connection() as connection:
            return connection.execute(statement).first() is not None

    def known_keys(self, node: str, keys: list[str]) -> set[str]:
        """Which of these write-once keys of a node any name means; they hold their content's hash."""
        columns = _objects.c
        hashes = [key.rsplit("/", 1)[-1].split("_")[0] for key in keys]
        statement = sa.select(columns.key).where(columns.hash.in_(hashes), columns.node == node, columns.key.in_(keys))
        with self._connection() as connection:
            return set(connection.execute(statement).scalars())

    def totals(self) -> dict[str, tuple[int, int]]:
        """Objects and bytes by node, as the records say; one that several names mean counts once."""
        columns = _objects.c
        objects = sa.select(columns.node, columns.key, sa.func.max(columns.size).label("size"))
        each = objects.group_by(columns.node, columns.key).subquery()
        statement = sa.select(each.c.node, sa.func.count(), sa.func.sum(each.c.size)).group_by(each.c.node)
        with self._connection() as connection:
            return {node: (int(count), int(size)) for node, count, size in connection.execute(statement)}

    def _run(self, call: str, compiled: _Compiled, values: dict[str, Any]) -> list[Any]:
        start = time.perf_counter()
        result = "failed"
        try:
            rows = self._execute(compiled, values)
            result = "done"
        finally:
            metrics.records_called(call, result, time.perf_counter() - start)
        return rows

    def _execute(self, compiled: _Compiled, values: dict[str, Any]) -> list[Any]:
        """One statement of every upload or view, past SQLAlchemy's execution, which takes several times the database's own
        part of it."""
        driver_error: type[BaseException] = self._engine.dialect.loaded_dbapi.Error
        try:
            if not self._prepared:
                self._prepare()
            connection = self._engine.raw_connection()
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, driver_error, OSError) as e:
            raise self._failed(e.orig if isinstance(e, sa.exc.DBAPIError) else e) from e
        try:
            cursor = connection.cursor()
            try:
                cursor.execute(compiled.text, compiled.arguments(values))
                return list(cursor.fetchall()) if compiled.reads else []
            finally:
                cursor.close()
        except (driver_error, OSError) as e:
            # Perhaps it is the connection; a new one costs less than asking.
            connection.invalidate()
            raise self._failed(e) from e
        finally:
            connection.close()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            if not self._prepared:
                self._prepare()
            with self._engine.connect() as connection:
                yield connection
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as e:
            # SQLAlchemy's text holds the statement and its values; the driver's holds what went wrong.
            raise self._failed(e.orig if isinstance(e, sa.exc.DBAPIError) else e) from e

    @staticmethod
    def _failed(cause: BaseException | None) -> DatabaseError:
        log.error("records database: %s: %s", type(cause).__name__, cause)
        return DatabaseError(f"the records database cannot serve now ({type(cause).__name__}); try again")

    def _prepare(self) -> None:
        if self._url.get_backend_name() == "sqlite" and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.execute(CreateTable(_objects, if_not_exists=True))
                connection.execute(CreateIndex(_by_hash, if_not_exists=True))
            else:
                # MySQL has no CREATE INDEX IF NOT EXISTS; several workers may be at this point.
                try:
                    _metadata.create_all(connection)
                except sa.exc.OperationalError as e:
                    if not sa.inspect(connection).has_table(_objects.name):
                        raise
                    log.info("the records table was made by another process meanwhile (%s)", e.orig)
        self._prepared = True


class _Compiled:
    """A statement's text for the driver, and its arguments in the driver's order."""

    def __init__(self, statement: Any, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self.reads = isinstance(statement, sa.Select)
        self._fixed = dict(compiled.params)
        #: None where the driver takes them by name.
        self._order: list[str] | None = compiled.positiontup

    def arguments(self, values: dict[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
        if self._order is None:
            return {**self._fixed, **values}
        return tuple([values[name] if name in values else self._fixed[name] for name in self._order])


def _same_object(record: Record, any_etag: bool = False) -> list[Any]:
    columns = _objects.c
    # The hash first: it has the index.
    where = [columns.hash == record.hash, columns.node == record.node, columns.key == record.key]
    return where if any_etag else [*where, columns.etag == record.etag]


def _engine(url: sa.URL) -> Engine:
    # Every call is one statement, so autocommit saves a BEGIN and a COMMIT each.
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_size=32, max_overflow=0, pool_timeout=8)
        sa.event.listen(engine, "connect", _configure_sqlite)
        return engine
    return sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=16,
        max_overflow=16,
        pool_timeout=5,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={"connect_timeout": 3, "read_timeout": 8, "write_timeout": 8},
    )


def _configure_sqlite(connection: Any, _: Any) -> None:
    """WAL lets readers and one writer of several processes go on side by side."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_SQLITE_BUSY_MS}")
    # Changing to WAL needs the file alone for a moment, and does not honour busy_timeout; the mode stays in the file.
    deadline = time.monotonic() + _SQLITE_BUSY_MS / 1000
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except connection.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    # FULL: an upload that was answered survives a power cut, not only a crash of the process.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _upsert(dialect: str) -> Any:
    columns = [c.name for c in _objects.columns if c.name != "name"]
    if dialect == "sqlite":
        statement = sqlite.insert(_objects)
        return statement.on_conflict_do_update(index_elements=["name"], set_={c: statement.excluded[c] for c in columns})
    insert = mysql.insert(_objects)
    return insert.on_duplicate_key_update({c: insert.inserted[c] for c in columns})


def _insert_if_absent(dialect: str) -> Any:
    if dialect == "sqlite":
        return sqlite.insert(_objects).on_conflict_do_nothing(index_elements=["name"])
    return mysql.insert(_objects).prefix_with("IGNORE")


def _values(record: Record) -> dict[str, Any]:
    values = msgspec.structs.asdict(record)
    values["name"] = record.name.encode()
    values["user_id"] = values.pop("user")
    return values


def _record(row: Any) -> Record:
    # The table's columns stand in the order of Record's fields.
    return Record(bytes(row[0]).decode(), *row[1:])
