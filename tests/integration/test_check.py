"""`openim-direct check` finds, by name, what is wrong: each set-up here is broken in one real way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin

from tests.databases import MariaDB, Redis
from tests.stack import ACCESS_KEY, REPO, SECRET_KEY, MinIONode, Process, Stack, free_port, program, running, wait_for


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode]) -> Iterator[Stack]:
    with running(Stack(tmp_path_factory.mktemp("check"), nodes, {"i1": "m1", "i2": "m2"})) as made:
        yield made


def check(
    stack: Stack,
    folder: Path,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    prefix: tuple[str, ...] = (),
    only: str = "",
) -> tuple[int, dict[tuple[str, str], tuple[str, str]], str]:
    """Exit code, (subject, check) to (result, detail), and all that was said."""
    document = yaml.safe_load(stack.config.read_text())
    change(document)
    file = folder / "changed.yaml"
    file.write_text(yaml.safe_dump(document))
    command = [*prefix, sys.executable, "-m", "app", "check", "--config", str(file), "--json"]
    done = subprocess.run(
        [*command, *(["--only", only] if only else [])], capture_output=True, text=True, cwd=REPO, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    found = {(c["subject"], c["name"]): (c["result"], c["detail"]) for c in json.loads(done.stdout)}
    return done.returncode, found, done.stdout + done.stderr


def assert_fault(
    checked: tuple[int, dict[tuple[str, str], tuple[str, str]], str], subject: str, name: str, *words: str
) -> None:
    code, found, told = checked
    result, detail = found[(subject, name)]
    assert (code, result) == (1, "fault"), told
    for word in words:
        assert word in detail, detail
    assert SECRET_KEY not in told
    assert "X-Amz-Signature" not in told


def test_a_sound_deployment(sound: Stack, tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    code, found, told = check(sound, tmp_path)
    assert code == 0, told
    assert {result for result, _ in found.values()} <= {"ok", "warning"}
    for node in ("m1", "m2"):
        for name in ("address", "clock", "credentials", "bucket", "PUT, GET, DELETE", "write-once PUT", "sign_endpoint"):
            assert found[(f"nodes.{node}", name)][0] == "ok", told
        # Nothing is left behind.
        listed = nodes[node].client().list_objects(bucket_name="openim", prefix="openim/probe/", recursive=True)
        assert list(listed) == []
    assert found[("instances.i1", "ready")][0] == "ok"
    plain = subprocess.run(
        [sys.executable, "-m", "app", "check", "--config", str(sound.config)],
        capture_output=True,
        text=True,
        cwd=REPO,
        check=False,
    )
    assert plain.returncode == 0
    assert "ok  nodes.m1  sign_endpoint" in plain.stdout
    assert "faults" in plain.stdout


def test_a_wrong_access_key(sound: Stack, tmp_path: Path) -> None:
    checked = check(sound, tmp_path, lambda d: d["nodes"]["m1"].update(access_key="nobody"))
    assert_fault(checked, "nodes.m1", "credentials", "does not know this access_key")
    assert checked[1][("nodes.m2", "credentials")][0] == "ok"


def test_a_wrong_secret_key(sound: Stack, tmp_path: Path) -> None:
    checked = check(sound, tmp_path, lambda d: d["nodes"]["m1"].update(secret_key="wrong-wrong"))
    assert_fault(checked, "nodes.m1", "credentials", "secret_key is wrong")


def test_a_bucket_that_is_missing_and_may_not_be_made(sound: Stack, tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    policy = tmp_path / "policy.json"
    statement = {"Effect": "Allow", "Action": ["s3:GetBucketLocation", "s3:ListBucket"], "Resource": ["arn:aws:s3:::*"]}
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    admin = MinioAdmin(
        endpoint=f"127.0.0.1:{nodes['m1'].port}", credentials=StaticProvider(ACCESS_KEY, SECRET_KEY), secure=False
    )
    admin.policy_add("no-make", str(policy))
    admin.user_add("no-make", "no-make-secret")
    admin.attach_policy(["no-make"], user="no-make")

    def change(document: dict[str, Any]) -> None:
        document["nodes"]["m1"].update(access_key="no-make", secret_key="no-make-secret", bucket="not-there")

    checked = check(sound, tmp_path, change)
    assert_fault(checked, "nodes.m1", "bucket", "not-there is not there", "make it by hand")


def test_a_bucket_that_is_missing_is_made(sound: Stack, tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    _, found, told = check(sound, tmp_path, lambda d: d["nodes"]["m1"].update(bucket="made-by-check"), only="m1")
    assert found[("nodes.m1", "bucket")] == ("ok", "made-by-check was not there, and was made"), told
    assert nodes["m1"].client().bucket_exists(bucket_name="made-by-check")


def through_nginx(folder: Path, location: str) -> tuple[Process, str]:
    """An nginx of an operator's own, with one location."""
    port = free_port()
    folder.mkdir()
    temps = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"user root; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temps} server {{ listen 127.0.0.1:{port}; {location} }} }}"
    )
    binary = program("nginx")
    return Process([binary, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-g", "daemon off;"], folder / "log"), (
        f"http://127.0.0.1:{port}"
    )


@pytest.mark.parametrize(
    ("location", "prefix", "words"),
    [
        (
            "location /s3/m1/ {{ proxy_pass http://{node}; proxy_set_header Host $http_host; }}",
            "/s3/m1",
            ["strip", "/s3/m1"],
        ),
        ("location /s3/m1/ {{ proxy_pass http://{node}/; }}", "/s3/m1", ["Host", "$http_host"]),
        ("location / {{ proxy_pass http://{node}; proxy_set_header Host $host; }}", "", ["Host", "loses the port"]),
        (
            "location /s3/m1/openim/ {{ proxy_pass http://{node}/; proxy_set_header Host $http_host; }}",
            "/s3/m1",
            ["strips too much"],
        ),
        ("location / {{ return 404; }}", "/s3/m1", ["not from S3"]),
    ],
    ids=[
        "prefix not stripped",
        "Host rewritten to the upstream",
        "Host without its port",
        "bucket stripped too",
        "not routed",
    ],
)
def test_proxies_that_break_signatures(
    sound: Stack, tmp_path: Path, nodes: dict[str, MinIONode], location: str, prefix: str, words: list[str]
) -> None:
    import requests

    process, url = through_nginx(tmp_path / "nginx", location.format(node=f"127.0.0.1:{nodes['m1'].port}"))
    process.start()
    try:
        wait_for("nginx", lambda: requests.get(url, timeout=1).status_code, log=process.log)
        checked = check(sound, tmp_path, lambda d: d["nodes"]["m1"].update(sign_endpoint=url + prefix))
        assert_fault(checked, "nodes.m1", "sign_endpoint", *words)
        # The node itself is sound: only the way to it is not.
        assert checked[1][("nodes.m1", "PUT, GET, DELETE")][0] == "ok"
    finally:
        process.stop()


def test_a_sign_endpoint_in_capitals_is_signed_as_clients_send_it(
    sound: Stack, tmp_path: Path, nodes: dict[str, MinIONode]
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["nodes"]["m1"]["sign_endpoint"] = nodes["m1"].url.replace("127.0.0.1", "LocalHost")

    _, found, told = check(sound, tmp_path, change, only="m1")
    assert found[("nodes.m1", "sign_endpoint")] == ("ok", ""), told


def test_a_clock_that_is_20_minutes_off(sound: Stack, tmp_path: Path) -> None:
    """This machine's own, by libfaketime: what counts is the difference to the node's."""
    checked = check(sound, tmp_path, prefix=(program("faketime"), "-f", "+20m"), only="m1")
    assert_fault(checked, "nodes.m1", "clock", "differs by 12", "NTP")


def test_a_sign_endpoint_that_nobody_answers_at(sound: Stack, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/s3/m1"
    checked = check(sound, tmp_path, lambda d: d["nodes"]["m1"].update(sign_endpoint=url))
    assert_fault(checked, "nodes.m1", "sign_endpoint", "nothing listens at", "clients send parts to")
    https = sound.url.replace("http:", "https:")
    checked = check(sound, tmp_path, lambda d: d["nodes"]["m1"].update(sign_endpoint=f"{https}/s3/m1"))
    assert_fault(checked, "nodes.m1", "sign_endpoint", "does not speak TLS")


def test_a_wrong_redis_password_and_a_missing_table(sound: Stack, tmp_path: Path) -> None:
    redis, mariadb = Redis(tmp_path / "redis"), MariaDB(tmp_path / "mariadb")
    try:
        redis.start()
        mariadb.start()
        records = mariadb.create("empty", object_table=False)

        def change(document: dict[str, Any]) -> None:
            document["auth"]["redis"] = redis.url.replace(redis.password, "mistyped-pw")
            document["records"] = records
            document["legacy"] = {"table": True, "node": "m1"}

        checked = check(sound, tmp_path, change)
        assert_fault(checked, "redis", "login", "password")
        assert_fault(checked, "records", "v3.4.0's table", "legacy.table")
        assert checked[1][("records", "database")][0] == "ok"
        assert "mistyped-pw" not in checked[2]

        def mended(document: dict[str, Any]) -> None:
            change(document)
            document["auth"]["redis"] = redis.url
            document["records"] = mariadb.create("whole")

        code, found, told = check(sound, tmp_path, mended)
        assert code == 0, told
        assert found[("records", "v3.4.0's table")][0] == "ok"
        redis.stop()
        mariadb.stop()
        checked = check(sound, tmp_path, change)
        assert_fault(checked, "redis", "login", "does not answer")
        assert_fault(checked, "records", "database", "cannot be reached")
    finally:
        redis.stop()
        mariadb.stop()


def test_a_node_that_is_down(sound: Stack, tmp_path: Path) -> None:
    checked = check(sound, tmp_path, lambda d: d["nodes"]["m1"].update(endpoint=f"http://127.0.0.1:{free_port()}"))
    assert_fault(checked, "nodes.m1", "address", "nothing listens at")
    checked = check(sound, tmp_path, lambda d: d["nodes"]["m1"].update(endpoint="http://no-such-host.invalid:9000"))
    assert_fault(checked, "nodes.m1", "address", "does not resolve")


def test_an_instance_that_is_another(sound: Stack, tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["instances"]["i1"]["url"], document["instances"]["i2"]["url"] = (
            sound.instance_url("i2"),
            sound.instance_url("i1"),
        )

    assert_fault(check(sound, tmp_path, change), "instances.i1", "ready", "answered by i2")
    checked = check(sound, tmp_path, lambda d: d["instances"]["i1"].update(url=f"http://127.0.0.1:{free_port()}"))
    assert_fault(checked, "instances.i1", "ready", "is it running")
    checked = check(sound, tmp_path, lambda d: d["instances"]["i1"].update(url=sound.url))
    assert_fault(checked, "instances.i1", "ready", "no instance")


def test_unfinished_uploads_that_end_before_ours(sound: Stack, tmp_path: Path) -> None:
    checked = check(sound, tmp_path, lambda d: d.update(uploads={"expire": "7d"}), only="m1")
    assert_fault(checked, "nodes.m1", "unfinished uploads", "stale_uploads_expiry")


def test_what_the_file_alone_tells(sound: Stack, tmp_path: Path) -> None:
    def public(document: dict[str, Any]) -> None:
        document["public_url"] = "http://im.example.com:10002"

    checked = check(sound, tmp_path, public)
    assert_fault(checked, "deployment", "auth.secret", "anyone can make tokens")
    assert_fault(checked, "deployment", "sign_endpoint", "to themselves")

    def elsewhere(document: dict[str, Any]) -> None:
        document["instances"]["i2"]["url"] = "http://10.255.255.1:10012"

    assert_fault(check(sound, tmp_path, elsewhere), "deployment", "public_url", "i2")
