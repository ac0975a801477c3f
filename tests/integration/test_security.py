"""What the threat model in docs/security.md promises, against real nodes: nothing is read, changed or deleted by whom it
is not for."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin

from app.auth.sealing import FormTicket, Sealer
from tests.pictures import encoded, opened, photo
from tests.stack import (
    ACCESS_KEY,
    API,
    PART,
    SECRET,
    SECRET_KEY,
    MinIONode,
    Stack,
    assert_envelope,
    initiate_body,
    put_part,
    running,
    same,
)


def everything(nodes: dict[str, MinIONode]) -> dict[str, dict[str, str]]:
    """Key to ETag on every node."""
    found = {}
    for node in nodes.values():
        listed = node.client().list_objects(bucket_name="openim", recursive=True)
        found[node.id] = {str(o.object_name): str(o.etag) for o in listed if "/probe/" not in str(o.object_name)}
    return found


def test_eight_forgeries_change_nothing(stack: Stack, i1: API, nodes: dict[str, MinIONode]) -> None:
    """v3.4.0's two are in test_drop_in.py."""
    content = os.urandom(5)
    victim = stack.api(i1.url, user="victim")
    victim_url = victim.upload(os.urandom(100), "victim/picture")
    begun = victim.initiate(content, "victim/under-way")
    upload_id = begun["upload"]["uploadID"]
    (part,) = begun["upload"]["sign"]["parts"]
    attacker = stack.api(i1.url, user="attacker")
    sealer = Sealer([SECRET])
    ticket = sealer.open(upload_id)
    form = sealer.seal_form(FormTicket("attacker", "m1", "f" * 32, "attacker/x", 5, "", int(time.time()) + 60))
    expired = sealer.seal(msgspec.structs.replace(ticket, user="attacker", expires=int(time.time()) - 1))
    before = everything(nodes)

    def complete(api: API, an_id: str, name: str) -> requests.Response:
        return api.post("complete_multipart_upload", api.complete_body(content, an_id, name))

    # 1 another user's sealed ID, to sign and to complete
    assert_envelope(attacker.post("auth_sign", {"uploadID": upload_id, "partNumbers": [1]}), 1002)
    assert_envelope(complete(attacker, upload_id, "attacker/x"), 1002)
    # 2 an ID sealed for another purpose
    assert_envelope(complete(attacker, form, "attacker/x"), 500)
    assert_envelope(attacker.post("complete_form_data", {"id": upload_id}), 500)
    # 3 a complete under a name outside the caller's folder
    assert_envelope(complete(attacker, upload_id, "victim/picture"), 1002)
    # 4 names that reach another folder in disguise
    for name in (
        "attacker/../victim/picture",
        "attacker/..\\victim",
        "attacker%2f..%2fvictim/picture",
        "ATTACKER/x",
        "attacker",
    ):
        answer = attacker.post("initiate_multipart_upload", initiate_body(content, name))
        assert answer.json()["errCode"] in (1001, 1002), name
    # 5 a part number smuggled into the signed request
    assert put_part({**part, "url": part["url"] + "&partNumber=1&uploadId=x"}, content).status_code == 403
    # 6 another key with the same signature
    assert put_part({**part, "url": part["url"].replace("/once/", "/hash/")}, content).status_code == 403
    # 7 a byte more, or less, than was declared
    assert put_part(part, content + b"x").status_code == 403
    assert put_part(part, content[:-1]).status_code == 403
    # 8 an expired ID with a good signature
    assert_envelope(complete(attacker, expired, "attacker/x"), 500)

    assert everything(nodes) == before
    assert victim.get(f"{i1.url}/object/{victim_url.split('/object/')[1]}").status_code == 200
    # The victim itself goes on undisturbed.
    assert put_part(part, content).status_code == 200
    assert complete(victim, upload_id, "victim/under-way").json()["errCode"] == 0


def test_a_signed_view_shows_one_object_by_one_method(i1: API, nodes: dict[str, MinIONode]) -> None:
    i1.upload(os.urandom(10), "u1/one")
    i1.upload(os.urandom(20), "u1/two")
    one = i1.get(f"{i1.url}/object/u1/one", allow_redirects=False).headers["Location"]
    two = i1.get(f"{i1.url}/object/u1/two", allow_redirects=False).headers["Location"]
    key_one, key_two = (u.split("?")[0].rsplit("/", 1)[1] for u in (one, two))
    assert requests.get(one.replace(key_one, key_two), timeout=10).status_code == 403
    for method in ("PUT", "DELETE", "POST", "HEAD"):
        assert requests.request(method, one, timeout=10).status_code in (400, 403, 405), method
    assert requests.get(one.replace("attachment", "inline"), timeout=10).status_code == 403
    assert requests.get(one, timeout=10).status_code == 200


def test_a_secret_is_changed_while_uploads_run(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    old = Stack(tmp_path / "old", nodes, {"i1": "m1"}, balancer=None)
    content = os.urandom(100)
    with running(old):
        api = old.api(old.instance_url("i1"))
        begun = api.initiate(content, "u1/rotated")
        api.put(content, begun)

    def change(document: dict[str, Any]) -> None:
        document["auth"] = {"secrets": ["a new secret", SECRET]}

    with running(Stack(tmp_path / "new", nodes, {"i1": "m1"}, change, balancer=None)) as new:
        old_token = api
        old_token.url = new.instance_url("i1")
        body = api.complete_body(content, begun["upload"]["uploadID"], "u1/rotated")
        assert api.post("complete_multipart_upload", body).json()["errCode"] == 0
        fresh = api.initiate(os.urandom(9), "u1/fresh")["upload"]["uploadID"]
        assert Sealer(["a new secret"]).open(fresh).user == "u1"


def test_cors_with_credentials_only_for_listed_origins(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    def change(document: dict[str, Any]) -> None:
        document["cors"] = {"origins": ["https://web.example.com"]}

    with running(Stack(tmp_path, nodes, {"i1": "m1"}, change, balancer=None)) as stack:
        api = stack.api(stack.instance_url("i1"))
        for method, path in (("POST", "/object/part_limit"), ("OPTIONS", "/object/part_limit"), ("GET", "/object/none")):
            answers = {
                origin: requests.request(
                    method,
                    api.url + path,
                    headers={"Origin": origin, "Access-Control-Request-Headers": "token"},
                    timeout=10,
                ).headers
                for origin in ("https://web.example.com", "https://web.example.com.evil", "null")
            }
            listed = answers.pop("https://web.example.com")
            assert listed["Access-Control-Allow-Origin"] == "https://web.example.com"
            assert listed["Access-Control-Allow-Credentials"] == "true"
            assert listed["Vary"].startswith("Origin")
            assert listed["Access-Control-Allow-Headers"] == ("*, token" if method == "OPTIONS" else "*")
            for headers in answers.values():
                assert headers["Access-Control-Allow-Origin"] == "*"
                assert headers["Access-Control-Allow-Credentials"] == "false"
                assert headers["Vary"].startswith("Origin")


def test_limits_of_a_user(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    def change(document: dict[str, Any]) -> None:
        document["limits"] = {"uploads_per_hour": 3, "bytes_per_hour": 1000}
        document["server"] = {"workers": 1}

    with running(Stack(tmp_path, nodes, {"i1": "m1"}, change, balancer=None)) as stack:
        api, other = (stack.api(stack.instance_url("i1"), user=u) for u in ("many", "large"))
        for n in range(3):
            api.upload(os.urandom(10), f"many/{n}")
        detail = assert_envelope(api.post("initiate_multipart_upload", initiate_body(os.urandom(10), "many/4")), 1002)
        assert "3 uploads" in detail
        other.upload(os.urandom(900), "large/1")
        detail = assert_envelope(other.post("initiate_multipart_upload", initiate_body(os.urandom(200), "large/2")), 1002)
        assert "1000 bytes" in detail


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode]) -> Iterator[Stack]:
    """Instances whose keys have the printed policy and no more."""
    folder = tmp_path_factory.mktemp("least")
    # The bucket is there, so that the right to make it is not needed.
    for node in nodes.values():
        if not node.client().bucket_exists(bucket_name="openim"):
            node.client().make_bucket(bucket_name="openim")

    def change(document: dict[str, Any]) -> None:
        for node in document["nodes"].values():
            node.update(access_key="limited-user", secret_key="limited-secret")

    stack = Stack(folder, nodes, {"i1": "m1", "i2": "m2"}, change)
    for node in nodes.values():
        policy = folder / f"{node.id}.json"
        policy.write_text(stack.cli("policy", node.id))
        admin = MinioAdmin(
            endpoint=f"127.0.0.1:{node.port}", credentials=StaticProvider(ACCESS_KEY, SECRET_KEY), secure=False
        )
        admin.policy_add("openim-direct", str(policy))
        admin.user_add("limited-user", "limited-secret")
        admin.attach_policy(["openim-direct"], user="limited-user")
    with running(stack):
        yield stack


def test_the_main_flow_with_the_least_privilege(least: Stack, nodes: dict[str, MinIONode]) -> None:
    for instance in ("i1", "i2"):
        api = least.api(f"{least.url}/i/{instance}")
        for size in (100, PART + 100):
            content = os.urandom(size)
            name = f"u1/least-{instance}-{size}"
            url = api.upload(content, name)
            assert same(api.get(url).content, content)
            assert api.session.head(url, allow_redirects=True, timeout=10).status_code == 200
            assert api.initiate(content, f"{name}-again")["upload"] is None
        picture = api.upload(encoded(photo(300, 200, seed=int(instance[1:])), "JPEG"), f"u1/least-{instance}.jpg")
        assert opened(api.get(f"{picture}?type=image&width=100").content).size == (100, 66)
        # Write-once was probed with these rights too.
        assert api.initiate(os.urandom(9), "u1/least")["upload"]["sign"]["parts"][0]["header"]
        form = api.ok("initiate_form_data", {"name": "u1/least-form", "size": 3})
        requests.post(form["url"], data=form["formData"], files={"file": ("f", b"abc")}, timeout=10)
        assert api.get(api.ok("complete_form_data", {"id": form["id"]})["url"]).content == b"abc"
    # The commands too.
    assert "m1: removed 0 uploads, 0 objects" in least.cli("gc")
    from minio import Minio
    from minio.error import S3Error

    limited = Minio(
        endpoint=f"127.0.0.1:{nodes['m1'].port}", access_key="limited-user", secret_key="limited-secret", secure=False
    )
    assert limited.list_buckets() in ([], None) or [x.name for x in limited.list_buckets()] == ["openim"]
    for forbidden in (
        lambda: limited.remove_bucket(bucket_name="openim"),
        lambda: limited.delete_bucket_policy(bucket_name="openim"),
        lambda: limited.stat_object(bucket_name="openim", object_name="elsewhere/x"),
    ):
        with pytest.raises(S3Error) as e:
            forbidden()
        assert e.value.code == "AccessDenied"


def test_the_policy_is_a_policy(stack: Stack) -> None:
    policy = json.loads(stack.cli("policy", "m1"))
    assert policy["Version"] == "2012-10-17"
    actions = {a for s in policy["Statement"] for a in s["Action"]}
    assert "s3:GetObject" in actions
    assert not any("*" in action for action in actions)


def test_secrets_show_nowhere(stack: Stack, i1: API) -> None:
    i1.upload(os.urandom(10), "u1/shown")
    told = "\n".join(stack.process_titles())
    assert told
    told += "".join(p.log.read_text(errors="replace") for p in stack.instances.values())
    told += stack.cli("nginx") + stack.cli("haproxy") + requests.get(f"{i1.url}/readyz", timeout=5).text
    for secret in (SECRET, SECRET_KEY, i1.token, "X-Amz-Signature"):
        assert secret not in told
