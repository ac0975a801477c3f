"""From two nodes to a cluster while users upload and look; and what is removed afterwards."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import yaml
from minio import Minio
from minio.commonconfig import COMPLIANCE
from minio.objectlockconfig import DAYS, ObjectLockConfig

from tests.databases import MariaDB
from tests.stack import (
    ACCESS_KEY,
    API,
    PART,
    REPO,
    SECRET_KEY,
    MinIOCluster,
    MinIONode,
    Stack,
    assert_envelope,
    initiate_body,
    running,
    same,
    started,
    wait_for,
)

MIB = 1 << 20
ODD = ["图 片.png", "a%2Fb", "a+b&c=d", "q?x#y", 'quo"te', "dot.", " space ", "é\u0301", "😀.gif", "a//b", "-rf", "x" * 900]


def command(stack: Stack, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "app", *arguments, "--config", str(stack.config)]


def run(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(stack, *arguments), capture_output=True, text=True, check=False, cwd=REPO, timeout=240)


def rewrite(stack: Stack, change: Any) -> None:
    change(stack.document)
    stack.config.write_text(yaml.safe_dump(stack.document))


def restart(stack: Stack, *instances: str) -> None:
    for instance in instances:
        stack.instances[instance].stop()
        stack.instances[instance].start()
        stack.wait_ready(instance)


class Links:
    """What was uploaded, by URL, and readers that compare all the while."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.wrong: list[str] = []
        self.reads = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._poll, args=(n,)) for n in range(2)]

    def add(self, url: str, content: bytes) -> None:
        with self._lock:
            self.contents[url] = content

    def check(self, session: requests.Session, url: str) -> None:
        got = session.get(url, timeout=60)
        if got.status_code != 200 or got.content != self.contents[url]:
            self.wrong.append(f"{url}: HTTP {got.status_code}, {len(got.content)} bytes of {len(self.contents[url])}")

    def _poll(self, seed: int) -> None:
        draw = random.Random(seed)
        with requests.Session() as session:
            while not self._stop.is_set():
                with self._lock:
                    url = draw.choice(list(self.contents))
                if len(self.contents[url]) < 20 * MIB or draw.random() < 0.1:
                    self.check(session, url)
                    self.reads += 1

    def check_all(self) -> None:
        with ThreadPoolExecutor(6) as pool, requests.Session() as session:
            list(pool.map(lambda url: self.check(session, url), list(self.contents)))

    def __enter__(self) -> Links:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def fill(stack: Stack, links: Links, count: int) -> None:
    """Objects of 1 byte to 200 MiB with odd names, on both nodes."""
    draw = random.Random(7)
    sizes = [1, 2, PART, PART + 1, 200 * MIB, *(draw.randrange(MIB, 12 * MIB) for _ in range(10))]
    sizes += [draw.randrange(1, 30_000) for _ in range(count - len(sizes))]

    def one(n: int) -> None:
        instance = "i1" if n % 2 else "i2"
        api = stack.api(f"{stack.url}/i/{instance}")
        content = os.urandom(sizes[n])
        links.add(api.upload(content, f"u1/{n}/{ODD[n % len(ODD)]}"), content)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(count)))


def test_500_objects_move_under_load_with_two_kills(tmp_path: Path) -> None:
    with nodes_and_cluster(tmp_path) as stack:
        move_all(stack, stack.nodes)


@contextlib.contextmanager
def nodes_and_cluster(folder: Path) -> Iterator[Stack]:
    """i1 on m1, i2 on m2, i3 on the cluster c1."""
    nodes: dict[str, MinIONode] = {n: MinIONode(n, folder / n) for n in ("m1", "m2")}
    nodes["c1"] = MinIOCluster("c1", folder / "c1")
    with started(nodes), running(Stack(folder / "s", nodes, {"i1": "m1", "i2": "m2", "i3": "c1"})) as stack:
        yield stack


def move_all(stack: Stack, nodes: Mapping[str, MinIONode]) -> None:
    links = Links()
    fill(stack, links, 500)
    # The same content under several names moves once, for all of them.
    twin = os.urandom(5000)
    for n in range(5):
        links.add(stack.api(f"{stack.url}/i/i1").upload(twin, f"u1/twin{n}"), twin)
    refused = run(stack, "purge", "m1", "--yes")
    assert (refused.returncode, "drain is not true" in refused.stderr) == (2, True)

    rewrite(stack, lambda d: [d["nodes"][n].update(drain=True) for n in ("m1", "m2")])
    restart(stack, "i3", "i1", "i2")
    refused = run(stack, "purge", "m1", "--yes")
    assert (refused.returncode, "migrate them first" in refused.stderr) == (2, True)
    before = {n: len(nodes[n].keys("openim/data/")) for n in ("m1", "m2")}

    with links:
        stop = threading.Event()

        def upload(n: int) -> None:
            api, number = stack.api(user=f"new{n}"), 0
            while not stop.is_set():
                content = os.urandom(2000)
                links.add(api.upload(content, f"new{n}/{number}"), content)
                number += 1
                time.sleep(0.05)

        uploaders = [threading.Thread(target=upload, args=(n,)) for n in range(3)]
        for thread in uploaders:
            thread.start()
        for _ in range(2):
            child = subprocess.Popen(
                command(stack, "migrate", "m1", "m2", "c1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=REPO
            )
            time.sleep(2.5)
            assert child.poll() is None, "it ended before it could be killed"
            child.send_signal(signal.SIGKILL)
            child.wait()
        done = run(stack, "migrate", "m1", "m2", "c1", "--verify", "full")
        stop.set()
        for thread in uploaders:
            thread.join()
        assert done.returncode == 0, done.stdout + done.stderr
        again = run(stack, "migrate", "m1", "m2", "c1")
        assert "moved 0 objects of 0 names" in again.stdout
    assert links.reads > 50
    assert links.wrong == []
    # What users sent meanwhile went to the cluster, and nothing was deleted at the sources.
    assert {n: len(nodes[n].keys("openim/data/")) for n in ("m1", "m2")} == before
    assert len(nodes["c1"].keys("openim/data/")) > 501

    unasked = run(stack, "purge", "m1")
    assert (unasked.returncode, "Delete everything" in unasked.stderr) == (1, True)
    assert len(nodes["m1"].keys("openim/data/")) == before["m1"]
    gone = run(stack, "purge", "m1", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert nodes["m1"].keys("openim/") == []
    for node in ("m1", "m2"):
        nodes[node].stop()
    for instance in ("i1", "i2"):
        stack.instances[instance].stop()
    # Redirects that nginx keeps are some seconds old.
    time.sleep(6)
    links.check_all()
    assert links.wrong == []
    # Links that name an instance that is gone, at the balancer and at an instance itself.
    url, content = next((u, c) for u, c in links.contents.items() if len(c) < 30_000)
    for base in (stack.url, stack.instance_url("i3")):
        for instance in ("i1", "i3", "never"):
            prefixed = url.replace(f"{stack.url}/object/", f"{base}/i/{instance}/object/")
            assert same(requests.get(prefixed, timeout=10).content, content)


def test_status_shows_what_lies_where(tmp_path: Path) -> None:
    nodes = {n: MinIONode(n, tmp_path / n) for n in ("m1", "m2")}
    with started(nodes), running(Stack(tmp_path / "s", nodes, {"i1": "m1", "i2": "m2"}, balancer=None)) as stack:
        one, two = stack.api(stack.instance_url("i1")), stack.api(stack.instance_url("i2"))
        content = os.urandom(700)
        for name in ("a", "b"):
            one.upload(content, f"u1/{name}")
        two.upload(os.urandom(300), "u1/c")
        two.upload(os.urandom(200), "u1/d")
        done = run(stack, "status", "--json")
        assert done.returncode == 0, done.stdout
        found = json.loads(done.stdout)
        shown = [(n["id"], n["up"], n["objects"], n["bytes"]) for n in found["nodes"]]
        assert shown == [("m1", True, 1, 700), ("m2", True, 2, 500)]
        assert [(i["id"], i["node"], i["ready"]) for i in found["instances"]] == [("i1", "m1", True), ("i2", "m2", True)]
        text = run(stack, "status").stdout
        assert "700 B" in text
        assert "58 %" in text
        stack.instances["i2"].stop()
        nodes["m2"].stop()
        down = run(stack, "status", "--json")
        assert down.returncode == 1
        (m1, m2), (i1, i2) = (json.loads(down.stdout)[k] for k in ("nodes", "instances"))
        assert (m1["up"], m2["up"], i1["ready"], i2["ready"]) == (True, False, True, False)
        assert "does not answer" in m2["reason"]
        assert "refused" in i2["reason"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode]) -> Iterator[Stack]:
    """m1 drains to m2; each in a bucket of its own, so that other tests' objects do not count."""

    def change(document: dict[str, Any]) -> None:
        for node in document["nodes"].values():
            node["bucket"] = "migration"

    with running(Stack(tmp_path_factory.mktemp("pair"), nodes, {"i1": "m1", "i2": "m2"}, change, balancer=None)) as made:
        yield made


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["m1"], "name the nodes to move from"),
        (["m1", "m1"], "both FROM and TO"),
        (["m1", "m1", "m2"], "named twice"),
        (["m1", "m9"], "no such node: m9"),
        (["m1", "m2", "--bandwidth", "fast"], "is no size"),
        (["m1", "m2", "--parallel", "0"], "parallel"),
    ],
)
def test_what_makes_no_sense(pair: Stack, arguments: list[str], says: str) -> None:
    done = run(pair, "migrate", *arguments)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_what_is_not_moved_is_told_and_kept(pair: Stack, nodes: dict[str, MinIONode]) -> None:
    one = pair.api(pair.instance_url("i1"))
    contents = {f"u1/{name}": os.urandom(3000) for name in ("stays", "gone", "changed", "taken", "there")}
    urls = {name: one.upload(content, name) for name, content in contents.items()}
    assert len(set(urls.values())) == 5
    m1, m2 = nodes["m1"].client(), nodes["m2"].client()
    keys = {n: k for k in nodes["m1"].keys(bucket="migration") for n in contents if content_is(m1, k, contents[n])}
    m1.remove_object(bucket_name="migration", object_name=keys["u1/gone"])
    put(m1, keys["u1/changed"], b"other content")
    put(m2, keys["u1/taken"], b"taken already" * 9)
    put(m2, keys["u1/there"], contents["u1/there"])

    dry = run(pair, "migrate", "m1", "m2", "--dry-run")
    assert "would move 3 objects" in dry.stdout
    assert dry.returncode == 1
    done = run(pair, "migrate", "m1", "m2")
    assert done.returncode == 1
    assert "moved 2 objects of 2 names to m2" in done.stdout
    assert "1 were there already" in done.stdout
    assert "not moved: 3" in done.stdout
    assert "u1/gone: its object is gone" in done.stdout
    assert "u1/changed: its object changed since it was recorded" in done.stdout
    assert "u1/taken: another content lies at its key on the target" in done.stdout
    assert "drain is not true" in done.stderr
    time.sleep(1.1)
    for name in ("stays", "there"):
        view = one.get(f"{one.url}/object/u1/{name}", allow_redirects=False)
        assert view.headers["Location"].startswith(nodes["m2"].url)
        assert same(one.get(view.headers["Location"]).content, contents[f"u1/{name}"])
    # Still what it was.
    assert same(one.get(f"{one.url}/object/u1/taken").content, contents["u1/taken"])


def content_is(client: Minio, key: str, content: bytes) -> bool:
    got = client.get_object(bucket_name="migration", object_name=key)
    try:
        return bool(got.read() == content)
    finally:
        got.close()
        got.release_conn()


def put(client: Minio, key: str, content: bytes, bucket: str = "migration") -> None:
    client.put_object(bucket_name=bucket, object_name=key, data=io.BytesIO(content), length=len(content))


def test_a_target_that_is_down_or_refuses_or_keeps(pair: Stack, nodes: dict[str, MinIONode], tmp_path: Path) -> None:
    def against(**change: Any) -> subprocess.CompletedProcess[str]:
        document = yaml.safe_load(pair.config.read_text())
        document["records"] = f"sqlite:///{pair.folder}/data/records.db"
        document["nodes"]["m2"].update(change)
        file = tmp_path / "other.yaml"
        file.write_text(yaml.safe_dump(document))
        arguments = [sys.executable, "-m", "app", "migrate", "m1", "m2", "--config", str(file)]
        return subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=REPO, timeout=60)

    down = against(endpoint="http://127.0.0.1:9")
    assert (down.returncode, "does not answer" in down.stderr) == (1, True), down.stderr
    wrong = against(secret_key="wrong-secret")
    assert (wrong.returncode, "secret_key of the node is wrong" in wrong.stderr) == (1, True), wrong.stderr
    missing = against(bucket="never-made")
    assert (missing.returncode, "bucket" in missing.stderr) == (1, True), missing.stderr
    client = nodes["m2"].client()
    client.make_bucket(bucket_name="locked", object_lock=True)
    client.set_object_lock_config(bucket_name="locked", config=ObjectLockConfig(COMPLIANCE, 1, DAYS))
    locked = against(bucket="locked")
    assert (locked.returncode, "object lock (COMPLIANCE 1 Days)" in locked.stderr) == (1, True), locked.stderr
    # No room: a quota stands for a full disk.
    from minio.credentials.providers import StaticProvider
    from minio.minioadmin import MinioAdmin

    client.make_bucket(bucket_name="small-room")
    admin = MinioAdmin(
        endpoint=f"127.0.0.1:{nodes['m2'].port}", credentials=StaticProvider(ACCESS_KEY, SECRET_KEY), secure=False
    )
    admin.bucket_quota_set("small-room", 1)
    full = against(bucket="small-room")
    assert full.returncode == 1, full.stdout
    assert "quota" in (full.stderr + full.stdout).lower()


def test_bandwidth_is_kept(pair: Stack) -> None:
    one = pair.api(pair.instance_url("i1"))
    one.upload(os.urandom(6 * MIB), "u1/slow")
    start = time.monotonic()
    run(pair, "migrate", "m1", "m2", "--bandwidth", "2MiB")
    assert 2.5 < time.monotonic() - start < 20


def test_new_uploads_go_elsewhere_while_a_node_drains(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    with running(Stack(tmp_path / "s", nodes, {"i1": "m1", "i2": "m2"}, balancer=None)) as stack:
        one = stack.api(stack.instance_url("i1"))
        known, late = os.urandom(3000), os.urandom(3000)
        one.upload(known, "u1/known")
        begun = one.initiate(late, "u1/late")
        rewrite(stack, lambda d: d["nodes"]["m1"].update(drain=True))
        restart(stack, "i1", "i2")
        # What is known on m1 alone is sent again, to m2: a name recorded on m1 now could be missed by migrate.
        again = one.post("initiate_multipart_upload", initiate_body(known, "u1/known-2"))
        assert again.json()["data"]["upload"] is not None
        assert again.headers["X-OpenIM-Direct-Forwarded-To"] == "i2"
        url = one.upload(os.urandom(100), "u1/new")
        where = one.get(url.replace(stack.url, one.url), allow_redirects=False).headers["Location"]
        assert where.startswith(nodes["m2"].url)
        form = one.ok("initiate_form_data", {"name": "u1/form", "size": 3})
        assert form["url"].startswith(nodes["m2"].url)
        # One that was under way ends where it began.
        one.put(late, begun)
        one.ok("complete_multipart_upload", one.complete_body(late, begun["upload"]["uploadID"], "u1/late"))
        assert same(one.get(f"{one.url}/object/u1/late").content, late)
        stack.instances["i2"].stop()
        answer = one.post("initiate_multipart_upload", initiate_body(os.urandom(9), "u1/nobody"))
        assert "m2" in assert_envelope(answer, 90004, status=503)


def test_objects_of_v3_4_0_move_too(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    mariadb = MariaDB(tmp_path / "mariadb")
    try:
        mariadb.start()
        url = mariadb.create("openIM_v3")

        def change(document: dict[str, Any]) -> None:
            document["records"] = url
            document["legacy"] = {"table": True, "node": "m1"}
            document["nodes"]["m1"]["bucket"] = document["nodes"]["m2"]["bucket"] = "old-ones"

        with running(Stack(tmp_path / "s", nodes, {"i1": "m1", "i2": "m2"}, change, balancer=None)) as stack:
            from tests.stack import content_hash

            contents = {f"u1/Old {n} 图": os.urandom(1000 + n) for n in range(30)}
            for name, content in contents.items():
                key = f"openim/data/hash/{content_hash(content)}"
                put(nodes["m1"].client(), key, content, "old-ones")
                mariadb.execute(
                    "INSERT INTO object VALUES (%s, 'u1', %s, %s, %s, 'text/plain', '', NOW(3))",
                    (name, content_hash(content), key, len(content)),
                    "openIM_v3",
                )
            rows = mariadb.execute("SELECT * FROM object ORDER BY name", (), "openIM_v3")
            done = run(stack, "migrate", "m1", "m2")
            assert done.returncode == 0, done.stdout + done.stderr
            assert "moved 30 objects of 30 names" in done.stdout
            assert "moved 0 objects" in run(stack, "migrate", "m1", "m2").stdout
            two = stack.api(stack.instance_url("i2"))
            time.sleep(1.1)
            for name, content in contents.items():
                # v3.4.0 takes names that differ only in case for one.
                for asked in (name, name.upper()):
                    view = two.get(f"{two.url}/object/{quote(asked)}", allow_redirects=False)
                    assert view.headers["Location"].startswith(nodes["m2"].url)
                    assert same(two.get(view.headers["Location"]).content, content)
            assert mariadb.execute("SELECT * FROM object ORDER BY name", (), "openIM_v3") == rows
    finally:
        mariadb.stop()


def test_expire_removes_names_and_what_no_name_needs(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    def change(document: dict[str, Any]) -> None:
        document["nodes"]["m1"]["bucket"] = "expiring"

    with running(Stack(tmp_path / "s", nodes, {"i1": "m1"}, change, balancer=None)) as stack:
        api = stack.api(stack.instance_url("i1"))
        shared, alone = os.urandom(900), os.urandom(900)
        api.upload(shared, "u1/old-shared", content_type="image/png")
        api.upload(alone, "u1/old-alone", content_type="video/mp4")
        # 200 days ago.
        with sqlite3.connect(stack.folder / "data/records.db") as database:
            database.execute("UPDATE openim_direct_object SET create_time = create_time - 200 * 86400000")
        database.close()
        api.upload(shared, "u1/young-shared", content_type="image/png")
        assert len(nodes["m1"].keys(bucket="expiring")) == 2
        assert "would remove 2 names" in run(stack, "expire", "--older-than", "180d", "--dry-run").stdout
        videos = run(stack, "expire", "--older-than", "180d", "--content-type", "video/", "--dry-run")
        assert "would remove 1 names" in videos.stdout
        assert "removed 0 names" in run(stack, "expire", "--older-than", "300d", "--yes").stdout
        assert run(stack, "expire", "--older-than", "180d").returncode == 1, "not confirmed"
        assert len(nodes["m1"].keys(bucket="expiring")) == 2
        done = run(stack, "expire", "--older-than", "180d", "--yes")
        assert done.returncode == 0, done.stderr
        assert "removed 2 names, 1 objects, 900 B" in done.stdout
        assert api.get(f"{api.url}/object/u1/old-shared").status_code == 404
        assert api.get(f"{api.url}/object/u1/old-alone").status_code == 404
        assert same(api.get(f"{api.url}/object/u1/young-shared").content, shared)
        assert len(nodes["m1"].keys(bucket="expiring")) == 1
        assert run(stack, "expire", "--older-than", "soon").returncode == 2


def test_gc_removes_what_was_never_finished(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    def change(document: dict[str, Any]) -> None:
        document["nodes"]["m1"]["bucket"] = "unfinished"

    with running(Stack(tmp_path / "s", nodes, {"i1": "m1"}, change, balancer=None)) as stack:
        api: API = stack.api(stack.instance_url("i1"))
        done, never = os.urandom(900), os.urandom(900)
        api.upload(done, "u1/done")
        api.put(never, api.initiate(never, "u1/never"))
        api.initiate(os.urandom(3 * PART), "u1/parts")
        assert len(nodes["m1"].keys(bucket="unfinished")) == 2
        told = run(stack, "gc").stdout
        assert "m1: removed 0 uploads, 0 objects" in told
        # As if it were two days later.
        from app.cli.options import load_config
        from app.compose import create_nodes, create_records
        from app.operations.retention import Collection

        deployment = load_config(str(stack.config))
        made, records = create_nodes(deployment), create_records(deployment)
        try:
            dry = Collection(records, made["m1"], -60, ["m1"], dry_run=True).run()
            assert (dry.uploads, dry.objects) == (1, 1)
            found = Collection(records, made["m1"], -60, ["m1"]).run()
            assert (found.uploads, found.objects, found.bytes) == (1, 1, 900)
            assert made["m1"].unfinished() == []
        finally:
            records.close()
            for node in made.values():
                node.close()
        assert same(api.get(f"{api.url}/object/u1/done").content, done)
        assert len(nodes["m1"].keys(bucket="unfinished")) == 1


def test_urls_that_name_the_instance(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    with running(Stack(tmp_path / "s", nodes, {"i1": "m1", "i2": "m2"}, lambda d: d.update(urls="instance"))) as stack:
        api = stack.api()
        content = os.urandom(500)
        url = api.upload(content, "u1/图 named.bin")
        prefix = url.split("/object/")[0]
        assert prefix in (f"{stack.url}/i/i1", f"{stack.url}/i/i2")
        other = {"i1": "i2", "i2": "i1"}[prefix[-2:]]
        plain = f"{stack.url}/object/u1/图 named.bin"
        # Both kinds, at the instance that is named, at another, and at one that never was.
        for shown in (url, plain, url.replace(prefix, f"{stack.url}/i/{other}"), url.replace(prefix, f"{stack.url}/i/gone")):
            assert same(api.get(shown).content, content)
        asked = {"X-Request-Api": "https://im.example.com/api"}
        again = api.post("initiate_multipart_upload", initiate_body(content, "u1/again"), headers=asked).json()["data"][
            "url"
        ]
        assert again in [f"https://im.example.com/api/i/{i}/object/u1/again" for i in ("i1", "i2")]
        form = api.ok("initiate_form_data", {"name": "u1/form", "size": 3})
        requests.post(form["url"], data=form["formData"], files={"file": ("f", b"abc")}, timeout=10)
        assert "/i/i" in api.ok("complete_form_data", {"id": form["id"]})["url"]
        rewrite(stack, lambda d: d.update(urls="name"))
        restart(stack, "i1", "i2")
        assert api.upload(os.urandom(10), "u1/plain") == f"{stack.url}/object/u1/plain"
        wait_for("the old kind", lambda: api.get(url).content == content)


def readme_steps() -> dict[int, list[str]]:
    """The commands of README's walk-through, by step."""
    text = (REPO / "README.md").read_text().split("## Moving to a MinIO cluster", 1)[1].split("\n## ", 1)[0]
    steps: dict[int, list[str]] = {}
    number = 0
    for line in text.splitlines():
        if re.match(r"\d\. \*\*", line):
            number = int(line[0])
            steps[number] = []
        elif line.startswith("        openim-direct "):
            steps[number].append(line.strip())
    return steps


def test_the_walk_through_in_the_readme(tmp_path: Path) -> None:
    steps = readme_steps()
    assert sorted(steps) == [1, 2, 3, 4, 5, 6]
    with nodes_and_cluster(tmp_path) as stack:
        links = Links()
        for n in range(20):
            content = os.urandom(2000)
            links.add(stack.api(f"{stack.url}/i/i{n % 2 + 1}").upload(content, f"u1/{n}"), content)
        for number, commands in steps.items():
            if number == 2:
                rewrite(stack, lambda d: [d["nodes"][n].update(drain=True) for n in ("m1", "m2")])
                restart(stack, "i3", "i1", "i2")
            if number == 6:
                for instance in ("i1", "i2"):
                    stack.instances.pop(instance).stop()
                for node in ("m1", "m2"):
                    stack.nodes[node].stop()
                rewrite(stack, lambda d: [d["nodes"].pop(n) for n in ("m1", "m2")])
                rewrite(stack, lambda d: [d["instances"].pop(i) for i in ("i1", "i2")])
                restart(stack, "i3")
            for line in commands:
                done = run(stack, *shlex.split(line)[1:])
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
                if number == 4:
                    assert "moved 0 objects" in done.stdout
        assert stack.nodes["c1"].keys("openim/data/")
        time.sleep(6)
        links.check_all()
        assert links.wrong == []
