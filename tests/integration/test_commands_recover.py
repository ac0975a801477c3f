"""migrate, expire, gc and purge: killed at any moment, or cut off, and begun again, they come to the end of an unbroken run.

`KILLS=200 python -m pytest tests/integration/test_commands_recover.py` tries more moments.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from minio import Minio
from minio.deleteobjects import DeleteObject

from app.config.load import parse
from app.core.model import Record
from app.operations.expire import NO_KEYS, UNDER_WAY, Expired, Expiry
from app.operations.recovery import Patience
from app.operations.retention import Collection, Removed
from app.records.store import Records
from app.records.v340_table import LegacyTable
from app.storage.node import Node
from tests.cuts import relay
from tests.databases import OBJECT_TABLE, MariaDB
from tests.forks import Ended, Runner
from tests.sockets import unused_url
from tests.stack import ACCESS_KEY, PART, SECRET, SECRET_KEY, MinIONode, content_hash

KILLS = int(os.environ.get("KILLS", "20"))
COMMANDS = {
    "migrate": ["migrate", "m1", "m2"],
    "expire": ["expire", "--older-than", "100d", "--yes"],
    "gc": ["gc"],
    "purge": ["purge", "m1", "--yes"],
}
#: Metadata of what this program joins from parts.
OURS = {"writer": "openim-direct"}
YEAR = 365 * 86400_000


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


def content(number: int, size: int = 900) -> bytes:
    return random.Random(number).randbytes(size)


def deployment(bucket: str, urls: dict[str, str], records: str) -> dict[str, Any]:
    keys = {"bucket": bucket, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    return {
        "public_url": "http://127.0.0.1:1",
        "auth": {"secret": SECRET},
        "records": records,
        "nodes": {n: {"endpoint": url, **keys} for n, url in urls.items()},
        "instances": {f"i{n}": {"node": node, "bind": f"127.0.0.1:{n}"} for n, node in enumerate(urls, 2)},
    }


class World:
    """Objects and records as a command finds them, and as it leaves them. Each command has buckets of its own.

    :param folder: its records and file of nodes.
    """

    def __init__(self, command: str, folder: Path, nodes: dict[str, MinIONode]) -> None:
        self.nodes, self.bucket = nodes, f"recover-{command}"
        self.clients = {n: node.client() for n, node in nodes.items()}
        self.records = folder / "records.db"
        self.template = folder / "template.db"
        self.config = folder / "instances.yaml"
        for client in self.clients.values():
            client.make_bucket(bucket_name=self.bucket)
        #: Key to content and metadata, by node.
        self.objects: dict[str, dict[str, tuple[bytes, dict[str, str]]]] = {"m1": {}, "m2": {}}
        self.named: list[Record] = []
        self.unfinished = 0
        self.write_config({n: node.url for n, node in nodes.items()}, f"sqlite:///{self.records}")

    def write_config(self, urls: dict[str, str], records: str) -> None:
        document = deployment(self.bucket, urls, records)
        document["nodes"]["m1"]["drain"] = True
        self.config.write_text(yaml.safe_dump(document))

    def put(self, key: str, data: bytes, node: str = "m1", **metadata: str) -> str:
        self.objects[node][key] = data, metadata
        return hashlib.md5(data).hexdigest()

    def name(self, name: str, key: str, data: bytes, node: str = "m1", old: bool = False) -> None:
        """An object and a name that means it."""
        etag = self.put(key, data, node)
        if len(data) > PART:
            parts = [hashlib.md5(data[at : at + PART]).digest() for at in range(0, len(data), PART)]
            etag = f"{hashlib.md5(b''.join(parts)).hexdigest()}-{len(parts)}"
        now = 1_900_000_000_000
        created = now - 50 * YEAR if old else now
        self.named.append(Record(name, "u1", node, key, content_hash(data), etag, len(data), "image/png", "", created))

    def thumbnail(self, data: bytes, name: str, node: str = "m1") -> None:
        self.put(f"openim/thumbnail/{hashlib.md5(data).hexdigest()}/{name}", name.encode(), node)

    def reset(self) -> None:
        """As it was before the command."""
        if not self.template.exists():
            made = Records(f"sqlite:///{self.template}")
            for record in self.named:
                made.put(record)
            made.close()
        for file in self.records.parent.glob("records.db*"):
            file.unlink()
        shutil.copy(self.template, self.records)
        for node, client in self.clients.items():
            there = self.listed(client)
            wanted = self.objects[node]
            extra = [DeleteObject(key) for key in there if key not in wanted]
            assert list(client.remove_objects(bucket_name=self.bucket, delete_object_list=extra)) == []
            for key, (data, metadata) in wanted.items():
                if key not in there:
                    client.put_object(
                        bucket_name=self.bucket,
                        object_name=key,
                        data=io.BytesIO(data),
                        length=len(data),
                        part_size=PART,
                        metadata=dict(metadata),
                    )
        for _ in range(self.unfinished - len(self.uploads())):
            self.clients["m1"]._create_multipart_upload(self.bucket, "openim/data/hash/unfinished", {})

    def listed(self, client: Minio) -> dict[str, str]:
        found = client.list_objects(bucket_name=self.bucket, recursive=True)
        return {str(o.object_name): str(o.etag).strip('"') for o in found}

    def uploads(self) -> list[str]:
        found = self.clients["m1"]._list_multipart_uploads(self.bucket)
        return [u.object_name for u in found.uploads]

    def state(self) -> tuple[Any, ...]:
        """Records, the objects of both nodes, and unfinished uploads. Those that a killed migrate began on m2 are for gc."""
        made = Records(f"sqlite:///{self.records}")
        names = made.page("", 1000)
        made.close()
        listed = [self.without_probes(client) for client in self.clients.values()]
        return names, listed, self.uploads()

    def without_probes(self, client: Minio) -> dict[str, str]:
        return {key: etag for key, etag in self.listed(client).items() if not key.startswith("openim/probe/")}

    def keys(self, node: str) -> list[str]:
        return sorted(self.without_probes(self.clients[node]))

    def run(self, runner: Runner, command: str, **kill: Any) -> Ended:
        return runner.run(*COMMANDS[command], "--config", str(self.config), **kill)


def once(number: int) -> str:
    return f"openim/data/once/{content_hash(content(number))}_{number:016x}"


def shared(data: bytes) -> str:
    return f"openim/data/hash/{content_hash(data)}"


def fill(world: World, command: str) -> None:
    """What each command has to do with: every kind of key, objects of several names, names of several objects."""
    large, node = content(99, PART + 10), "m2" if command == "purge" else "m1"
    for n in range(6):
        world.name(f"u1/{n}", once(n), content(n), node, old=n % 2 == 0)
    # Objects of two names: both old, and one of them.
    world.name("u1/2-again", once(2), content(2), node, old=True)
    world.name("u1/4-again", once(4), content(4), node)
    # Two objects of one content share their thumbnails.
    world.name("u1/6", shared(content(0)), content(0), node)
    world.name("u1/7", shared(content(7)), content(7), node, old=True)
    world.name("u1/form", "openim/data/form/f", content(8), node, old=True)
    if command == "migrate":
        world.name("u1/large", shared(large), large, node)
    for picture in (0, 2, 3):
        world.thumbnail(content(picture), "image_w10_h10.png")
        world.thumbnail(content(picture), "image_w20_h20.png")
    if command in ("gc", "purge"):
        for n in range(20, 24):
            world.put(once(n), content(n))
        world.put(shared(content(24)), content(24), **OURS)
        # Joined by v3.4.0, perhaps.
        world.put(shared(content(25)), content(25))
        for key in ("data/form/lost", "temp/form/lost", "temp/2026/11/25/02/h_5_x.presigned", "probe/lost"):
            world.put(f"openim/{key}", b"lost")
        world.thumbnail(b"of nobody", "image_w10_h10.png")
        world.put("elsewhere/not-ours", b"not ours")
        world.unfinished = 2


def check(world: World, command: str) -> None:
    """That an unbroken run does what it is for."""
    names, (m1, m2), uploads = world.state()
    if command == "migrate":
        assert {r.node for r in names} == {"m2"}
        assert m1 == m2
        assert len(names) == 12
    elif command == "expire":
        assert [r.name for r in names] == ["u1/1", "u1/3", "u1/4-again", "u1/5", "u1/6"]
        kept = [once(1), once(3), once(4), once(5), shared(content(0))]
        assert [key for key in m1 if "thumbnail" not in key] == sorted(kept)
        # Of 0's content, which u1/6 still shows, and of 3.
        assert len(m1) - len(kept) == 4
    elif command == "gc":
        assert len(names) == 11
        lost = {key for key in world.objects["m1"] if key not in m1 and "probe" not in key}
        assert lost == {
            *(once(n) for n in range(20, 24)),
            shared(content(24)),
            *(f"openim/{key}" for key in ("data/form/lost", "temp/form/lost", "temp/2026/11/25/02/h_5_x.presigned")),
            f"openim/thumbnail/{hashlib.md5(b'of nobody').hexdigest()}/image_w10_h10.png",
        }
        assert uploads == []
        assert world.clients["m1"].list_objects(bucket_name=world.bucket, prefix="openim/probe/")
    else:
        assert list(m1) == ["elsewhere/not-ours"]
        assert len(m2) == len({r.key for r in names})
        assert uploads == []


@pytest.fixture(scope="module", params=COMMANDS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode], runner: Runner
) -> tuple[World, str, Ended, tuple[Any, ...]]:
    """The command, what an unbroken run of it told, and what it left."""
    command: str = request.param
    made = World(command, tmp_path_factory.mktemp(command), nodes)
    fill(made, command)
    made.reset()
    unbroken = made.run(runner, command)
    assert unbroken.code == 0, unbroken.output
    check(made, command)
    return made, command, unbroken, made.state()


def same_end(made: World, end: tuple[Any, ...], where: str) -> None:
    """That a run has left what an unbroken one leaves."""
    (names, nodes, uploads), (end_names, end_nodes, end_uploads) = made.state(), end
    assert names == end_names, where
    for found, wanted in zip(nodes, end_nodes, strict=True):
        assert found == wanted, f"{where}\ntoo many {found.keys() - wanted.keys()}, too few {wanted.keys() - found.keys()}"
    assert uploads == end_uploads, where


def test_killed_at_any_moment_and_run_again(world: tuple[World, str, Ended, tuple[Any, ...]], runner: Runner) -> None:
    made, command, unbroken, end = world
    draw = random.Random(command)
    for n in range(KILLS):
        # Spread over the whole run, and at any moment of a call.
        at = 1 + int((n + draw.random()) * unbroken.events / KILLS)
        later = draw.random() * 0.004
        made.reset()
        killed = made.run(runner, command, kill=at, later=later)
        # The last event may be its end.
        assert killed.code == -9 or at > unbroken.events - 3, (at, killed)
        again = made.run(runner, command)
        where = f"killed {1000 * later:.1f} ms after event {at} of {unbroken.events}"
        assert again.code == 0, f"{where}\n{again.output}"
        same_end(made, end, where)


def test_connections_that_are_cut_end_nothing(world: tuple[World, str, Ended, tuple[Any, ...]], runner: Runner) -> None:
    made, command, _, end = world
    shift = [0]

    def cuts(number: int) -> str | None:
        return {3: "before", 9: "after", 14: "half"}.get((number + shift[0]) % 17)

    with relay(made.nodes["m1"].port, cuts) as m1, relay(made.nodes["m2"].port, cuts) as m2:
        made.write_config({"m1": m1.url, "m2": m2.url}, f"sqlite:///{made.records}")
        told = ""
        for shift[0] in range(0, 17, 3):
            made.reset()
            done = made.run(runner, command)
            assert done.code == 0, done.output
            same_end(made, end, f"cuts shifted by {shift[0]}\n{done.output}")
            told += done.output
    made.write_config({n: node.url for n, node in made.nodes.items()}, f"sqlite:///{made.records}")
    assert m1.cut > 10
    # What the connections' own second try does not mend.
    assert command == "purge" or "calls were made again after a failure" in told


def test_two_entries_of_one_bucket_are_refused(world: tuple[World, str, Ended, tuple[Any, ...]], runner: Runner) -> None:
    """What is removed for the one would be gone for the other."""
    made, command, _, _ = world
    made.reset()
    before = made.state()
    url = made.nodes["m1"].url
    made.write_config({"m1": url, "m2": url.replace("127.0.0.1", "localhost")}, f"sqlite:///{made.records}")
    refused = made.run(runner, command)
    assert (refused.code, "m1 and m2 are one and the same bucket" in refused.output) == (2, True), refused.output
    assert made.state() == before
    made.write_config({n: node.url for n, node in made.nodes.items()}, f"sqlite:///{made.records}")


def test_a_node_that_is_down_is_left_to_the_next_run(
    world: tuple[World, str, Ended, tuple[Any, ...]], runner: Runner
) -> None:
    """It is named, the exit code tells, and what can be done without it is."""
    made, command, _, end = world
    made.reset()
    made.write_config({"m1": unused_url(), "m2": made.nodes["m2"].url}, f"sqlite:///{made.records}")
    down = made.run(runner, command)
    assert down.code == 1, down.output
    assert "node m1 does not answer" in down.output
    assert "node m2 does not answer" not in down.output
    made.write_config({n: node.url for n, node in made.nodes.items()}, f"sqlite:///{made.records}")
    again = made.run(runner, command)
    assert again.code == 0, again.output
    same_end(made, end, again.output)


def test_what_is_left_alone(tmp_path: Path, nodes: dict[str, MinIONode], monkeypatch: pytest.MonkeyPatch) -> None:
    """Contents that an upload may still complete, names on nodes without keys, objects of nodes that have another ID now."""
    bucket, client = "recover-rules", nodes["m1"].client()
    client.make_bucket(bucket_name=bucket)
    document = yaml.safe_dump(deployment(bucket, {"m1": nodes["m1"].url}, "sqlite:///unused.db"))
    node = Node(parse(document, {}, tmp_path).nodes["m1"], own=False)
    records = Records(f"sqlite:///{tmp_path}/records.db")

    def put(key: str, data: bytes, name: str | None = None, on: str = "m1", **metadata: str) -> None:
        client.put_object(
            bucket_name=bucket, object_name=key, data=io.BytesIO(data), length=len(data), metadata=dict(metadata)
        )
        if name is not None:
            etag = hashlib.md5(data).hexdigest()
            records.put(Record(name, "u1", on, key, content_hash(data), etag, len(data), "", "", 1))

    def expired(**more: Any) -> Expired:
        return Expiry(records, {"m1": node}, 100, patience=Patience(0), **{"grace": 0, **more}).run()

    def there() -> set[str]:
        return {str(o.object_name) for o in client.list_objects(bucket_name=bucket, recursive=True)}

    again, rewritten, elsewhere = shared(content(1)), shared(content(2)), once(3)
    put(again, content(1), "u1/again")
    put(rewritten, content(2), "u1/rewritten")
    put(elsewhere, content(3), "u1/elsewhere", on="m9")
    upload = node.create_upload(again)
    with monkeypatch.context() as m:
        # Both were written some seconds ago: after the marks, as a whole grace tells.
        m.setattr("app.operations.expire.time.sleep", lambda _: None)
        done = expired(grace=60)
    assert sorted(done.left.examples) == [
        ("u1/again", UNDER_WAY),
        ("u1/elsewhere", NO_KEYS.format("m9")),
        ("u1/rewritten", UNDER_WAY),
    ]
    assert there() == {again, rewritten, elsewhere}
    # Nobody finds them any more, but for the next run.
    assert records.get("u1/again") is None
    assert records.find(content_hash(content(1))) == []
    node.abort_upload(again, upload)
    # One that is named once more meanwhile keeps its object.
    put(rewritten, content(2), "u2/rewritten")
    records.put(msgspec.structs.replace(records.page("", 9, "m1")[-1], create_time=1000))
    done = expired()
    assert (done.names, done.objects, done.left.count) == (2, 1, 1)
    assert there() == {rewritten, elsewhere}
    assert [r.name for r in records.page("", 9)] == ["u1/elsewhere", "u2/rewritten"]

    def collected(older: float = -1, known: tuple[str, ...] = ("m1", "m2"), **more: Any) -> Removed:
        return Collection(records, node, older, known, patience=Patience(0), **more).run()

    # The object of m9, which is not in the file: this entry may have had that ID.
    ours, strange, abandoned = shared(content(4)), shared(content(5)), once(6)
    put(ours, content(4), **OURS)
    put(strange, content(5))
    # A copy on this node of what is named on another: of a migration that was not finished.
    put(abandoned, content(6), "u1/moves", on="m2")
    assert collected(older=3600).objects == 0
    upload = node.create_upload(ours)
    before = there()
    dry = collected(dry_run=True)
    assert (dry.objects, dry.strange, there() == before) == (1, 1, True)
    # An upload that is young enough keeps its object.
    assert node.unfinished(ours)
    done = collected()
    assert (done.uploads, done.objects, done.strange) == (1, 2, 1)
    assert there() == {rewritten, elsewhere, strange}
    assert collected(unnamed=True).objects == 1
    assert collected(known=("m1", "m2", "m9")).objects == 1
    assert there() == {rewritten}
    records.close()
    node.close()


def test_thousands_of_expired_names_on_mariadb_with_cuts(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    """Page by page: no statement is over 64 KiB, whatever there is, and connections to the database are cut meanwhile."""
    mariadb = MariaDB(tmp_path / "mariadb")
    client, bucket = nodes["m1"].client(), "recover-many"
    client.make_bucket(bucket_name=bucket)
    try:
        mariadb.start()
        mariadb.create("many", object_table=False)
        mariadb.execute("SET GLOBAL max_allowed_packet = 65536")

        def cuts(number: int) -> str | None:
            return {5: "before", 30: "after", 55: "half"}.get(number % 60)

        with relay(mariadb.port, cuts, http=False) as database:
            records = Records(f"mysql+pymysql://root:@127.0.0.1:{database.port}/many")
            patience = Patience(0.02)
            patience.records(records.prepare)
            fill_table(mariadb, "many", 5000)
            for n in range(0, 5000, 100):
                client.put_object(bucket_name=bucket, object_name=key_of(n), data=io.BytesIO(b"x"), length=1)
            document = yaml.safe_dump(deployment(bucket, {"m1": nodes["m1"].url}, "sqlite:///unused.db"))
            node = Node(parse(document, {}, tmp_path).nodes["m1"], own=False)
            done = Expiry(records, {"m1": node}, 10**12, patience=patience, page=100, grace=0).run()
            assert (done.left.count, done.given_up) == (0, "")
            # 10 of them are young, and one of these shares its object with an old one.
            assert (done.names, done.objects) == (4990, 4989)
            assert database.cut > 5
            records.close()
        left = mariadb.execute("SELECT name FROM openim_direct_object", (), "many")
        assert sorted(name for (name,) in left) == sorted(name_of(n).encode() for n in range(0, 5000, 500))
        there = [str(o.object_name) for o in client.list_objects(bucket_name=bucket, recursive=True)]
        assert sorted(there) == sorted(key_of(n) for n in range(0, 5000, 500))
        keeps_what_old_rows_name(mariadb, client, node, bucket)
    finally:
        mariadb.stop()


def keeps_what_old_rows_name(mariadb: MariaDB, client: Minio, node: Node, bucket: str) -> None:
    """Beside v3.4.0's table, gc needs no mark of ours to know what is v3.4.0's; its thumbnails stay too."""
    mariadb.execute(OBJECT_TABLE, database="many")
    named, lost = content(1), content(2)
    for data in (named, lost):
        for key in (shared(data), f"openim/thumbnail/{hashlib.md5(data).hexdigest()}/image_w10_h10.png"):
            client.put_object(bucket_name=bucket, object_name=key, data=io.BytesIO(data), length=len(data))
    row = ("u1/old", content_hash(named), shared(named))
    mariadb.execute("INSERT INTO object (name, hash, `key`, size) VALUES (%s, %s, %s, 900)", row, "many")
    before = {str(o.object_name) for o in client.list_objects(bucket_name=bucket, recursive=True)}
    records = Records(mariadb.url("many"), LegacyTable("m1"))
    done = Collection(records, node, -1, ["m1"], legacy=True, patience=Patience(0)).run()
    assert (done.objects, done.strange, done.given_up) == (2, 0, "")
    after = {str(o.object_name) for o in client.list_objects(bucket_name=bucket, recursive=True)}
    assert before - after == {shared(lost), f"openim/thumbnail/{hashlib.md5(lost).hexdigest()}/image_w10_h10.png"}
    records.close()
    node.close()


def name_of(n: int) -> str:
    return f"user{n % 97}/msg_picture_{n:08}.jpg"


def key_of(n: int) -> str:
    digest = hashlib.md5(str(n).encode()).hexdigest()
    return f"openim/data/once/{digest}_{n:016x}"


def fill_table(mariadb: MariaDB, database: str, count: int) -> None:
    """Records past the program; each 500th is young, and the second means the object of the first."""
    rows = []
    for n in range(count):
        key, digest = key_of(0 if n == 1 else n), hashlib.md5(str(0 if n == 1 else n).encode()).hexdigest()
        created = 10**12 + 1 if n % 500 == 0 else n + 1
        rows.append((name_of(n), "u1", "m1", key, digest, digest, 1, "image/jpeg", "", created))
    with mariadb.connect(database) as connection, connection.cursor() as cursor:
        for at in range(0, count, 100):
            cursor.executemany(f"INSERT INTO openim_direct_object VALUES ({', '.join(['%s'] * 10)})", rows[at : at + 100])
