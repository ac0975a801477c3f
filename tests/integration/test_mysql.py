"""MySQL itself, and what databases say: logins, TLS, tables that do not fit, drivers that are not enough."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from app.cli.main import main
from app.core.errors import DatabaseError
from app.core.model import Record
from app.records.database import Database
from app.records.store import Records
from app.records.v340_table import LegacyTable
from tests.databases import MariaDB, MySQL
from tests.stack import REPO, MinIONode, Stack, assert_envelope, running

USER = "CREATE USER %s IDENTIFIED WITH caching_sha2_password BY 'p@ss:w/rd'"
LOGIN = "p%40ss%3Aw%2Frd"


@pytest.fixture(scope="module")
def mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MySQL]:
    """Without TLS, as the first login of a user is hardest."""
    server = MySQL(tmp_path_factory.mktemp("mysql"), ["--tls-version="])
    try:
        server.start()
        yield server
    finally:
        server.stop()


def user_of(server: MariaDB, name: str, database: str) -> str:
    """A user whose password the server has not seen yet, and so asks for it encrypted by its key; the URL."""
    server.execute(USER, (name,))
    server.execute(f"GRANT ALL ON {database}.* TO {name}")
    return server.url(database).replace("root:@", f"{name}:{LOGIN}@")


def record(name: str, node: str = "m1") -> Record:
    return Record(name, "u1", node, "k", "0" * 32, "e" * 32, 5, "text/plain", "", 1)


def test_the_first_login_without_tls_and_all_that_records_do(mysql: MySQL) -> None:
    mysql.create("openIM_v3")
    url = user_of(mysql, "first", "openIM_v3")
    records = Records(url, LegacyTable("m1"), mirror=True)
    records.prepare()
    long = "u1/" + "n" * 1021
    for name in ("u1/a", "u1/A", "u1/图片.png", long):
        records.put(record(name))
        records.put(record(name, "m2"))
        records.add(record(name, "m3"))
        found = records.get(name)
        assert found is not None and (found.name, found.node) == (name, "m2")
    assert records.get("u1/none") is None
    assert len(records.find("0" * 32)) == 4
    assert records.totals()["m2"] == (1, 5)
    assert [r.name for r in records.page("", 2)] == ["u1/A", "u1/a"]
    assert records.move(record("u1/a", "m2"), "m4", "f" * 32) == 4
    assert records.old_names(["k", "other"]) == {"k"}
    records.close()


def test_a_deployment_on_mysql(tmp_path: Path, nodes: dict[str, MinIONode], mysql: MySQL) -> None:
    url = mysql.create("served")
    url = user_of(mysql, "served", "served")

    def change(document: dict[str, Any]) -> None:
        document |= {"records": url, "legacy": {"table": True, "node": "m1", "mirror": True}}

    with running(Stack(tmp_path, nodes, {"i1": "m1"}, change, balancer=None)) as stack:
        api = stack.api(stack.instance_url("i1"))
        content = os.urandom(1000)
        uploaded = api.upload(content, "u1/on-mysql").replace(stack.url, api.url)
        assert api.get(uploaded).content == content
        checked = stack.cli("check")
    assert "ok  records  database" in checked
    assert mysql.execute("SELECT size FROM object WHERE name = 'u1/on-mysql'", (), "served") == [(1000,)]


def test_a_login_that_the_driver_cannot_do_is_a_fault_with_its_cure(
    tmp_path: Path, nodes: dict[str, MinIONode], mysql: MySQL
) -> None:
    """As where PyMySQL was installed by hand, without the package `cryptography` that it needs for this."""
    mysql.create("bare", object_table=False)
    url = user_of(mysql, "bare", "bare")
    # Python takes it for one that cannot be imported.
    hidden = tmp_path / "hidden/cryptography"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('not here')")

    def change(document: dict[str, Any]) -> None:
        document["records"] = url

    stack = Stack(tmp_path / "stack", nodes, {"i1": "m1"}, change, balancer=None)
    without = {**os.environ, "PYTHONPATH": os.pathsep.join([str(hidden.parent), str(REPO)])}
    command = [sys.executable, "-m", "app", "check", "--config", str(stack.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPO, env=without)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "needs the Python package cryptography: pip install 'openim-direct[all]'" in done.stdout
    assert "p@ss" not in done.stdout + done.stderr
    stack.instances["i1"].env = without
    with running(stack):
        answer = stack.api(stack.instance_url("i1")).post(
            "initiate_multipart_upload", {"hash": "0" * 32, "size": 5, "name": "u1/x"}
        )
        assert "RuntimeError" in assert_envelope(answer, 90002, status=503)
    assert "Traceback" not in stack.instances["i1"].log.read_text()


def test_what_the_database_says_reaches_the_operator(tmp_path: Path, mysql: MySQL) -> None:
    mysql.create("said", object_table=False)
    mysql.execute("CREATE USER without IDENTIFIED WITH caching_sha2_password BY 'p@ss:w/rd'")
    at = f"127.0.0.1:{mysql.port}"
    cases = {
        f"mysql+pymysql://root:mistyped@{at}/said": ("1045", "Access denied", "user or password in `records` is wrong"),
        f"mysql+pymysql://without:{LOGIN}@{at}/said": ("1044", "Access denied", "GRANT ALL ON"),
        f"mysql+pymysql://root:@{at}/nothere": ("1049", "Unknown database", "CREATE DATABASE"),
        "mysql+pymysql://root:@127.0.0.1:1/said": ("2003", "Connection refused", "is it running"),
        f"mysql+pymysql://root:@{at}/said?ssl_ca=/nowhere.pem": ("FileNotFoundError", "/nowhere.pem", ""),
        f"mysql+pymysql://root:@{at}/said?ssl_verify_cert=true": ("2026", "SSL", ""),
    }
    for url, (kind, text, cure) in cases.items():
        with pytest.raises(DatabaseError) as failed:
            Records(url).prepare()
        said = str(failed.value)
        assert kind in said and text in said and cure in said, said
        # Clients learn the kind alone.
        assert kind in failed.value.detail and "127.0.0.1" not in failed.value.detail
        assert "mistyped" not in said and "p@ss" not in said


def test_tables_that_do_not_fit_are_named(mysql: MySQL) -> None:
    """What MySQL 5.6 says of our table, where long keys are not switched on; here of one with longer keys still."""
    database = Database(mysql.create("too_long", object_table=False))
    with pytest.raises(DatabaseError) as failed:
        database.change("create", lambda c: c.exec_driver_sql("CREATE TABLE t (name VARBINARY(4000) PRIMARY KEY)"))
    database.close()
    said = str(failed.value)
    assert "1071" in said and "key was too long" in said and "innodb_large_prefix=ON" in said
    assert "try again" not in said
    records = Records(mysql.url("too_long"))
    records.prepare()
    records.close()
    (row,) = mysql.execute("SHOW CREATE TABLE openim_direct_object", (), "too_long")
    assert "ENGINE=InnoDB" in row[1] and "ROW_FORMAT=DYNAMIC" in row[1]


def test_tls_of_mysql_is_verified_where_it_is_asked_for(tmp_path: Path) -> None:
    """The server's own certificate, of an authority and for a name that it made up itself."""
    server = MySQL(tmp_path / "tls")
    try:
        server.start()
        url = server.create("secure", object_table=False)
        authority = tmp_path / "tls/data/ca.pem"
        server.execute("CREATE USER secure IDENTIFIED BY 'pw' REQUIRE SSL")
        server.execute("GRANT ALL ON secure.* TO secure")
        url = url.replace("root:", "secure:pw")
        # Encrypted where the server offers it; of this authority; by the file of all servers.
        Records(url).prepare()
        Records(f"{url}?ssl_ca={authority}&ssl_verify_identity=false").prepare()
        Records(f"{url}?ssl_check_hostname=false", ca_file=str(authority)).prepare()
        for options, ca_file, says in (
            ("?ssl_verify_cert=true", None, "self-signed certificate in certificate chain"),
            (f"?ssl_ca={authority}", None, "not valid for '127.0.0.1'"),
            ("?ssl_verify_identity=true", str(authority), "not valid for '127.0.0.1'"),
        ):
            with pytest.raises(DatabaseError) as failed:
                Records(f"{url}{options}", ca_file=ca_file).prepare()
            assert says in str(failed.value), str(failed.value)
    finally:
        server.stop()


def test_special_characters_in_urls_are_faults_with_their_path(tmp_path: Path) -> None:
    good = {
        "public_url": "http://127.0.0.1:1",
        "auth": {"secret": "s"},
        "nodes": {"m1": {"endpoint": "http://h", "access_key": "a", "secret_key": "b"}},
        "instances": {"i1": {"node": "m1", "bind": "127.0.0.1:2"}},
    }
    file = tmp_path / "instances.yaml"
    for path, url in (
        ("auth.redis", "redis://:pa#ss@h:6379/0"),
        ("auth.redis", "redis://:pass@h:port/0"),
        ("auth.redis", "redis://:pass@h1:6379,h2:port/0"),
        ("records", "mysql+pymysql://u:p@ss@h/db"),
        ("records", "mysql+pymysql://u:pass@h:port/db"),
        ("records", "mysql+pymysql://u:pa/ss@h/db"),
    ):
        auth = {"secret": "s", "redis": url} if path == "auth.redis" else {"secret": "s"}
        file.write_text(yaml.safe_dump({**good, "auth": auth, **({"records": url} if path == "records" else {})}))
        for command in ("check", "serve i1", "config show"):
            done = CliRunner().invoke(main, [*command.split(), "--config", str(file)])
            assert done.exit_code == 2, done.output
            assert f"{file}: {path}: " in done.stderr
            assert not any(text in done.stderr for text in ("Traceback", "pass@", "pa#ss", "p@ss", "ss@h"))
