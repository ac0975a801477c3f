"""Views of objects: redirects, signatures, headers."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.stack import API, PART, MinIONode, Stack, assert_envelope, running, same


def test_get_and_head(api: API, small: bytes) -> None:
    url = api.upload(small, "u1/view.png", content_type="image/png")
    got, head = api.get(url), api.session.head(url, allow_redirects=True, timeout=10)
    assert same(got.content, small)
    for answer in (got, head):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Content-Length"] == str(len(small))
        assert answer.headers["Content-Disposition"] == 'attachment; filename="view.png"'
    assert head.content == b""


def test_a_part_of_a_file(api: API) -> None:
    content = os.urandom(PART + 100)
    url = api.upload(content, "u1/range")
    answer = requests.get(url, headers={"Range": f"bytes={PART - 5}-{PART + 4}"}, timeout=10)
    assert (answer.status_code, answer.content) == (206, content[PART - 5 : PART + 5])


def test_any_instance_signs_for_any_node(i1: API, i2: API, small: bytes) -> None:
    i1.upload(small, "u1/any")
    assert same(i2.get(f"{i2.url}/object/u1/any").content, small)


def test_file_names_that_are_not_ascii(api: API, small: bytes) -> None:
    """v3.4.0 sends them as mojibake (RFC 6266 tells how)."""
    answer = api.get(api.upload(small, 'u1/猫 "x".png'))
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"_ _x_.png\"; filename*=UTF-8''%E7%8C%AB%20%22x%22.png"
    )


def test_a_second_view_in_the_window_gets_the_same_url(api: API, i1: API, i2: API, small: bytes) -> None:
    url = api.upload(small, "u1/window")
    seen = set()
    for client in (api, i1, i2):
        answer = client.get(f"{client.url}/object/u1/window", allow_redirects=False)
        assert answer.status_code == 302
        assert "Set-Cookie" not in answer.headers
        seen.add(answer.headers["Location"])
    assert len(seen) == 1 or int(time.time()) % 3600 < 5
    query = parse_qs(urlsplit(seen.pop()).query)
    # What a cache may keep never outlives the signature.
    signed_until = time.time() // 3600 * 3600 + int(query["X-Amz-Expires"][0])
    assert query["response-cache-control"] == ["max-age=3600"]
    assert signed_until >= time.time() + 3600
    assert api.get(url).headers["Cache-Control"] == "max-age=3600"


def test_access_url(api: API, small: bytes) -> None:
    api.upload(small, "u1/access", content_type="text/plain")
    data = api.ok("access_url", {"name": "u1/access"})
    assert abs(data["expireTime"] / 1000 - time.time() - 86400) < 10
    answer = api.get(data["url"])
    assert (answer.content, answer.headers["Content-Type"]) == (small, "text/plain")
    assert_envelope(api.post("access_url", {"name": "u1/none"}), 1004)
    assert_envelope(api.post("access_url", {"name": "u1/access", "query": {"type": "video"}}), 1001)
    assert_envelope(api.post("access_url", {"name": "u1/access", "query": {"type": "image"}}), 90007)


def test_an_image_is_asked_for_that_is_none(api: API) -> None:
    text = api.upload(os.urandom(100), "u1/p.txt")
    answer = api.get(f"{text}?type=image")
    assert (answer.status_code, answer.text) == (400, ": 90007 DataError object not image: 90007 DataError")


def test_a_content_type_cannot_add_headers_or_run(api: API) -> None:
    content = b"<script>alert(1)</script>"
    answer = api.get(api.upload(content, "u1/x.html", content_type="text/html"))
    # Shown as a file to save, never as a page of the API's origin.
    assert answer.headers["Content-Disposition"].startswith("attachment;")


@pytest.fixture(scope="module")
def without_keys(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode]) -> Iterator[tuple[Stack, Path]]:
    """Instance i2's file holds no keys of m1."""
    stack = Stack(tmp_path_factory.mktemp("keys"), nodes, {"i1": "m1", "i2": "m2"})
    import yaml

    document: dict[str, Any] = yaml.safe_load(stack.config.read_text())
    for key in ("access_key", "secret_key"):
        del document["nodes"]["m1"][key]
    reduced = stack.folder / "reduced.yaml"
    reduced.write_text(yaml.safe_dump(document))
    command = stack.instances["i2"].command
    command[command.index("--config") + 1] = str(reduced)
    with running(stack):
        yield stack, reduced


def test_an_instance_without_the_nodes_keys_sends_to_one_that_has_them(without_keys: tuple[Stack, Path]) -> None:
    stack, _ = without_keys
    content = os.urandom(100)
    one, two = stack.api(stack.instance_url("i1")), stack.api(stack.instance_url("i2"))
    one.upload(content, "u1/图 %41.png")
    redirect = two.get(f"{two.url}/object/u1/图 %2541.png?type=", allow_redirects=False)
    assert redirect.headers["Location"] == f"{stack.url}/i/i1/object/u1/%E5%9B%BE%20%2541.png?type="
    assert same(two.get(f"{two.url}/object/u1/图 %2541.png").content, content)
    assert same(two.get(two.ok("access_url", {"name": "u1/图 %41.png"})["url"]).content, content)
    assert two.upload(content, "u1/mine").startswith(stack.url)


def test_an_object_that_is_gone(api: API, i1: API, nodes: dict[str, MinIONode], small: bytes) -> None:
    before = set(nodes["m1"].keys())
    i1.upload(small, "u1/lost")
    (key,) = set(nodes["m1"].keys()) - before
    nodes["m1"].client().remove_object(bucket_name="openim", object_name=key)
    assert api.get(f"{api.url}/object/u1/lost").status_code == 404
    nodes["m1"].client().put_object(bucket_name="openim", object_name=key, data=io.BytesIO(small), length=len(small))


def test_only_the_bucket_is_reachable_through_the_balancer(api: API) -> None:
    for path in (
        "/s3/m1/minio/health/live",
        "/s3/m1/",
        "/s3/m1/openimx/a",
        "/s3/nobody/openim/a",
        "/s3/m1/minio/admin/v3/info",
    ):
        assert api.get(api.url + path).status_code == 404, path
    assert api.get(f"{api.url}/s3/m1/openim/openim/data/hash/x").status_code == 403


def test_hot_views_come_from_the_balancers_cache(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    """While it is fresh no instance is asked; HEAD has an entry of its own, and nothing of one client is kept."""
    with running(Stack(tmp_path, nodes, {"i1": "m1"})) as stack:
        api = stack.api()
        content = os.urandom(100)
        url = api.upload(content, "u1/hot.png")
        missing = f"{stack.url}/object/u1/missing"
        first = api.get(url, allow_redirects=False)
        assert "X-Accel-Expires" not in first.headers
        head = api.session.head(url, allow_redirects=True, timeout=10)
        assert (head.status_code, head.headers["Content-Length"]) == (200, "100")
        assert api.get(missing).status_code == 404
        stack.instances["i1"].kill()
        kept = api.get(url, allow_redirects=False)
        assert (kept.status_code, kept.headers["Location"]) == (302, first.headers["Location"])
        assert "Set-Cookie" not in kept.headers
        assert same(api.get(url).content, content)
        assert api.session.head(url, allow_redirects=True, timeout=10).status_code == 200
        # What was not there was not kept, and the cache ends within views.cache.
        assert api.get(missing).status_code == 503
        time.sleep(5)
        assert api.get(url).status_code == 503
        stack.instances["i1"].start()
        stack.wait_ready("i1")
        assert same(api.get(url).content, content)


def test_known_content_of_another_node_is_not_sent_again(
    stack: Stack, i1: API, i2: API, nodes: dict[str, MinIONode]
) -> None:
    """Forwarding a picture across nodes moves no byte; the other node was asked first."""
    content = os.urandom(5000)
    before = {n: set(node.keys()) for n, node in nodes.items()}
    i1.upload(content, "u1/far")
    begun = i2.initiate(content, "u1/near", contentType="image/gif")
    assert begun["upload"] is None
    answer = i2.get(f"{i2.url}/object/u1/near")
    assert (answer.content, answer.headers["Content-Type"]) == (content, "image/gif")
    assert set(nodes["m2"].keys()) == before["m2"]
    (key,) = set(nodes["m1"].keys()) - before["m1"]
    nodes["m1"].client().remove_object(bucket_name="openim", object_name=key)
    assert i2.initiate(content, "u1/near")["upload"] is not None


def test_content_of_a_node_that_is_down_is_sent_again(tmp_path: Path) -> None:
    made = {n: MinIONode(n, tmp_path / n) for n in ("m1", "m2")}
    for node in made.values():
        node.start()
    try:
        for node in made.values():
            node.wait()
        with running(Stack(tmp_path, made, {"i1": "m1", "i2": "m2"}, balancer=None)) as stack:
            one, two = (stack.api(stack.instance_url(i)) for i in ("i1", "i2"))
            content = os.urandom(500)
            one.upload(content, "u1/a")
            made["m1"].process.kill()
            start = time.monotonic()
            assert two.upload(content, "u1/b")
            assert time.monotonic() - start < 5
            assert same(two.get(f"{two.url}/object/u1/b").content, content)
    finally:
        for node in made.values():
            node.process.stop()
