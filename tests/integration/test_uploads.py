"""The life of an upload on real nodes: what becomes an object and a record, and what never does."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from app.auth.sealing import Sealer
from app.config.load import load
from app.core.errors import ArgsError
from app.operations.client import Client
from app.records.store import Records
from tests.stack import (
    API,
    PART,
    SECRET,
    MinIONode,
    Stack,
    assert_envelope,
    initiate_body,
    part_hashes,
    put_part,
    running,
    same,
)


@pytest.fixture(scope="module")
def round_robin(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode]) -> Iterator[Stack]:
    """The worst balancer: each request goes to the other instance, whatever cookie or token says."""

    def edit(text: str) -> str:
        assert text.count("hash $oim_key consistent;") == 1
        # One process, since each keeps a turn of its own.
        return text.replace("hash $oim_key consistent;", "").replace("worker_processes auto;", "worker_processes 1;")

    with running(Stack(tmp_path_factory.mktemp("rr"), nodes, {"i1": "m1", "i2": "m2"}, balancer=edit)) as made:
        yield made


def test_200_of_200_uploads_through_a_round_robin_balancer(round_robin: Stack, tmp_path: Path) -> None:
    """v3.4.0 with two nodes: 0 of 40."""
    sizes = [100 + i for i in range(140)] + [PART] * 29 + [PART + 1] * 29 + [25 * PART + 12345] * 2
    assert len(sizes) == 200
    token = round_robin.token()
    instances: Counter[str] = Counter()

    def one(number: int) -> bool:
        file = tmp_path / str(number)
        block = os.urandom(min(sizes[number], 1 << 20))
        file.write_bytes((block * (sizes[number] // len(block) + 1))[: sizes[number]])
        client = Client(round_robin.url, token, keep_cookies=False)
        url, was_there = client.upload(file, f"u1/rr/{number}", "application/octet-stream")
        instances.update(client.cookies_seen)
        equal = client.download(url) == file.read_bytes()
        file.unlink()
        return equal and not was_there

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(one, range(200))) == 200
    # Both had their turns, and the requests that came to the wrong one were answered with the owner's cookie.
    assert min(instances["i1"], instances["i2"]) > 200


@pytest.mark.parametrize("size", [1, 5, PART - 1, PART, PART + 1, 3 * PART])
def test_sizes_around_a_part(api: API, size: int) -> None:
    content = os.urandom(size)
    url = api.upload(content, f"u1/size-{size}")
    assert same(api.get(url).content, content)


def test_a_small_file_is_one_put_and_no_copy(i1: API, nodes: dict[str, MinIONode], small: bytes) -> None:
    before = set(nodes["m1"].keys())
    begun = i1.initiate(small, "u1/once")
    assert set(nodes["m1"].keys()) == before
    (part,) = begun["upload"]["sign"]["parts"]
    assert part["header"] == [{"key": "If-None-Match", "values": ["*"]}]
    assert put_part(part, small).status_code == 200
    (key,) = set(nodes["m1"].keys()) - before
    assert key.startswith(f"openim/data/once/{hashlib.md5(hashlib.md5(small).hexdigest().encode()).hexdigest()}_")
    i1.ok("complete_multipart_upload", i1.complete_body(small, begun["upload"]["uploadID"], "u1/once"))
    assert set(nodes["m1"].keys()) - before == {key}


def test_storage_calls_of_a_small_upload(i1: API, nodes: dict[str, MinIONode], small: bytes) -> None:
    """The client's PUT and the instance's HEAD, counted by MinIO itself. v3.4.0 makes seven."""

    def calls() -> Counter[str]:
        text = requests.get(f"{nodes['m1'].url}/minio/v2/metrics/cluster", timeout=10).text
        found: Counter[str] = Counter()
        for line in text.splitlines():
            if line.startswith("minio_s3_requests_total{"):
                api = line.split('api="')[1].split('"')[0]
                found[api] += int(float(line.rsplit(" ", 1)[1]))
        return found

    def settled() -> Counter[str]:
        # The metric is cached for some seconds.
        time.sleep(12)
        return calls()

    i1.upload(os.urandom(10), "u1/warm")
    before = settled()
    for n in range(10):
        i1.upload(small + bytes([n]), f"u1/calls-{n}")
    made = settled() - before
    # The probes of both workers go on meanwhile.
    made.pop("headbucket", None)
    # Now and then they write and remove an object.
    made["putobject"] -= made.pop("deleteobject", 0)
    # The client's PUT, and one HEAD of the instance's.
    assert made == {"putobject": 10, "headobject": 10}, made


def test_the_second_put_of_a_signed_url_is_refused(i1: API, small: bytes) -> None:
    """So content that was completed cannot be changed with the URL that made it."""
    begun = i1.initiate(small, "u1/again")
    (part,) = begun["upload"]["sign"]["parts"]
    assert put_part(part, small).status_code == 200
    done = i1.ok("complete_multipart_upload", i1.complete_body(small, begun["upload"]["uploadID"], "u1/again"))
    assert put_part(part, bytes(len(small))).status_code == 412
    assert requests.put(part["url"], data=bytes(len(small)), timeout=10).status_code in (400, 403)
    assert same(i1.get(done["url"]).content, small)


def test_a_signed_put_takes_exactly_the_declared_length(i1: API, nodes: dict[str, MinIONode]) -> None:
    before = nodes["m1"].keys()
    small, large = os.urandom(5), os.urandom(PART + 5)
    for content in (small, large):
        begun = i1.initiate(content, "u1/length")
        for part in begun["upload"]["sign"]["parts"]:
            length = len(content) if content is small else [PART, 5][part["partNumber"] - 1]
            for wrong in (length - 1, length + 1):
                assert put_part(part, bytes(wrong)).status_code == 403
        assert_envelope(
            i1.post("complete_multipart_upload", i1.complete_body(content, begun["upload"]["uploadID"], "u1/length")), 500
        )
    assert nodes["m1"].keys() == before


def test_wrong_content_is_removed_and_the_right_one_may_follow(i1: API, nodes: dict[str, MinIONode], small: bytes) -> None:
    before = nodes["m1"].keys()
    begun = i1.initiate(small, "u1/wrong")
    (part,) = begun["upload"]["sign"]["parts"]
    assert put_part(part, bytes(len(small))).status_code == 200
    body = i1.complete_body(small, begun["upload"]["uploadID"], "u1/wrong")
    assert "other content" in assert_envelope(i1.post("complete_multipart_upload", body), 1001)
    assert nodes["m1"].keys() == before
    assert i1.get(f"{i1.url}/object/u1/wrong").status_code == 404
    assert put_part(part, small).status_code == 200
    assert same(i1.get(i1.ok("complete_multipart_upload", body)["url"]).content, small)


def test_a_changed_or_missing_part_makes_no_object(i1: API, nodes: dict[str, MinIONode]) -> None:
    content = os.urandom(2 * PART + 7)
    before = nodes["m1"].keys()
    begun = i1.initiate(content, "u1/parts")
    body = i1.complete_body(content, begun["upload"]["uploadID"], "u1/parts")
    first, second, third = begun["upload"]["sign"]["parts"]
    assert put_part(first, content[:PART]).status_code == 200
    assert put_part(second, bytes(PART)).status_code == 200
    assert "part 3 of 3" in assert_envelope(i1.post("complete_multipart_upload", body), 500)
    assert put_part(third, content[2 * PART :]).status_code == 200
    assert "part 2 holds other content" in assert_envelope(i1.post("complete_multipart_upload", body), 500)
    assert nodes["m1"].keys() == before
    assert i1.get(f"{i1.url}/object/u1/parts").status_code == 404
    # A part may be sent again until it is right.
    assert put_part(second, content[PART : 2 * PART]).status_code == 200
    assert same(i1.get(i1.ok("complete_multipart_upload", body)["url"]).content, content)


def test_part_hashes_that_do_not_fit_the_upload(i1: API, small: bytes) -> None:
    begun = i1.initiate(small, "u1/hashes")
    i1.put(small, begun)
    body = i1.complete_body(small, begun["upload"]["uploadID"], "u1/hashes")
    for parts in ([], ["0" * 32], body["parts"] * 2, ["zz"], ["é" * 32], [""]):
        assert_envelope(i1.post("complete_multipart_upload", {**body, "parts": parts}), 500)
    assert i1.get(f"{i1.url}/object/u1/hashes").status_code == 404
    i1.ok("complete_multipart_upload", body)


@pytest.mark.parametrize("size", [4096, PART + 4096])
def test_completing_again_answers_the_same(api: API, size: int) -> None:
    content = os.urandom(size)
    begun = api.initiate(content, f"u1/twice-{size}")
    api.put(content, begun)
    body = api.complete_body(content, begun["upload"]["uploadID"], f"u1/twice-{size}")
    urls = {api.ok("complete_multipart_upload", body)["url"] for _ in range(3)}
    assert len(urls) == 1
    assert same(api.get(urls.pop()).content, content)


@pytest.mark.parametrize("size", [4096, PART + 4096])
def test_many_complete_at_once(api: API, size: int) -> None:
    content = os.urandom(size)
    begun = api.initiate(content, f"u1/crowd-{size}")
    api.put(content, begun)
    body = api.complete_body(content, begun["upload"]["uploadID"], f"u1/crowd-{size}")

    def complete(_: int) -> int:
        return int(API(api.url, api.token, "u1").post("complete_multipart_upload", body).json()["errCode"])

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(complete, range(16))) == {0}
    assert same(api.get(f"{api.url}/object/u1/crowd-{size}").content, content)


def test_two_uploads_of_the_same_content_at_once(i1: API, small: bytes) -> None:
    first, second = i1.initiate(small, "u1/a1"), i1.initiate(small, "u1/a2")
    for begun, name in ((first, "u1/a1"), (second, "u1/a2")):
        i1.put(small, begun)
        i1.ok("complete_multipart_upload", i1.complete_body(small, begun["upload"]["uploadID"], name))
    assert [i1.get(f"{i1.url}/object/u1/{n}").content for n in ("a1", "a2")] == [small, small]


def test_known_content_is_not_sent_again(stack: Stack, i1: API, small: bytes) -> None:
    i1.upload(small, "u1/known")
    begun = i1.initiate(small, "u1/known-2", contentType="image/png")
    # The balancer's, whichever instance answered.
    assert begun == {"url": f"{stack.url}/object/u1/known-2", "upload": None}
    answer = i1.get(f"{i1.url}/object/u1/known-2")
    assert (answer.content, answer.headers["Content-Type"]) == (small, "image/png")


@pytest.mark.parametrize("size", [4096, PART + 4096])
def test_already_there_is_said_only_after_asking_the_node(i1: API, nodes: dict[str, MinIONode], size: int) -> None:
    content = os.urandom(size)
    before = set(nodes["m1"].keys())
    i1.upload(content, f"u1/gone-{size}")
    (key,) = set(nodes["m1"].keys()) - before
    client = nodes["m1"].client()
    client.remove_object(bucket_name="openim", object_name=key)
    assert i1.initiate(content, f"u1/gone-{size}")["upload"] is not None
    # Something else at the key, of the same length, is not that content either.
    import io

    client.put_object(bucket_name="openim", object_name=key, data=io.BytesIO(bytes(size)), length=size)
    assert i1.initiate(content, f"u1/gone-{size}")["upload"] is not None
    client.remove_object(bucket_name="openim", object_name=key)


def test_a_name_uploaded_again_shows_the_new_content(api: API) -> None:
    """v3.4.0 keeps the first for ever."""
    old, new = os.urandom(100), os.urandom(200)
    url = api.upload(old, "u1/overwritten")
    api.upload(old, "u1/of-the-same-content")
    assert api.upload(new, "u1/overwritten") == url
    assert api.shows(url, new)
    # Also where the new content is known by another name, and no byte is sent.
    assert api.initiate(old, "u1/overwritten")["upload"] is None
    assert api.shows(url, old)


def test_names_are_compared_byte_for_byte(api: API) -> None:
    names = ["u1/Case", "u1/case", "u1/case ", "u1/cäse", "u1/ca\u0308se", "u1/case/", "u1/" + "n" * 1021]
    contents = {name: os.urandom(50) for name in names}
    urls = {name: api.upload(content, name) for name, content in contents.items()}
    for name, url in urls.items():
        assert same(api.get(url).content, contents[name])


def test_an_upload_id_of_the_other_node_is_forwarded_once(i1: API, i2: API) -> None:
    content = os.urandom(PART + 1)
    begun = i1.initiate(content, "u1/foreign", maxParts=0)
    assert begun["upload"]["sign"]["parts"] == []
    upload_id = begun["upload"]["uploadID"]
    answer = i2.post("auth_sign", {"uploadID": upload_id, "partNumbers": [1, 2]})
    # The owner's cookie, so that the rest of the upload goes straight there.
    assert answer.headers["Set-Cookie"].startswith("OPENIM_INSTANCE=i1;")
    signed = answer.json()["data"]["parts"]
    assert all("/s3/m1/" in part["url"] for part in signed)
    for part in signed:
        assert put_part(part, content[(part["partNumber"] - 1) * PART :][:PART]).status_code == 200
    done = i2.ok("complete_multipart_upload", i2.complete_body(content, upload_id, "u1/foreign"))
    assert same(i2.get(done["url"]).content, content)


def test_errors_of_the_owner_come_through(i1: API, i2: API, small: bytes) -> None:
    begun = i1.initiate(small, "u1/unsent")
    body = i2.complete_body(small, begun["upload"]["uploadID"], "u1/unsent")
    assert "not uploaded" in assert_envelope(i2.post("complete_multipart_upload", body), 500)


def test_a_forwarding_mark_that_a_client_made_up_is_not_believed(stack: Stack, i1: API, i2: API, small: bytes) -> None:
    begun = i1.initiate(small, "u1/mark")
    i1.put(small, begun)
    body = i2.complete_body(small, begun["upload"]["uploadID"], "u1/mark")
    answer = i2.post("complete_multipart_upload", body, headers={"X-OpenIM-Direct-Forwarded": "i1.abc.def"})
    assert answer.json()["errCode"] == 0
    # A true one stops at the second hop.
    mark = Sealer([SECRET]).mark_forward("i1")
    answer = i2.post("complete_multipart_upload", body, headers={"X-OpenIM-Direct-Forwarded": mark})
    assert "instances.yaml differ" in assert_envelope(answer, 90004, status=503)


def test_upload_ids_that_are_expired_cut_or_anothers(stack: Stack, i1: API, small: bytes) -> None:
    begun = i1.initiate(small, "u1/ids")
    good = begun["upload"]["uploadID"]
    sealer = Sealer([SECRET])
    ticket = sealer.open(good)
    import msgspec

    bad = {
        "expired": sealer.seal(msgspec.structs.replace(ticket, expires=int(time.time()) - 1)),
        "another secret": Sealer(["another"]).seal(ticket),
        "cut": good[:-3],
        "longer": good + "A",
        "changed": good.replace(good[5], "A" if good[5] != "A" else "B", 1),
        "empty": "",
        "garbage": "%%%",
        "v3.4.0's own": "eyJhIjoyLCJjIjoib3BlbmltL2RhdGEveCIsImQiOjUsImUiOiI2OWEzMjk1MjNjZTFlYzg4YmY2MzA2MTg2M2Q5Y2IxNCJ9",
    }
    for why, upload_id in bad.items():
        body = i1.complete_body(small, upload_id, "u1/ids")
        detail = assert_envelope(i1.post("complete_multipart_upload", body), 500)
        assert "invalid multipart upload id" in detail, why
        assert_envelope(i1.post("auth_sign", {"uploadID": upload_id, "partNumbers": [1]}), 500)
    other = stack.api(i1.url, user="u2")
    body = other.complete_body(small, good, "u2/ids")
    assert "another user" in assert_envelope(other.post("complete_multipart_upload", body), 1002)
    assert_envelope(other.post("auth_sign", {"uploadID": good, "partNumbers": [1]}), 1002)


def test_the_upload_lives_24_hours(i1: API, small: bytes) -> None:
    begun = i1.initiate(small, "u1/expiry")
    assert abs(begun["upload"]["expireTime"] / 1000 - time.time() - 86400) < 5
    (part,) = begun["upload"]["sign"]["parts"]
    assert "X-Amz-Expires=86400" in part["url"] or "X-Amz-Expires=86399" in part["url"]


def test_the_same_content_resumes_under_a_new_name(i1: API, small: bytes) -> None:
    """As the Go SDK does: it keeps upload IDs by content."""
    begun = i1.initiate(small, "u1/old-name")
    i1.put(small, begun)
    done = i1.ok("complete_multipart_upload", i1.complete_body(small, begun["upload"]["uploadID"], "u1/new-name"))
    assert same(i1.get(done["url"]).content, small)
    assert i1.get(f"{i1.url}/object/u1/old-name").status_code == 404


def test_signatures_as_many_as_asked_for(i1: API) -> None:
    content = os.urandom(2 * PART + 1)
    for asked, given in ((0, 0), (1, 1), (2, 2), (3, 3), (-1, 3), (-7, 3)):
        parts = i1.initiate(content, "u1/count", maxParts=asked)["upload"]["sign"]["parts"]
        assert [p["partNumber"] for p in parts] == list(range(1, given + 1))
    assert_envelope(i1.post("initiate_multipart_upload", initiate_body(content, "u1/count", maxParts=4)), 500)
    upload_id = i1.initiate(content, "u1/count", maxParts=0)["upload"]["uploadID"]
    signed = i1.ok("auth_sign", {"uploadID": upload_id, "partNumbers": [3, 1, 1]})["parts"]
    assert [p["partNumber"] for p in signed] == [3, 1, 1]
    for bad in ([0], [4], [-1], [10001], [2**31 - 1]):
        assert "outside 1..3" in assert_envelope(i1.post("auth_sign", {"uploadID": upload_id, "partNumbers": bad}), 1001)
    assert_envelope(i1.post("auth_sign", {"uploadID": upload_id, "partNumbers": [2**31]}), 1001, status=400)
    assert_envelope(i1.post("auth_sign", {"uploadID": upload_id, "partNumbers": [1] * 10001}), 1001)
    assert i1.ok("auth_sign", {"uploadID": upload_id, "partNumbers": None})["parts"] == []


def test_all_10_000_parts_are_signed_in_one_request(api: API) -> None:
    """Through nginx, at initiate and again; the last of them takes what it was signed for, and no more."""
    body = initiate_body(b"x", "u1/all-parts", size=10_000 * PART, hash=os.urandom(16).hex(), maxParts=-1)
    upload = api.ok("initiate_multipart_upload", body)["upload"]
    assert upload["partSize"] == PART
    again = api.ok("auth_sign", {"uploadID": upload["uploadID"], "partNumbers": list(range(1, 10_001))})
    for signed in (upload["sign"], again):
        assert [p["partNumber"] for p in signed["parts"]] == list(range(1, 10_001))
        assert len({p["url"] for p in signed["parts"]}) == 10_000
    last = again["parts"][-1]["url"]
    assert requests.put(last, data=bytes(PART - 1), timeout=10).status_code == 403
    assert requests.put(last, data=bytes(PART), timeout=10).status_code == 200


def test_the_clients_part_size_is_kept_where_s3_takes_it(i1: API) -> None:
    content = os.urandom(2 * PART)
    size = 6 << 20
    hashes = part_hashes(content, size)
    whole = hashlib.md5(",".join(hashes).encode()).hexdigest()
    begun = i1.initiate(content, "u1/part-size", partSize=size, hash=whole)
    assert begun["upload"]["partSize"] == size
    for response in i1.put(content, begun, size):
        assert response.status_code == 200
    body = {**i1.complete_body(content, begun["upload"]["uploadID"], "u1/part-size"), "parts": hashes}
    assert same(i1.get(i1.ok("complete_multipart_upload", body)["url"]).content, content)
    for odd in (0, -1, 1, PART - 1, 6 << 30, None):
        assert i1.initiate(os.urandom(PART + 1), "u1/odd", partSize=odd)["upload"]["partSize"] == PART


def test_sessions_of_one_user_on_both_instances(stack: Stack) -> None:
    """Records are shared: what one instance took, the other shows."""
    one, two = stack.api(stack.instance_url("i1")), stack.api(stack.instance_url("i2"))
    content = os.urandom(100)
    one.upload(content, "u1/shared")
    assert same(two.get(f"{two.url}/object/u1/shared").content, content)


def test_records_hold_what_was_uploaded(stack: Stack, i2: API, small: bytes) -> None:
    i2.upload(small, "u1/record", content_type="image/webp")
    records = Records(load(stack.config).records)
    record = records.get("u1/record")
    records.close()
    assert record is not None
    assert (record.node, record.size, record.user, record.content_type) == ("m2", len(small), "u1", "image/webp")
    assert abs(record.create_time / 1000 - time.time()) < 60


def test_small_files_by_multipart_where_the_node_is_not_trusted_with_write_once(stack: Stack, small: bytes) -> None:
    """The fallback: a node that has not passed `probe_put`, here because it was not asked."""
    from app.auth.tokens import Identity
    from app.core import wire
    from app.storage.node import Node
    from app.uploads.lifecycle import Uploads

    deployment = load(stack.config)
    node, records, sealer = Node(deployment.nodes["m1"]), Records(deployment.records), Sealer([SECRET])
    assert not node.write_once
    uploads = Uploads(node, records, sealer, stack.url, 86400)
    user = Identity("u1", 1, False)
    request = wire.InitiateRequest(**_fields(small))  # type: ignore[arg-type]
    begun = uploads.initiate(user, request).upload
    assert begun is not None
    (part,) = begun.sign.parts
    assert "uploadId=" in part.url
    ticket = sealer.open(begun.upload_id)
    complete = wire.CompleteRequest(upload_id=begun.upload_id, parts=part_hashes(small), name="u1/fallback")
    assert requests.put(part.url, data=bytes(len(small)), timeout=10).status_code == 200
    with pytest.raises(ArgsError, match="other content"):
        uploads.complete(user, ticket, complete)
    assert node.stat(ticket.key) is None
    assert requests.put(part.url, data=small, timeout=10).status_code == 200
    urls = {uploads.complete(user, ticket, complete).url for _ in range(2)}
    assert urls == {f"{stack.url}/object/u1/fallback"}
    assert same(requests.get(urls.pop(), timeout=10).content, small)
    node.probe_put()
    assert node.write_once
    node.close()
    records.close()


def _fields(content: bytes) -> dict[str, object]:
    body = initiate_body(content, "u1/fallback")
    return {"hash": body["hash"], "size": body["size"], "part_size": PART, "max_parts": 1, "name": "u1/fallback"}
