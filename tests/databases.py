"""A real MariaDB, MySQL and Redis, alone and as a cluster, on free ports, each in a folder of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pymysql
import redis
import redis.cluster

from tests.stack import Process, free_port, program, wait_for

PASSWORD = "openIM123"

#: v3.4.0's own definition.
OBJECT_TABLE = """CREATE TABLE object (name varchar(191) NOT NULL, user_id longtext, hash longtext, `key` longtext,
size bigint(20), content_type longtext, cause longtext, create_time datetime(3), PRIMARY KEY (name))
ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"""


class MariaDB:
    """
    :param folder: data and log go there.
    :param arguments: more of them, such as `--innodb-page-size=4k`.
    """

    tool = "mariadb"

    def __init__(self, folder: Path, arguments: Sequence[str] = (), host: str = "127.0.0.1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self.host = folder, free_port(), host
        binary = program(self.tool)
        given = [f"--datadir={folder / 'data'}", *(["--user=root"] if os.geteuid() == 0 else []), *arguments]
        done = subprocess.run(self._install(binary, given), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        self.process = Process(
            [
                binary,
                "--no-defaults",
                f"--port={self.port}",
                f"--bind-address={host}",
                f"--socket={folder / 'sock'}",
                f"--pid-file={folder / 'pid'}",
                "--skip-name-resolve",
                "--innodb-buffer-pool-size=64M",
                *given,
            ],
            folder / f"{self.tool}.log",
        )

    def _install(self, binary: str, given: list[str]) -> list[str]:
        install = Path(binary).resolve().parent.parent / "bin/mariadb-install-db"
        command = str(install) if install.exists() else "mariadb-install-db"
        return [command, "--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal", *given]

    def start(self) -> None:
        self.process.start()

        def up() -> bool:
            try:
                self.connect().close()
            except pymysql.err.OperationalError:
                return False
            return True

        wait_for(self.tool, up, timeout=40, log=self.process.log)

    def stop(self) -> None:
        if self.process.child is not None:
            self.process.stop()

    def connect(self, database: str | None = None) -> pymysql.connections.Connection[Any]:
        return pymysql.connect(
            host=self.host,
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
            host=self.host, port=self.port, user="root", password="", database=database, autocommit=True, local_infile=True
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
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mysql+pymysql://root:@{host}:{self.port}/{database}"


class MySQL(MariaDB):
    """MySQL itself, whose logins are by caching_sha2_password; with a certificate that it made for itself."""

    tool = "mysql"

    def __init__(self, folder: Path, arguments: Sequence[str] = ()) -> None:
        # Its own root is of the socket alone.
        folder.mkdir(parents=True, exist_ok=True)
        statements = "CREATE USER IF NOT EXISTS root@'127.0.0.1'", "GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION"
        (folder / "root.sql").write_text("".join(f"{statement};\n" for statement in statements))
        super().__init__(folder, arguments)
        self.process.command += [
            f"--init-file={folder / 'root.sql'}",
            "--mysqlx=OFF",
            "--skip-log-bin",
            "--secure-file-priv=NULL",
        ]

    def _install(self, binary: str, given: list[str]) -> list[str]:
        return [binary, "--no-defaults", "--initialize-insecure", *given]


class Redis:
    """
    :param password: what clients must know; nothing where it is empty.
    :param arguments: more of them, such as `--rename-command HELLO ""`.
    :param tls: certificate, key and CA's file; clients then speak TLS alone.
    """

    def __init__(
        self,
        folder: Path,
        password: str = PASSWORD,
        arguments: Sequence[str] = (),
        host: str = "127.0.0.1",
        tls: tuple[Path, Path, Path] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self.password, self.host, self.tls = folder, free_port(), password, host, tls
        ports = ["--port", str(self.port)]
        if tls is not None:
            ports = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            for option, file in zip(("cert", "key", "ca-cert"), tls, strict=True):
                ports += [f"--tls-{option}-file", str(file)]
        self.process = Process(
            [
                program("redis"),
                "--bind",
                host,
                *ports,
                *(["--requirepass", password] if password else []),
                "--dir",
                str(folder),
                "--save",
                "",
                *arguments,
            ],
            folder / "redis.log",
        )

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis{'s' if self.tls else ''}://{login}{self.address}/0"

    def client(self) -> redis.Redis:
        trusted = {"ssl_ca_certs": str(self.tls[2])} if self.tls else {}
        # As old as servers may be made to look.
        return redis.Redis.from_url(self.url, protocol=2, socket_timeout=10, socket_connect_timeout=5, **trusted)

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


class RedisClusterServers:
    """Three masters, each of a third of all slots, and a replica of each.

    :param node_timeout: milliseconds after which the others take a silent server for dead.
    """

    def __init__(self, folder: Path, node_timeout: int = 1000) -> None:
        # The bus of a server has its own port, which by default lies beyond the last of all ports for high ones.
        self.servers = [
            Redis(
                folder / str(n),
                arguments=[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    str(free_port()),
                    "--cluster-node-timeout",
                    str(node_timeout),
                    "--masterauth",
                    PASSWORD,
                    "--repl-diskless-sync-delay",
                    "0",
                ],
            )
            for n in range(6)
        ]

    @property
    def masters(self) -> list[Redis]:
        return self.servers[:3]

    def url(self, *servers: int) -> str:
        """Of these servers by number, or of all."""
        listed = ",".join(self.servers[n].address for n in servers or range(6))
        return f"redis://:{PASSWORD}@{listed}/0"

    def client(self) -> redis.cluster.RedisCluster:
        return redis.cluster.RedisCluster.from_url(self.servers[0].url, socket_timeout=5)

    def start(self) -> None:
        for server in self.servers:
            server.start()
        clients = [server.client() for server in self.servers]
        for n, client in enumerate(clients[:3]):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 16384 * n // 3, 16384 * (n + 1) // 3 - 1)
        first = self.servers[0]
        for server in self.servers[1:]:
            bus = server.process.command[server.process.command.index("--cluster-port") + 1]
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        names = [client.cluster("MYID").decode() for client in clients]
        for n in range(3):
            wait_for("servers to know each other", lambda n=n: self._follow(clients[3 + n], names[n]), log=first.process.log)

        def whole() -> bool:
            states = [client.cluster("INFO") for client in clients]
            known = all((s["cluster_state"], s["cluster_known_nodes"]) == ("ok", "6") for s in states)
            replicas = [client.info("replication").get("slave0", {}) for client in clients[:3]]
            return known and all(r.get("state") == "online" for r in replicas)

        wait_for("the cluster", whole, log=first.process.log)

    @staticmethod
    def _follow(client: redis.Redis, master: str) -> bool:
        try:
            return bool(client.execute_command("CLUSTER", "REPLICATE", master))
        except redis.ResponseError:
            # It has not heard of its master yet.
            return False

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def set_state(self, user: str, token: str, state: object, platform: str = "IOS") -> None:
        client = self.client()
        try:
            client.hset(f"UID_PID_TOKEN_STATUS:{user}:{platform}", token, str(state))
        finally:
            client.close()
