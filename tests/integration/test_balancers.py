"""Clients stay on one instance, by the same tests on every balancer: cookie, token, path, failover, return."""

from __future__ import annotations

import contextlib
import copy
import grp
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

import pytest
import requests
import yaml

from app.config.load import parse
from app.routing.balancer import render
from tests.servers import read_request, server
from tests.stack import (
    API,
    MinIONode,
    Process,
    Stack,
    assert_envelope,
    free_port,
    initiate_body,
    program,
    running,
    same,
    wait_for,
)

INSTANCES = {"i1": "m1", "i2": "m2", "i3": "m1"}
LISTED, OTHER = "https://web.example.com", "https://other.example.com"


@pytest.fixture(scope="module", params=["nginx", "nginx-native", "haproxy"])
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode]
) -> Iterator[Stack]:
    """Three instances on two nodes behind one kind of balancer. Tests that stop an instance start it again."""

    def change(document: dict[str, Any]) -> None:
        document["server"] = {"workers": 1}
        document["cors"] = {"origins": [LISTED]}
        # Written as nobody signs it.
        document["nodes"]["m2"]["sign_endpoint"] = document["nodes"]["m2"]["sign_endpoint"].replace("127.0.0.1", "LocalHost")

    made = Stack(tmp_path_factory.mktemp(request.param), nodes, INSTANCES, change=change, kind=request.param)
    with running(made):
        yield made


def answered_by(api: API, **headers: str) -> str:
    answer = api.post("part_limit", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["errCode"] == 0
    return answer.headers["X-OpenIM-Direct-Instance"]


def restart(stack: Stack, instance: str) -> None:
    stack.instances[instance].start()
    stack.wait_ready(instance)


def test_the_cookie_is_set_once_and_beats_the_token(stack: Stack) -> None:
    for n in range(12):
        api = stack.api(user=f"cookie{n}", keep_cookies=True)
        first = api.post("part_limit")
        assert set(first.headers["Set-Cookie"].split("; ")[1:]) == {"Path=/", "HttpOnly", "SameSite=Lax"}
        own = api.session.cookies["OPENIM_INSTANCE"]
        assert first.headers["X-OpenIM-Direct-Instance"] == own
        for _ in range(3):
            answer = api.post("part_limit")
            assert "Set-Cookie" not in answer.headers
            assert answer.headers["X-OpenIM-Direct-Instance"] == own
        for wanted in INSTANCES:
            assert answered_by(stack.api(user=f"cookie{n}"), Cookie=f"OPENIM_INSTANCE={wanted}") == wanted


@pytest.mark.parametrize(
    "cookie",
    [
        "OPENIM_INSTANCE=nobody",
        "OPENIM_INSTANCE=",
        "OPENIM_INSTANCE=" + "x" * 7900,
        'OPENIM_INSTANCE="i\\"1"',
        "OPENIM_INSTANCE=a; OPENIM_INSTANCE=b",
        "OPENIM_INSTANCE=%0ai1",
        "OPENIM_INSTANCE=../i1",
        "OPENIM_INSTANCE",
        "=;=;;;",
        "OPENIM_INSTANCE=\xe9",
        "OPENIM_INSTANCE=srv1~62f0-1",
    ],
    ids=lambda c: c[:28],
)
def test_cookies_that_name_no_instance_count_as_absent(stack: Stack, cookie: str) -> None:
    api = stack.api(user="hostile")
    usual = answered_by(api)
    answer = api.post("part_limit", headers={"Cookie": cookie})
    assert answer.json()["errCode"] == 0
    assert answer.headers["X-OpenIM-Direct-Instance"] == usual
    assert answer.headers["Set-Cookie"].split(";")[0] == f"OPENIM_INSTANCE={usual}"
    # Straight at an instance too.
    direct = stack.api(stack.instance_url("i1")).post("part_limit", headers={"Cookie": cookie})
    assert direct.headers["Set-Cookie"].split(";")[0] == "OPENIM_INSTANCE=i1"


def test_two_cookies_that_name_instances(stack: Stack) -> None:
    answer = stack.api().post("part_limit", headers={"Cookie": "OPENIM_INSTANCE=i1; OPENIM_INSTANCE=i2"})
    assert answer.headers["X-OpenIM-Direct-Instance"] in ("i1", "i2")
    assert "Set-Cookie" not in answer.headers


def test_the_path_beats_cookie_and_token(stack: Stack) -> None:
    for wanted in INSTANCES:
        for other in INSTANCES:
            api = stack.api(f"{stack.url}/i/{wanted}", user="path")
            assert answered_by(api, Cookie=f"OPENIM_INSTANCE={other}") == wanted
    for path in (
        "/i/nobody/object/x",
        "/i/i1/healthz",
        "/i/i1/readyz",
        "/i//object/x",
        "/i/i1",
        "/healthz",
        "/metrics",
    ):
        assert stack.api().get(stack.url + path).status_code == 404, path
    # Views of an instance that is gone are answered by another; nothing else is.
    url = stack.api().upload(b"gone", "u1/of-one-that-is-gone")
    prefixed = url.replace("/object/", "/i/nobody/object/", 1)
    assert stack.api().get(prefixed).content == b"gone"
    assert requests.head(prefixed, timeout=10).status_code == 302
    for route in ("part_limit", "initiate_multipart_upload"):
        assert stack.api(f"{stack.url}/i/nobody").post(route).status_code == 404


#: Names that something on the way could take for something else.
NAMES = [
    "u1/ends in a space ", "u1/ ", "u1/ begins", "u1/a b%41//图?#.bin", "u1/%2F", "u1/%2e%2e/x", "u1/100%", "u1/%E5%9B%BE",
    "u1/+&;=@,:$!*()~-_.", "u1/'\"<>|\\^`{}[]", "u1/\x01\x1f\x7f", "u1/a\nb\rc\td", "u1/.hidden", "u1/...", "u1/a..b/..c",
    "u1//double///slash", "u1/end/", "u1/\U0001f600e\u0301\u200b", "u1/\ufffd", "u1/object/x.png", "u1//object/x",
    "u1/i/i1/object/z", "u1/s3/m1/openim/x", "object/object/x", "i/i1/object/x", "i/i1", "s3/m1/openim/y",
    "u1/object/complete_multipart_upload", "u1/?type=image", "u1/" + "图" * 340,
]  # fmt: skip


def test_a_returned_url_shows_its_content_as_it_stands(stack: Stack) -> None:
    """Each name from initiate to the GET of what complete answered, by an instance and by the balancer."""
    bases = [stack.url, stack.instance_url("i1")]
    for number, name in enumerate(NAMES):
        api = stack.api(bases[number % 2], user=name.split("/")[0])
        content = os.urandom(20)
        begun = api.initiate(content, name)
        assert {answer.status_code for answer in api.put(content, begun)} == {200}
        url = api.ok("complete_multipart_upload", api.complete_body(content, begun["upload"]["uploadID"], name))["url"]
        assert re.fullmatch(r"[!-~]+", url), url
        assert api.initiate(content, name) == {"url": url, "upload": None}
        path = url.removeprefix(stack.url)
        for base in (stack.url, f"{stack.url}/i/{('i1', 'i2', 'nobody')[number % 3]}", bases[1], f"{bases[1]}/i/i2"):
            shown = api.get(base + path)
            # As it was answered: the client made nothing else of it.
            assert (shown.history[0].request.url, shown.content) == (base + path, content)
            assert re.fullmatch(r"[!-~]+", shown.history[0].headers["Location"])
        head = api.session.head(url, allow_redirects=True, timeout=10)
        assert head.headers["Content-Length"] == "20"
        # Encoded by an app, as v3.4.0's URLs are used.
        assert same(api.get(f"{stack.url}/object/{quote(name)}").content, content)
    large = os.urandom(6 << 20)
    assert same(stack.api().get(stack.api().upload(large, "u1/plain")).content, large)


def test_object_is_looked_for_in_the_path_alone(stack: Stack) -> None:
    name = "u1/in-the-path"
    stack.api().upload(b"in the path", name)
    node = urlsplit(requests.get(f"{stack.url}/object/{name}", allow_redirects=False, timeout=10).headers["Location"]).path
    for port in (stack.port, stack.ports["i1"]):
        for target, status in (
            (f"http://object/object/{name}", 302),
            (f"http://object/i/object/object/{name}", 302),
            (f"/i/object/object/{name}", 302),
            (f"/object/{name}?x=/object/u1/none", 302),
            (f"/object/u1/none?x=/object/{name}", 404),
            (f"/none?x=/object/{name}", 404),
            (f"/none/object/{name}", 404),
            (f"/i/i1/none?/object/{name}", 404),
            (f"/i/i1?/object/{name}", 404),
        ):
            # The absolute form names the host too (RFC 9112, 3.2.2).
            answer = said(port, get(target).replace(b"Host: h", b"Host: object"))
            assert answer.status_code == status, (target, answer.text)
            assert status == 404 or urlsplit(answer.headers["Location"]).path == node


def test_a_path_of_public_url_that_looks_like_the_apis_own(stack: Stack, tmp_path: Path) -> None:
    urls = {name: stack.api().upload(name.encode(), name) for name in ("u1/object/prefixed.png", "u1/prefixed")}
    for number, prefix in enumerate(("/object/v2", "/files/object", "/i/i1")):

        def change(document: dict[str, Any], prefix: str = prefix) -> None:
            document["public_url"] += prefix

        with second(stack, tmp_path / str(number), change) as port:
            for name, url in urls.items():
                path = urlsplit(url).path
                # With the path, as clients call it, and without it, as a proxy in front may leave it.
                for found in (f"{prefix}{path}", path, f"{prefix}/i/i2{path}", f"/i/i2{path}"):
                    assert requests.get(f"http://127.0.0.1:{port}{found}", timeout=10).content == name.encode(), found
            api = stack.api(f"http://127.0.0.1:{port}{prefix}")
            assert api.post("part_limit").json()["errCode"] == 0


def test_a_host_in_another_way_of_writing_keeps_its_signature(stack: Stack) -> None:
    """Go's client, Java's and curl send it as it stands in the URL that they are given."""
    content = os.urandom(20)
    signed = stack.api(f"{stack.url}/i/i2").initiate(content, "u1/host")["upload"]["sign"]["parts"][0]
    url = urlsplit(signed["url"])
    assert url.netloc == f"localhost:{stack.port}"
    headers = {h["key"]: h["values"][0] for h in signed["header"] or []}
    answers = [
        requests.put(
            f"{stack.url}{url.path}?{url.query}", content, headers={**headers, "Host": host}, timeout=10
        ).status_code
        for host in (
            f"127.0.0.1:{stack.port}",
            f"localhost.:{stack.port}",
            f"LOCALHOST:{stack.port}",
            f"LocalHost:{stack.port}",
        )
    ]
    # Another host stays another; of what was signed the first PUT is taken, and a second finds the object there.
    assert answers == [403, 403, 200, 412]


def test_raw_utf8_in_a_url_shows_the_content(stack: Stack) -> None:
    """As Java's HttpURLConnection sends a returned URL."""
    stack.api().upload(os.urandom(50), "u1/目//录 %?.bin")

    def shown(method: str, prefix: str) -> bytes:
        with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as s:
            path = f"{prefix}/object/u1/目//录%20%25%3F.bin"
            s.sendall(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{stack.port}\r\nConnection: close\r\n\r\n".encode())
            head = b"".join(iter(lambda: s.recv(65536), b"")).partition(b"\r\n\r\n")[0]
        assert b"%E5%BD%95%20%25%3F.bin" in unquote_to_bytes(head), head
        return head.split(b" ")[1]

    for method in ("GET", "HEAD"):
        for prefix in ("", "/i/i1", "/i/i3", "/i/gone"):
            assert shown(method, prefix) == b"302", (method, prefix)


def test_only_the_bucket_of_a_node_is_reachable(stack: Stack) -> None:
    api = stack.api()
    for path in ("/s3/m1/minio/health/live", "/s3/m1/", "/s3/m1/openimx/a", "/s3/nobody/openim/a"):
        assert api.get(stack.url + path).status_code == 404, path
    assert api.get(f"{stack.url}/s3/m1/openim/openim/data/hash/x").status_code == 403


def test_a_forwarding_mark_from_outside_is_taken_off(stack: Stack) -> None:
    """Also a true one, which a client cannot have: the rest would then not be forwarded."""
    from app.auth.sealing import Sealer
    from tests.stack import SECRET

    content = os.urandom(40)
    one = stack.api(f"{stack.url}/i/i1")
    begun = one.initiate(content, "u1/mark")
    one.put(content, begun)
    body = one.complete_body(content, begun["upload"]["uploadID"], "u1/mark")
    answer = stack.api(f"{stack.url}/i/i2").post(
        "complete_multipart_upload", body, headers={"X-OpenIM-Direct-Forwarded": Sealer([SECRET]).mark_forward("i3")}
    )
    assert answer.json()["errCode"] == 0


def test_one_thousand_tokens_and_one_instance_less(stack: Stack) -> None:
    """None has over 45 %; taking one away moves only its own; its return moves only those back."""
    apis = [stack.api(user=f"t{n}") for n in range(1000)]
    shared = requests.Session()

    def place() -> list[str]:
        for api in apis:
            api.session = shared
        return [answered_by(api) for api in apis]

    before = place()
    shares = Counter(before)
    assert set(shares) == set(INSTANCES)
    assert max(shares.values()) <= 450, shares
    stack.instances["i2"].kill()
    try:
        time.sleep(1.5)
        without = place()
    finally:
        restart(stack, "i2")
    assert [b for b, w in zip(before, without, strict=True) if b != "i2" and b != w] == []
    assert "i2" not in without
    time.sleep(1)
    assert place() == before


def test_a_pinned_client_gets_a_stand_in_and_is_back_on_its_own(stack: Stack) -> None:
    content = os.urandom(30)
    headers = {"Cookie": "OPENIM_INSTANCE=i1"}
    api = stack.api(user="pinned")
    assert answered_by(api, **headers) == "i1"
    stack.instances["i1"].kill()
    try:
        stand_ins = set()
        for n in range(6):
            answer = api.post("initiate_multipart_upload", initiate_body(content, f"pinned/{n}"), headers=headers)
            assert answer.json()["errCode"] == 0, answer.text
            # A stand-in that set its cookie would keep the client for good.
            assert "Set-Cookie" not in answer.headers
            if n > 0:
                # The first may be the one by which the balancer finds out, and goes where that try leads.
                stand_ins.add(answer.headers["X-OpenIM-Direct-Instance"])
        assert len(stand_ins) == 1
        assert "i1" not in stand_ins
    finally:
        restart(stack, "i1")
    wait_for("the client to be back", lambda: answered_by(api, **headers) == "i1", timeout=5)


def test_a_post_with_a_large_body_is_tried_elsewhere(stack: Stack) -> None:
    """All of it: a body of 10,000 hashes, to an instance that is gone."""
    stack.instances["i3"].kill()
    try:
        parts = ["0" * 32] * 10000
        body = {"uploadID": "x", "parts": parts, "name": "u1/big", "contentType": "", "cause": ""}
        answer = stack.api().post("complete_multipart_upload", body, headers={"Cookie": "OPENIM_INSTANCE=i3"})
        assert "invalid multipart upload id" in assert_envelope(answer, 500)
        assert answer.headers["X-OpenIM-Direct-Instance"] != "i3"
    finally:
        restart(stack, "i3")


def test_an_upload_goes_on_when_its_instance_dies(stack: Stack) -> None:
    """i3 is on the same node, and signs and completes for i1; i2 forwards to it."""
    content = os.urandom(6 << 20)
    begun = stack.api(f"{stack.url}/i/i1").initiate(content, "u1/goes-on", maxParts=1)
    upload_id = begun["upload"]["uploadID"]
    stack.instances["i1"].kill()
    try:
        two = stack.api(f"{stack.url}/i/i2")
        signed = two.ok("auth_sign", {"uploadID": upload_id, "partNumbers": [1, 2]})
        two.put(content, {"upload": {"sign": signed}})
        answer = two.post("complete_multipart_upload", two.complete_body(content, upload_id, "u1/goes-on"))
        assert answer.json()["errCode"] == 0, answer.text
        assert answer.headers["Set-Cookie"].startswith("OPENIM_INSTANCE=i3;")
        assert same(two.get(answer.json()["data"]["url"]).content, content)
    finally:
        restart(stack, "i1")


def test_no_instance_of_the_node_is_reachable(stack: Stack) -> None:
    content = os.urandom(30)
    begun = stack.api(f"{stack.url}/i/i2").initiate(content, "u1/alone")
    body = stack.api().complete_body(content, begun["upload"]["uploadID"], "u1/alone")
    stack.instances["i2"].kill()
    try:
        # Whichever instance the balancer asks first, and last.
        for cookie in ("", "OPENIM_INSTANCE=i1", "OPENIM_INSTANCE=i2", "OPENIM_INSTANCE=i3"):
            start = time.monotonic()
            answer = stack.api().post("complete_multipart_upload", body, headers={"Cookie": cookie} if cookie else {})
            detail = assert_envelope(answer, 90004, status=503)
            assert "m2" in detail
            assert "i2 (connection refused)" in detail
            assert time.monotonic() - start < 5
    finally:
        restart(stack, "i2")


def test_all_instances_down_is_said_in_the_envelope_and_ends_by_itself(stack: Stack) -> None:
    for process in stack.instances.values():
        process.kill()
    try:
        wait_for("503", lambda: stack.api().post("part_limit").status_code == 503, timeout=5)
        assert_envelope(stack.api().post("part_limit"), 90004, status=503)
        # A page of a listed origin can read it, and is not stopped by its preflight.
        answer = stack.api().post("part_limit", headers={"Origin": LISTED})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (503, LISTED)
        assert preflight(stack, "/object/part_limit", LISTED)["Access-Control-Allow-Credentials"] == "true"
    finally:
        for process in stack.instances.values():
            process.start()
        for instance in stack.instances:
            stack.wait_ready(instance)
    wait_for("service", lambda: stack.api().post("part_limit").status_code == 200, timeout=5)


def preflight(stack: Stack, path: str, origin: str, asked: str = "authorization,range") -> Mapping[str, str]:
    """Headers of the answer to a preflight; one that comes twice shows as a list."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": asked}
    answer = requests.options(stack.url + path, headers=headers, timeout=10)
    assert (answer.status_code, answer.json()) == (200, "Options Request!")
    return answer.headers


@pytest.mark.parametrize(
    "path",
    [
        *("/object/part_limit", "/object/u1/%20?type=image", "/i/i1/object/x", "/i/nobody/object/x"),
        *("/s3/m1/openim/a", "/s3/m1/openim/openim/data/hash/x?X-Amz-Signature=x"),
    ],
)
def test_a_preflight_is_told_what_it_asked(stack: Stack, path: str) -> None:
    for origin in (LISTED, OTHER, "null"):
        told = preflight(stack, path, origin)
        # Under a node's path everyone is named, as by MinIO: the signed URL decides there.
        named = origin if path.startswith("/s3/") or origin == LISTED else "*"
        assert told["Access-Control-Allow-Origin"] == named
        assert told["Access-Control-Allow-Credentials"] == ("false" if named == "*" else "true")
        assert told["Access-Control-Allow-Headers"] == "*, authorization,range"
        assert {"*", "PUT"} < set(told["Access-Control-Allow-Methods"].split(", "))
        assert told["Access-Control-Max-Age"] == "172800"
        assert set(told["Vary"].split(", ")) == {"Origin", "Access-Control-Request-Headers"}
    for asked in ("x" * 4097, "a;b", ""):
        told = preflight(stack, path, LISTED, asked)
        assert told["Access-Control-Allow-Headers"] == "*"


def test_origins_do_not_get_each_others_answers(stack: Stack) -> None:
    """Within the seconds that nginx keeps a view."""
    url = stack.api().upload(os.urandom(30), "u1/origins")

    def view(origin: str | None) -> None:
        answer = requests.get(url, headers={"Origin": origin} if origin else {}, allow_redirects=False, timeout=10)
        assert answer.status_code == 302
        assert answer.headers["Access-Control-Allow-Origin"] == (LISTED if origin == LISTED else "*"), origin
        assert answer.headers["Access-Control-Allow-Credentials"] == ("true" if origin == LISTED else "false")
        assert answer.headers["Vary"] == "Origin"

    # Also what no page can send: it must not get into the cache for those who can.
    asking = (None, LISTED, OTHER, LISTED.upper(), "null", LISTED, f"{LISTED}, {OTHER}", OTHER, None)
    for origin in asking:
        view(origin)
    # For the listed one, and for all others; HAProxy keeps none.
    expected = 2 if (stack.folder / "nginx").exists() else len(asking)

    def asked() -> int:
        logs = "".join(process.log.read_text() for process in stack.instances.values())
        paths = [json.loads(line)["path"] for line in logs.splitlines() if "/object/u1/origins" in line]
        return paths.count("/object/u1/origins")

    wait_for("the instances' logs", lambda: asked() == expected, timeout=3)


def test_a_client_that_names_two_origins_spoils_no_cache(stack: Stack) -> None:
    url = stack.api().upload(os.urandom(30), "u1/two-origins")
    for origins in ((LISTED, OTHER), (OTHER, LISTED)):
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=10)
        connection.putrequest("GET", "/object/u1/two-origins")
        for origin in origins:
            connection.putheader("Origin", origin)
        connection.endheaders()
        assert connection.getresponse().status == 302
        connection.close()
    for origin in (LISTED, OTHER):
        answer = requests.get(url, headers={"Origin": origin}, allow_redirects=False, timeout=10)
        assert answer.headers["Access-Control-Allow-Origin"] == (LISTED if origin == LISTED else "*")


def test_errors_can_be_read_by_pages(stack: Stack) -> None:
    for origin in (LISTED, OTHER, "null"):
        for method, path in (("GET", "/object/none"), ("POST", "/i/nobody/object/part_limit"), ("GET", "/nothing")):
            error = requests.request(method, stack.url + path, headers={"Origin": origin}, timeout=10)
            assert error.status_code == 404
            assert error.headers["Access-Control-Allow-Origin"] == (LISTED if origin == LISTED else "*"), (origin, path)
            assert "Origin" in error.headers["Vary"]


def test_a_nodes_answers_name_the_origin_once(stack: Stack) -> None:
    url = stack.api().upload(b"x" * 100, "u1/of-a-node")
    signed = requests.get(url, allow_redirects=False, timeout=10).headers["Location"]
    for origin in (LISTED, OTHER, "null"):
        for headers, status in (
            ({}, 200),
            ({"Range": "bytes=-50"}, 206),
            ({"If-None-Match": "*"}, 304),
            # MinIO alone refuses a signed URL with a token beside it, which a redirect on one host takes along.
            ({"Authorization": "Bearer x"}, 200),
        ):
            answer = requests.get(signed, headers={"Origin": origin, **headers}, timeout=10)
            assert answer.status_code == status, answer.text
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert "Origin" in answer.headers["Vary"]
            exposed = answer.headers["Access-Control-Expose-Headers"].lower().split(", ")
            assert {"etag", "content-range", "accept-ranges", "content-disposition", "content-length"} < set(exposed)
    assert "Access-Control-Allow-Origin" not in requests.get(signed, timeout=10).headers


def test_headers_that_a_client_made_up_are_not_believed(stack: Stack) -> None:
    """Returned URLs begin with public_url, whatever host the client says it called."""
    content = os.urandom(30)
    made_up = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "10.9.9.9",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example",
        "X-Real-IP": "10.9.9.9",
    }
    for url in (stack.url, stack.instance_url("i1")):
        api = stack.api(url)
        answer = api.post("initiate_multipart_upload", initiate_body(content, "u1/host"), headers=made_up)
        assert answer.json()["errCode"] == 0
        assert "evil" not in answer.text
        done = stack.api().upload(content, "u1/host")
        assert done == f"{stack.url}/object/u1/host"
        view = requests.get(f"{url}/object/u1/host", headers=made_up, allow_redirects=False, timeout=10)
        assert "evil" not in view.headers["Location"]


@contextlib.contextmanager
def second(
    stack: Stack, folder: Path, change: Callable[[dict[str, Any]], None], edit: Callable[[str], str] = str
) -> Iterator[int]:
    """Another balancer of the same kind before the same instances; its port."""
    folder.mkdir()
    port = free_port()
    document = copy.deepcopy(stack.document)
    document["public_url"] = f"http://127.0.0.1:{port}"
    change(document)
    deployment = parse(yaml.safe_dump(document), {}, folder)
    if stack.kind == "haproxy":
        text, command = render.haproxy(deployment), ["-db", "-f"]
    else:
        group = grp.getgrgid(0).gr_name if os.geteuid() == 0 else None
        text = render.nginx(deployment, True, str(folder), group, stack.kind == "nginx-native")
        command = ["-p", str(folder), "-g", "daemon off;", "-c"]
    (folder / "conf").write_text(edit(text))
    process = Process([program(stack.kind), *command, str(folder / "conf")], folder / "log")
    process.start()
    try:
        wait_for("the balancer", lambda: requests.get(f"http://127.0.0.1:{port}", timeout=1).status_code, log=folder / "log")
        yield port
    finally:
        process.stop()


def impatient(stack: Stack, folder: Path, **addresses: str) -> contextlib.AbstractContextManager[int]:
    """One that waits for a third of a second at most.

    :param addresses: URLs of instances and nodes, instead of their own.
    """

    def change(document: dict[str, Any]) -> None:
        for name, url in addresses.items():
            if name in document["nodes"]:
                document["nodes"][name]["endpoint"] = url
            else:
                document["instances"][name]["url"] = url

    def edit(text: str) -> str:
        text = re.sub(r"(proxy_read_timeout|timeout server|timeout http-request) \d+s", r"\1 300ms", text)
        text = text.replace("timeout connect 1s", "timeout connect 100ms").replace("inter 500ms", "inter 5s")
        return text.replace("client_max_body_size", "client_body_timeout 300ms; client_max_body_size", 1)

    return second(stack, folder, change, edit)


def said(port: int, request: bytes) -> requests.Response:
    """What comes back for bytes that no client library sends; status 0 where it is nothing."""
    answer = requests.Response()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        with contextlib.suppress(OSError):
            # It may have answered, and closed, before all was sent.
            s.sendall(request)
        data = b""
        with contextlib.suppress(OSError):
            while block := s.recv(65536):
                data += block
                head, _, body = data.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                if length and len(body) >= int(length[1]):
                    break
    head, _, answer._content = data.partition(b"\r\n\r\n")
    line, _, headers = head.partition(b"\r\n")
    answer.status_code = int(line.split()[1]) if line else 0
    answer.headers.update(BytesParser(policy=HTTP).parsebytes(headers, headersonly=True))
    return answer


def post(headers: str, body: str = "", route: str = "part_limit", prefix: str = "") -> bytes:
    return f"POST {prefix}/object/{route} HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}".encode()


def get(path: str, headers: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n".encode()


def assert_text(answer: requests.Response, code: int, status: int) -> None:
    """A view's failure in v3.4.0's form."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert re.fullmatch(rf": {code} [A-Za-z]+Error .+", answer.text), answer.text
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


PREFIXES = ["", "/i/i1"]


def test_what_a_balancer_refuses_itself(stack: Stack, tmp_path: Path) -> None:
    """Each in the caller's form, with the status that fits, at a POST and at a view."""
    big = "".join(f"X-{n}: {'a' * 50_000}\r\n" for n in range(4))
    with impatient(stack, tmp_path / "balancer") as port:
        for prefix in PREFIXES:
            answer = said(port, post(f"Content-Length: {17 << 20}\r\n", "{}", prefix=prefix))
            assert "16 MiB" in assert_envelope(answer, 1001, status=413)
            assert_text(said(port, get(f"{prefix}/object/x.gif", f"Content-Length: {17 << 20}\r\n")), 1001, 413)
            answer = said(port, post("Content-Length: 2\r\n", "{}", route="part_limit?" + "a" * 40_000, prefix=prefix))
            assert "8170 bytes" in assert_envelope(answer, 1001, status=414)
            for length in (8_200, 8_300, 40_000):
                # An ending that has a type of its own makes no picture of the answer.
                assert_text(said(port, get(f"{prefix}/object/{'a' * length}.jpg")), 1001, 414)
            # nginx makes one header of several, which instances then refuse; HAProxy passes each as it came.
            cookie = f"Cookie: {'c' * 33_000}\r\n" if stack.kind == "haproxy" else f"Cookie: {'c' * 20_000}\r\n" * 2
            assert_text(said(port, get(f"{prefix}/object/x", cookie)), 1001, 431)
            for route in ("part_limit", "complete_multipart_upload"):
                answer = said(port, post(f"{cookie}Content-Length: 2\r\n", "{}", route=route, prefix=prefix))
                assert_envelope(answer, 1001, status=431)
            answer = said(port, post(f"{big}Content-Length: 2\r\n", "{}", prefix=prefix))
            assert "128 KiB" in assert_envelope(answer, 1001, status=431)
            assert_text(said(port, get(f"{prefix}/object/x", big)), 1001, 431)
            answer = said(port, get(f"{prefix}/object/x", method="TRACE"))
            assert (answer.status_code, answer.text) == (404, "404 page not found")
        slow = said(port, post("Content-Length: 9\r\n", "{"))
        malformed = [said(port, request) for request in (b"GARBAGE\r\n\r\n", b"GET /object/x HTTP/1.1\r\nHost : h\r\n\r\n")]
        if stack.kind == "haproxy":
            assert "send it again" in assert_envelope(slow, 1001, status=408)
            # What gunicorn refuses goes into the envelope too.
            odd = said(port, post("X-Odd: a\x01b\r\nContent-Length: 2\r\n", "{}"))
            assert_envelope(odd, 1001, status=400)
            # Before it knows of any rule: its own page, in every version before 3.2.
            assert {answer.status_code for answer in malformed} == {400}
        else:
            # nginx closes, and has no answer for it.
            assert slow.status_code == 0
            assert_envelope(malformed[0], 1001, status=400)
            assert_text(malformed[1], 1001, 400)


def test_instances_and_nodes_that_do_not_answer(stack: Stack, tmp_path: Path) -> None:
    """Refused connections, cut answers and silence: the envelope, a view's text, and S3's XML of a node."""

    def ready_but_cut(connection: socket.socket) -> None:
        """Ready to whom asks for that, and nothing for anybody else."""
        while b"/readyz" in read_request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def assert_says(port: int, status: int, *prefixes: str) -> None:
        for prefix in prefixes:
            answer = stack.api(f"http://127.0.0.1:{port}{prefix}").post("part_limit")
            view = requests.get(f"http://127.0.0.1:{port}{prefix}/object/u1/x.jpg", timeout=20)
            assert "try again" in assert_envelope(answer, 90004, status=status)
            assert_text(view, 90004, status)
            assert answer.headers["Retry-After"] == view.headers["Retry-After"] == "2"

    nobody = [f"http://127.0.0.1:{free_port()}" for _ in range(4)]
    with impatient(stack, tmp_path / "dead", i1=nobody[0], i2=nobody[1], i3=nobody[2], m2=nobody[3]) as port:
        assert_says(port, 503, *PREFIXES)
        for method in ("GET", "PUT", "HEAD"):
            answer = requests.request(method, f"http://127.0.0.1:{port}/s3/m2/openim/x", timeout=20)
            assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/xml")
            assert answer.headers["Retry-After"] == "2"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert ("<Code>ServiceUnavailable</Code>" in answer.text) == (method != "HEAD")
        # The node's own words pass.
        answer = requests.get(f"http://127.0.0.1:{port}/s3/m1/openim/x", timeout=20)
        assert (answer.status_code, "<Code>AccessDenied</Code>" in answer.text) == (403, True)
    with contextlib.ExitStack() as cutting:
        urls = {i: cutting.enter_context(server(ready_but_cut)).url for i in INSTANCES}
        with impatient(stack, tmp_path / "cut", **urls) as port:
            assert_says(port, 502 if stack.kind == "haproxy" else 503, *PREFIXES)
    with impatient(stack, tmp_path / "hung") as port:
        for process in stack.instances.values():
            process.signal(signal.SIGSTOP, group=True)
        try:
            assert_says(port, 504, PREFIXES[0])
        finally:
            for process in stack.instances.values():
                process.signal(signal.SIGCONT, group=True)
    for instance in stack.instances:
        stack.wait_ready(instance)


def test_a_deployment_that_hangs_is_asked_once(stack: Stack, tmp_path: Path) -> None:
    """Each instance has one try; another round would only double the wait."""
    requested: list[bytes] = []

    def hang(connection: socket.socket) -> None:
        while b"/readyz" in (request := read_request(connection)):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        requested.append(request)
        connection.recv(1)

    with contextlib.ExitStack() as hanging:
        urls = {i: hanging.enter_context(server(hang)).url for i in INSTANCES}
        with impatient(stack, tmp_path / "silent", **urls) as port:
            requested.clear()
            answer = stack.api(f"http://127.0.0.1:{port}").post("part_limit")
            assert_envelope(answer, 90004, status=504)
            found = [request for request in requested if b"part_limit" in request]
            # HAProxy counts tries, not servers: one, and three more by default.
            assert 1 <= len(found) <= (4 if stack.kind == "haproxy" else len(INSTANCES)), len(found)


@pytest.mark.parametrize("kind", ["nginx", "nginx-native", "haproxy"])
def test_many_instances_and_any_of_their_names_are_taken(kind: str, tmp_path: Path) -> None:
    """nginx's shared memory and HAProxy's 64 words a line have room, and no ID is another upstream's name."""
    ids = ["hash", "s3_m1", "legacy", "default", *(f"an-instance-with-a-long-name-{n}" for n in range(200))]
    document = {
        "public_url": "http://127.0.0.1:10002",
        "auth": {"secret": "secret"},
        "balancer": {"legacy_api": "http://127.0.0.1:10003"},
        "nodes": {"m1": {"endpoint": "http://127.0.0.1:9000"}},
        "instances": {i: {"node": "m1", "bind": f"127.0.0.1:{20000 + n}"} for n, i in enumerate(ids)},
    }
    deployment = parse(yaml.safe_dump(document), {}, tmp_path)
    file = tmp_path / "balancer.conf"
    if kind == "haproxy":
        file.write_text(render.haproxy(deployment))
        command = [program("haproxy"), "-c", "-f", str(file)]
    else:
        file.write_text(render.nginx(deployment, full=True, run_dir=str(tmp_path), native=kind == "nginx-native"))
        command = [program(kind), "-t", "-c", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr
