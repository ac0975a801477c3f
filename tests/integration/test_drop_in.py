"""Beside a v3.4.0 deployment: its tokens in Redis, its names in MySQL, its objects on one node, its upload IDs."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from app.records.store import Records
from app.records.v340_table import LegacyTable
from tests.databases import MariaDB, Redis
from tests.stack import (
    API,
    PART,
    MinIONode,
    Stack,
    assert_envelope,
    content_hash,
    initiate_body,
    put_part,
    running,
    same,
)


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    server = MariaDB(tmp_path_factory.mktemp("mariadb"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode], mariadb: MariaDB, redis_server: Redis
) -> Iterator[Stack]:
    """The switch: v3.4.0's database, Redis and node m1, and a second node."""
    url = mariadb.create("openIM_v3")

    def change(document: dict[str, Any]) -> None:
        document["records"] = url
        document["auth"]["redis"] = redis_server.url
        document["auth"]["remember"] = 1
        document["legacy"] = {"table": True, "node": "m1", "mirror": True}

    with running(Stack(tmp_path_factory.mktemp("dropin"), nodes, {"i1": "m1", "i2": "m2"}, change)) as made:
        yield made


@pytest.fixture
def api(stack: Stack, redis_server: Redis) -> API:
    made = stack.api()
    redis_server.set_state("u1", made.token, 0)
    return made


def old_object(node: MinIONode, mariadb: MariaDB, name: str, content: bytes, content_type: str = "text/plain") -> str:
    """A row and an object as v3.4.0 makes them; its key."""
    content_md5 = content_hash(content)
    key = f"openim/data/hash/{content_md5}"
    node.client().put_object(bucket_name="openim", object_name=key, data=io.BytesIO(content), length=len(content))
    mariadb.execute(
        "INSERT INTO object VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (name, name.split("/")[0], content_md5, key, len(content), content_type, "", datetime.now()),
        "openIM_v3",
    )
    return key


@pytest.mark.parametrize(("state", "code"), [(0, 0), (2, 1506), (1, 1505), (3, 1505), ("", 1505), ("x", 1505), (None, 1507)])
def test_token_states(stack: Stack, redis_server: Redis, state: object, code: int) -> None:
    user = f"state{state}"
    api = stack.api(user=user)
    if state is not None:
        redis_server.set_state(user, api.token, state)
    answer = api.post("part_limit")
    assert answer.status_code == 200
    assert answer.json()["errCode"] == code


def test_a_token_of_the_same_user_on_another_platform(stack: Stack, redis_server: Redis) -> None:
    api = stack.api(user="platforms")
    redis_server.set_state("platforms", api.token, 0, platform="Android")
    assert_envelope(api.post("part_limit"), 1507)


def test_being_kicked_out_takes_effect_within_seconds(stack: Stack, redis_server: Redis) -> None:
    api = stack.api(user="kicked")
    redis_server.set_state("kicked", api.token, 0)
    for _ in range(6):
        api.ok("part_limit", {})
    redis_server.set_state("kicked", api.token, 2)
    time.sleep(1.2)
    for _ in range(6):
        assert_envelope(api.post("part_limit"), 1506)


def test_old_links_resolve(stack: Stack, api: API, nodes: dict[str, MinIONode], mariadb: MariaDB) -> None:
    content = os.urandom(500)
    old_object(nodes["m1"], mariadb, "u1/old 图.txt", content)
    for instance in ("i1", "i2"):
        answer = api.get(f"{stack.instance_url(instance)}/object/u1/old 图.txt")
        assert (answer.content, answer.headers["Content-Type"]) == (content, "text/plain")
    # v3.4.0 took names for one that differ in case, so that such links worked.
    assert same(api.get(f"{stack.url}/object/U1/OLD 图.txt").content, content)
    assert api.ok("access_url", {"name": "u1/old 图.txt"})["url"]
    assert api.get(f"{stack.url}/object/u1/never").status_code == 404


def test_new_content_under_an_old_name(stack: Stack, api: API, nodes: dict[str, MinIONode], mariadb: MariaDB) -> None:
    old, new = os.urandom(100), os.urandom(100)
    old_object(nodes["m1"], mariadb, "u1/renewed", old)
    assert same(api.get(f"{stack.url}/object/u1/renewed").content, old)
    api.upload(new, "u1/renewed")
    assert api.shows(f"{stack.url}/object/u1/renewed", new)


def test_old_content_is_not_sent_again(stack: Stack, api: API, nodes: dict[str, MinIONode], mariadb: MariaDB) -> None:
    content = os.urandom(100)
    old_object(nodes["m1"], mariadb, "u1/known", content)
    begun = api.post(
        "initiate_multipart_upload", initiate_body(content, "u1/known-too"), headers={"Cookie": "OPENIM_INSTANCE=i1"}
    )
    assert begun.json()["data"]["upload"] is None
    assert same(api.get(f"{stack.url}/object/u1/known-too").content, content)


def test_the_mirror_holds_new_rows_in_v3_4_0s_form(stack: Stack, api: API, mariadb: MariaDB) -> None:
    content = os.urandom(100)
    api.upload(content, "u1/mirrored.png", content_type="image/png")
    (row,) = mariadb.execute(
        "SELECT user_id, hash, `key`, size, content_type, cause, create_time FROM object WHERE name = %s",
        ("u1/mirrored.png",),
        "openIM_v3",
    )
    assert row[:2] == ("u1", content_hash(content))
    assert row[3:6] == (100, "image/png", "")
    assert abs(row[6] - datetime.now()) < timedelta(minutes=1)
    # v3.4.0 would sign this key.
    assert row[2] in [key for node in stack.nodes.values() for key in node.keys()]  # noqa: SIM118
    # Once more under the same name: the row follows.
    api.upload(content + b"2", "u1/mirrored.png", content_type="image/gif")
    (row,) = mariadb.execute("SELECT size, content_type FROM object WHERE name = 'u1/mirrored.png'", (), "openIM_v3")
    assert row == (101, "image/gif")


def test_what_does_not_fit_the_old_table_is_logged(stack: Stack, api: API, mariadb: MariaDB) -> None:
    long_name = "u1/" + "n" * 300
    api.upload(b"first", "u1/Fits")
    api.upload(b"second", "u1/fits")
    api.upload(b"long", long_name)
    assert [api.get(f"{stack.url}/object/{n}").content for n in ("u1/Fits", "u1/fits", long_name)] == [
        b"first",
        b"second",
        b"long",
    ]
    rows = mariadb.execute("SELECT name, size FROM object WHERE name = 'u1/fits' OR LENGTH(name) > 191", (), "openIM_v3")
    assert rows == [("u1/Fits", 5)]
    log = "".join(p.log.read_text() for p in stack.instances.values())
    assert "longer than 191 characters" in log
    assert "takes its name for that of another object" in log


def test_the_old_table_is_never_altered(stack: Stack, mariadb: MariaDB) -> None:
    (row,) = mariadb.execute("SHOW CREATE TABLE object", (), "openIM_v3")
    assert row[1].count("`") == 20
    assert "openim_direct_object" in [t for (t,) in mariadb.execute("SHOW TABLES", (), "openIM_v3")]


def test_several_processes_create_our_table_at_once(mariadb: MariaDB) -> None:
    url = mariadb.create("at_once", object_table=False)
    all_there = threading.Barrier(8)

    def prepare(_: int) -> None:
        records = Records(url)
        all_there.wait()
        records.prepare()
        records.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(prepare, range(8)))
    tables = mariadb.execute("SHOW TABLES", (), "at_once")
    assert tables == [("openim_direct_object",)]


def test_keys_that_old_rows_name(mariadb: MariaDB) -> None:
    """`expire` keeps their objects."""
    url = mariadb.create("named_keys")
    mariadb.execute("INSERT INTO object (name, `key`, size) VALUES ('u1/a', 'k1', 1), ('u1/b', 'k2', 1)", (), "named_keys")
    records = Records(url, LegacyTable("m1"))
    assert records.old_names(["k1", "k3"]) == {"k1"}
    assert records.old_names([]) == set()
    # Longer than its key can be: in no row, and no question to the database.
    assert records.get("n" * 192) is None
    records.close()


def legacy_id(**fields: Any) -> str:
    """As v3.4.0 makes them: a type, b S3 upload, c key, d size, e hash."""
    return base64.b64encode(json.dumps(fields).encode()).decode()


@pytest.mark.parametrize("instance", ["i1", "i2"])
def test_an_upload_begun_on_v3_4_0_ends_here(
    stack: Stack, redis_server: Redis, nodes: dict[str, MinIONode], instance: str
) -> None:
    api = stack.api(stack.instance_url(instance))
    redis_server.set_state("u1", api.token, 0)
    content = os.urandom(2 * PART + 9)
    md5 = content_hash(content)
    key = f"openim/data/hash/{md5}"
    upload = nodes["m1"].client()._create_multipart_upload("openim", key, {})
    upload_id = legacy_id(a=1, b=upload, c=key, d=len(content), e=md5)
    signed = api.ok("auth_sign", {"uploadID": upload_id, "partNumbers": [1, 2, 3]})
    for part in signed["parts"]:
        assert put_part(part, content[(part["partNumber"] - 1) * PART :][:PART]).status_code == 200
    # A name of its own: a view of the other one's may be kept for seconds.
    body = api.complete_body(content, upload_id, f"u1/in-flight-{instance}")
    for _ in range(2):
        done = api.ok("complete_multipart_upload", body)
    assert same(api.get(done["url"]).content, content)


def test_forged_v3_4_0_ids_do_nothing(stack: Stack, api: API, nodes: dict[str, MinIONode], mariadb: MariaDB) -> None:
    """The two forgeries that work on v3.4.0, and siblings."""
    victim = os.urandom(100)
    key = old_object(nodes["m1"], mariadb, "u9/victim", victim)
    before = nodes["m1"].keys()
    mine = hashlib.md5(b"mine").hexdigest()
    forged = {
        "overwrite another's object": legacy_id(a=2, c=key, d=5, e=content_hash(b"12345")),
        "delete by a wrong temporary": legacy_id(a=2, b="", c=key, d=100, e=mine),
        "a foreign key": legacy_id(a=1, b="x", c=key, d=3 * PART, e=mine),
        "a key with dots": legacy_id(a=1, b="x", c="openim/data/hash/../../x", d=3 * PART, e=mine),
        "a hash that is none": legacy_id(a=1, b="x", c="openim/data/hash/zz", d=3 * PART, e="zz"),
        "a newline": legacy_id(a=1, b="x", c=f"openim/data/hash/{mine}\n", d=3 * PART, e=f"{mine}\n"),
        "no upload": legacy_id(a=1, b="", c=f"openim/data/hash/{mine}", d=3 * PART, e=mine),
        "one part": legacy_id(a=1, b="x", c=f"openim/data/hash/{mine}", d=5, e=mine),
        "no size": legacy_id(a=1, b="x", c=f"openim/data/hash/{mine}", d=-1, e=mine),
        "smuggled": legacy_id(a=1, b="x&partNumber=1", c=f"openim/data/hash/{mine}", d=3 * PART, e=mine),
    }
    for what, upload_id in forged.items():
        body = {"uploadID": upload_id, "parts": [mine], "name": "u1/forged", "contentType": "", "cause": ""}
        answer = api.post("complete_multipart_upload", body)
        assert answer.json()["errCode"] == 500, what
    assert nodes["m1"].keys() == before
    assert same(api.get(f"{stack.url}/object/u9/victim").content, victim)


def test_the_url_begins_with_what_later_clients_ask_for(stack: Stack, api: API) -> None:
    content = os.urandom(60)
    asked = {"X-Request-Api": "https://im.example.com:8443/api/"}
    begun = api.post("initiate_multipart_upload", initiate_body(content, "u1/asked"), headers=asked).json()["data"]
    api.put(content, begun)
    body = api.complete_body(content, begun["upload"]["uploadID"], "u1/asked")
    expected = "https://im.example.com:8443/api/object/u1/asked"
    assert api.post("complete_multipart_upload", body, headers=asked).json()["data"]["url"] == expected
    again = api.post("initiate_multipart_upload", initiate_body(content, "u1/asked"), headers=asked)
    assert again.json()["data"] == {"url": expected, "upload": None}
    for odd in ("javascript:alert(1)", "https://h/?a=b", "ftp://h", "x" * 300, "https://u:p@h", "https://h/#"):
        answer = api.post("complete_multipart_upload", body, headers={"X-Request-Api": odd})
        assert answer.json()["data"]["url"] == f"{stack.url}/object/u1/asked"


def send_form(form: dict[str, Any], content: bytes, **more: str) -> requests.Response:
    fields = {**form["formData"], **more}
    return requests.post(form["url"], data=fields, files={form["file"]: ("f", content)}, timeout=20)


def test_form_uploads(stack: Stack, api: API, nodes: dict[str, MinIONode]) -> None:
    content = os.urandom(3000)
    request = {"name": "u1/form.png", "size": len(content), "contentType": "image/png", "group": "g"}
    form = api.ok("initiate_form_data", request)
    assert abs(form["expires"] / 1000 - time.time() - 600) < 5
    assert set(form["successCodes"]) == {200, 204}
    # Only what was declared.
    for wrong in (content[:-1], content + b"x"):
        assert send_form(form, wrong).status_code in (400, 403)
    assert send_form(form, content, **{"Content-Type": "text/html"}).status_code == 403
    assert send_form(form, content, key="openim/data/hash/x").status_code == 403
    assert_envelope(api.post("complete_form_data", {"id": form["id"]}), 500)
    assert send_form(form, content).status_code in form["successCodes"]
    urls = {api.ok("complete_form_data", {"id": form["id"]})["url"] for _ in range(2)}
    assert urls == {f"{stack.url}/object/u1/form.png"}
    answer = api.get(urls.pop())
    assert (answer.content, answer.headers["Content-Type"]) == (content, "image/png")
    # The form still works, and changes nothing any more.
    assert send_form(form, bytes(len(content))).status_code in form["successCodes"]
    api.ok("complete_form_data", {"id": form["id"]})
    assert same(api.get(f"{stack.url}/object/u1/form.png").content, content)


def test_forms_of_others_and_forged_ones(stack: Stack, api: API, redis_server: Redis) -> None:
    form = api.ok("initiate_form_data", {"name": "u1/mine", "size": 3})
    send_form(form, b"abc")
    other = stack.api(user="u2")
    redis_server.set_state("u2", other.token, 0)
    assert_envelope(other.post("complete_form_data", {"id": form["id"]}), 1002)
    for bad in ("", "x", form["id"][:-2], base64.b64encode(b'{"name":"u1/x","key":"openim/data/x"}').decode()):
        assert_envelope(api.post("complete_form_data", {"id": bad}), 500)
    # An ID of one purpose does not serve another.
    begun = api.initiate(os.urandom(9), "u1/purpose")
    assert_envelope(api.post("complete_form_data", {"id": begun["upload"]["uploadID"]}), 500)
    assert_envelope(api.post("auth_sign", {"uploadID": form["id"], "partNumbers": [1]}), 500)
    for size in (0, -1, 6 << 30):
        assert_envelope(api.post("initiate_form_data", {"name": "u1/size", "size": size}), 1001)
    assert_envelope(api.post("initiate_form_data", {"name": "u2/x", "size": 1}), 1002)


def test_redis_down_lets_nobody_in(
    tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode], mariadb: MariaDB
) -> None:
    folder = tmp_path_factory.mktemp("redisdown")
    server = Redis(folder / "redis")
    server.start()

    def change(document: dict[str, Any]) -> None:
        document["auth"]["redis"] = server.url
        document["auth"]["remember"] = 0

    try:
        with running(Stack(folder, nodes, {"i1": "m1"}, change, balancer=None)) as stack:
            api = stack.api(stack.instance_url("i1"))
            server.set_state("u1", api.token, 0)
            api.ok("part_limit", {})
            server.stop()
            start = time.monotonic()
            detail = assert_envelope(api.post("part_limit"), 90002, status=503)
            assert "Redis" in detail
            assert server.password not in detail
            assert time.monotonic() - start < 4
            # Views need no token.
            assert api.get(f"{api.url}/object/u1/none").status_code == 404
            server.start()
            server.set_state("u1", api.token, 0)
            api.ok("part_limit", {})
    finally:
        server.stop()


def test_the_database_down_is_a_503_and_the_retry_succeeds(
    tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode]
) -> None:
    """Also where it goes away between the parts and the record: nothing is lost."""
    folder = tmp_path_factory.mktemp("dbdown")
    server = MariaDB(folder / "db")
    server.start()
    url = server.create("openIM_v3")

    def change(document: dict[str, Any]) -> None:
        document["records"] = url

    try:
        with running(Stack(folder, nodes, {"i1": "m1"}, change, balancer=None)) as stack:
            api = stack.api(stack.instance_url("i1"))
            cases = []
            for size in (100, PART + 100):
                content = os.urandom(size)
                begun = api.initiate(content, f"u1/db{size}")
                api.put(content, begun)
                cases.append((content, api.complete_body(content, begun["upload"]["uploadID"], f"u1/db{size}")))
            server.stop()
            for _, body in cases:
                assert_envelope(api.post("complete_multipart_upload", body), 90002, status=503)
            assert api.get(f"{api.url}/object/u1/db100").status_code == 503
            server.start()
            for content, body in cases:
                url = api.ok("complete_multipart_upload", body)["url"]
                assert same(api.get(f"{api.url}/object/{url.split('/object/')[1]}").content, content)
    finally:
        server.stop()


def test_the_node_of_an_old_object_is_found_and_remembered(
    tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode], mariadb: MariaDB
) -> None:
    url = mariadb.create("auto_node")

    def change(document: dict[str, Any]) -> None:
        document["records"] = url
        document["legacy"] = {"table": True, "node": "auto"}

    with running(Stack(tmp_path_factory.mktemp("auto"), nodes, {"i1": "m1"}, change, balancer=None)) as stack:
        api = stack.api(stack.instance_url("i1"))
        content = os.urandom(90)
        key = f"openim/data/hash/{content_hash(content)}"
        nodes["m2"].client().put_object(bucket_name="openim", object_name=key, data=io.BytesIO(content), length=90)
        for name, at in (("u1/there", key), ("u1/lost", "openim/data/hash/none")):
            mariadb.execute("INSERT INTO object (name, `key`, size) VALUES (%s, %s, 90)", (name, at), "auto_node")
        view = f"{api.url}/object/u1/there"
        assert same(api.get(view).content, content)
        rows = mariadb.execute("SELECT name, node FROM openim_direct_object", (), "auto_node")
        assert rows == [(b"u1/there", "m2")]
        assert same(api.get(view).content, content)
        answer = api.get(f"{api.url}/object/u1/lost")
        assert (answer.status_code, "none of the nodes" in answer.text) == (404, True)


def test_public_read(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode]) -> None:
    def change(document: dict[str, Any]) -> None:
        document["nodes"]["m1"].update(public_read=True, bucket="openim-public")

    with running(Stack(tmp_path_factory.mktemp("public"), nodes, {"i1": "m1"}, change, balancer=None)) as stack:
        api = stack.api(stack.instance_url("i1"))
        content = os.urandom(90)
        api.upload(content, "u1/public 图.png", content_type="image/png")
        redirect = api.get(f"{api.url}/object/u1/public 图.png", allow_redirects=False)
        assert "Signature" not in redirect.headers["Location"]
        answer = api.get(redirect.headers["Location"])
        assert same(answer.content, content)
        # Reading is public, writing is not.
        plain = redirect.headers["Location"].split("?")[0]
        assert requests.put(plain, data=b"x", timeout=10).status_code == 403
        assert requests.get(f"{nodes['m1'].url}/openim-public", timeout=10).status_code == 403
