"""A real MariaDB and a real Redis on free ports, each in a folder of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pymysql
import redis

from tests.stack import Process, free_port, program, wait_for

PASSWORD = "openIM123"

#: v3.4.0's own definition.
OBJECT_TABLE = """CREATE TABLE object (name varchar(191) NOT NULL, user_id longtext, hash longtext, `key` longtext,
size bigint(20), content_type longtext, cause longtext, create_time datetime(3), PRIMARY KEY (name))
ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"""


class MariaDB:
    """
    :param folder: data and log go there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        binary = program("mariadb")
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        data = f"--datadir={folder / 'data'}"
        install = Path(binary).resolve().parent.parent / "bin/mariadb-install-db"
        done = subprocess.run(
            [
                str(install) if install.exists() else "mariadb-install-db",
                "--no-defaults",
                data,
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
                *as_root,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.process = Process(
            [
                binary,
                "--no-defaults",
                data,
                f"--port={self.port}",
                "--bind-address=127.0.0.1",
                f"--socket={folder / 'sock'}",
                f"--pid-file={folder / 'pid'}",
                "--skip-name-resolve",
                "--innodb-buffer-pool-size=64M",
                *as_root,
            ],
            folder / "mariadb.log",
        )

    def start(self) -> None:
        self.process.start()

        def up() -> bool:
            try:
                self.connect().close()
            except pymysql.err.OperationalError:
                return False
            return True

        wait_for("MariaDB", up, timeout=40, log=self.process.log)

    def stop(self) -> None:
        if self.process.child is not None:
            self.process.stop()

    def connect(self, database: str | None = None) -> pymysql.connections.Connection[Any]:
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            password="",
            database=database,
            autocommit=True,
            charset="utf8mb4",
            connect_timeout=5,
            read_timeout=30,
            write_timeout=30,
        )

    def execute(self, statement: str, arguments: tuple[Any, ...] = (), database: str | None = None) -> list[tuple[Any, ...]]:
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return list(cursor.fetchall())

    def load(self, statement: str, database: str) -> None:
        """LOAD DATA LOCAL, however long it takes."""
        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", password="", database=database, autocommit=True, local_infile=True
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def create(self, database: str, object_table: bool = True) -> str:
        """A database, with v3.4.0's table; its URL."""
        self.execute(f"CREATE DATABASE {database}")
        if object_table:
            self.execute(OBJECT_TABLE, database=database)
        return self.url(database)

    def url(self, database: str) -> str:
        return f"mysql+pymysql://root:@127.0.0.1:{self.port}/{database}"


class Redis:
    """
    :param password: what clients must know.
    """

    def __init__(self, folder: Path, password: str = PASSWORD) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self.password = folder, free_port(), password
        self.process = Process(
            [
                program("redis"),
                "--bind",
                "127.0.0.1",
                "--port",
                str(self.port),
                "--requirepass",
                password,
                "--dir",
                str(folder),
                "--save",
                "",
            ],
            folder / "redis.log",
        )

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=10, socket_connect_timeout=5)

    def start(self) -> None:
        self.process.start()

        def up() -> bool:
            try:
                with self.client() as client:
                    return bool(client.ping())
            except redis.RedisError:
                return False

        wait_for("Redis", up, log=self.process.log)

    def stop(self) -> None:
        if self.process.child is not None:
            self.process.stop()

    def set_state(self, user: str, token: str, state: object, platform: str = "IOS") -> None:
        with self.client() as client:
            client.hset(f"UID_PID_TOKEN_STATUS:{user}:{platform}", token, str(state))
