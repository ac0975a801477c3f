"""Whatever a client sends is answered in v3.4.0's envelope, with a cause to act on, and changes nothing."""

from __future__ import annotations

import os
import socket
from urllib.parse import quote

import pytest
import requests

from tests.stack import API, Stack, assert_envelope, initiate_body, same

ROUTES = [
    "part_limit",
    "part_size",
    "initiate_multipart_upload",
    "auth_sign",
    "complete_multipart_upload",
    "access_url",
]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"[]", b'"x"', b"1", b"true", b"\xff\xfe", b"{'a':1}", b"[" * 50000, b'{"a":' * 50000, b"x{}"],
    ids=lambda b: repr(b[:8]),
)
def test_bodies_that_are_not_the_routes_json(api: API, route: str, body: bytes) -> None:
    assert_envelope(api.post(route, data=body), 1001, status=400)


@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        ("part_size", {"size": "7"}, "size"),
        ("part_size", {"size": 1.5}, "size"),
        ("part_size", {"size": True}, "size"),
        ("part_size", {"size": 2**63}, "size"),
        ("part_size", {"size": {}}, "size"),
        ("initiate_multipart_upload", {"name": 5}, "name"),
        ("initiate_multipart_upload", {"hash": []}, "hash"),
        ("initiate_multipart_upload", {"maxParts": "1"}, "maxParts"),
        ("initiate_multipart_upload", {"partSize": 0.5}, "partSize"),
        ("auth_sign", {"uploadID": 1}, "uploadID"),
        ("auth_sign", {"partNumbers": ["1"]}, "partNumbers"),
        ("auth_sign", {"partNumbers": 1}, "partNumbers"),
        ("complete_multipart_upload", {"parts": [1]}, "parts"),
        ("access_url", {"query": {"width": 5}}, "query"),
    ],
)
def test_wrong_types_name_the_field(api: API, route: str, body: dict[str, object], field: str) -> None:
    assert field in assert_envelope(api.post(route, body), 1001, status=400)


def test_unknown_fields_and_null_are_ignored(api: API) -> None:
    assert api.ok("part_limit", {"x": {"y": [1]}})["maxNumSize"] == 10000
    assert api.post("part_limit", data=b"null").json()["errCode"] == 0
    assert_envelope(api.post("part_size", {"size": None, "more": 1}), 500)


def test_json_may_come_as_text(api: API) -> None:
    """As browsers send it, to save the preflight."""
    answer = api.post("part_size", data=b'{"size": 5}', headers={"Content-Type": "text/plain;charset=UTF-8"})
    assert answer.json()["data"] == {"size": 5 << 20}


def test_a_body_over_1_mib(api: API, i1: API) -> None:
    for client in (api, i1):
        assert "1048576" in assert_envelope(client.post("part_limit", data=b"{" + b" " * (1 << 20) + b"}"), 1001, status=413)
    # nginx's own limit answers the same way.
    assert_envelope(api.post("part_limit", data=b" " * (17 << 20)), 1001, status=413)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"size": 0}, 500),
        ({"size": -1}, 500),
        ({"size": -(2**63)}, 500),
        ({"size": 53687091200001}, 500),
        ({"size": 2**63 - 1}, 500),
        ({"hash": ""}, 500),
        ({"hash": "zz"}, 500),
        ({"hash": "0" * 31}, 500),
        ({"hash": "0" * 33}, 500),
        ({"hash": "../../../../../../../../etc/passwd"}, 500),
        ({"hash": "0" * 31 + "\n"}, 500),
        ({"hash": "٠" * 32}, 500),
        ({"maxParts": 2}, 500),
        ({"name": ""}, 1001),
        ({"name": "/u1/a"}, 1001),
        ({"name": "u1/" + "n" * 1022}, 1001),
        ({"name": "u1/" + "图" * 341}, 1001),
        ({"name": "u1/a/../../u2/b"}, 1001),
        ({"name": "u1/.."}, 1001),
        ({"name": "u1/./b"}, 1001),
        ({"name": "u1\\..\\b"}, 1001),
        ({"name": "u1/a\x00b"}, 1001),
        ({"name": "u2/a"}, 1002),
        ({"name": "u1"}, 1002),
        ({"name": "U1/a"}, 1002),
        ({"contentType": "a" * 257}, 1001),
        ({"contentType": "text/html\r\nX-Evil: 1"}, 1001),
        ({"cause": "c" * 1025}, 1001),
    ],
    ids=str,
)
def test_initiate_refuses(api: API, change: dict[str, object], code: int) -> None:
    assert_envelope(api.post("initiate_multipart_upload", initiate_body(b"12345", "u1/x") | change), code)


@pytest.mark.parametrize(
    "name",
    [
        "u1/a b",
        "u1/ ",
        "u1//double//slash",
        "u1/end/",
        "u1/a+b&c=d;e",
        "u1/100%",
        "u1/%41%2F%25",
        "u1/a#b?c=d",
        "u1/a\\b",
        "u1/\"quotes\" and 'more'",
        "u1/tab\there",
        "u1/new\nline\r",
        "u1/\x7f\x01",
        "u1/图片 一.png",
        "u1/e\u0301 \U0001f600",
        "u1/...",
        "u1/.hidden",
        "u1/<script>alert(1)</script>",
        "u1/~!@$^*()[]{}|`",
    ],
)
def test_odd_names_survive_the_round_trip(api: API, i2: API, name: str) -> None:
    content = os.urandom(64)
    url = api.upload(content, name)
    assert url.startswith(f"{api.url}/object/u1/")
    # As the client got it, and percent-encoded by an app that does that itself.
    assert same(api.get(url).content, content)
    assert same(api.get(f"{api.url}/object/{quote(name, safe='/')}").content, content)
    assert same(api.get(f"{i2.url}/object/{quote(name, safe='')}").content, content)
    assert api.ok("access_url", {"name": name})["url"]
    answer = api.get(url, allow_redirects=False)
    assert answer.status_code == 302


def test_returned_urls_are_percent_encoded_throughout(api: API) -> None:
    """v3.4.0's are raw. Apps that encode them themselves, and so ours a second time, still see the picture."""
    name = "u1/图片 a%b#c?d\\e\"f'g\n&+.png"
    url = api.upload(b"encoded", name)
    assert url == f"{api.url}/object/u1/%E5%9B%BE%E7%89%87%20a%25b%23c%3Fd%5Ce%22f%27g%0A&+.png"
    assert same(api.get(url.replace("%", "%25")).content, b"encoded")
    # Unless that is a name of its own.
    own = api.upload(b"own", name.replace("%", "%25"))
    assert own == url.replace("%25", "%2525")
    assert same(api.get(own).content, b"own")
    assert same(api.get(url).content, b"encoded")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_methods_that_v3_4_0_does_not_know(api: API, method: str) -> None:
    answer = requests.request(method, f"{api.url}/object/u1/x", timeout=10)
    assert (answer.status_code, answer.text) == (404, "404 page not found")


@pytest.mark.parametrize("path", ["/object", "/objects/x", "/", "/metrics", "/readyz", "/i/i1/healthz"])
def test_paths_that_the_balancer_does_not_pass(api: API, path: str) -> None:
    answer = api.get(api.url + path)
    assert (answer.status_code, answer.text) == (404, "404 page not found")


@pytest.mark.parametrize("query", ["type=video", "type=IMAGE", "type=%00"])
def test_bad_query_types(api: API, query: str) -> None:
    url = api.upload(b"query", "u1/query")
    answer = api.get(f"{url}?{query}")
    assert (answer.status_code, answer.text) == (400, ": 1001 ArgsError invalid query type: 1001 ArgsError")


@pytest.mark.parametrize("raw", ["/object/%ff%fe", "/object/%", "/object/%zz", "/object/a%00b", "/object/" + "a" * 5000])
def test_gets_of_names_that_cannot_be(i1: API, stack: Stack, raw: str) -> None:
    with socket.create_connection(("127.0.0.1", stack.ports["i1"]), timeout=10) as s:
        s.sendall(f"GET {raw} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404 "), answer
    assert b"RecordNotFoundError" in answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /object/x HTTP/9.9\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"POST /object/part_limit HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
    ],
)
def test_requests_that_are_not_http(stack: Stack, request_bytes: bytes, status: int) -> None:
    """nginx refuses them itself, without an HTML page; gunicorn does at the instance's own address, in its own form."""

    def answered(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            s.sendall(request_bytes)
            return s.recv(65536)

    assert b"<html" not in (by_nginx := answered(stack.port)), by_nginx
    assert by_nginx
    by_gunicorn = answered(stack.ports["i1"])
    assert f" {status} ".encode() in by_gunicorn.split(b"\r\n")[0], by_gunicorn
    assert b"Traceback" not in by_gunicorn
    # And it goes on serving.
    assert requests.get(f"{stack.instance_url('i1')}/healthz", timeout=5).text == "ok\n"


def test_a_token_that_no_key_would_make(api: API) -> None:
    for token in ("x", "a.b.c", "é".encode().decode("latin-1"), "a" * 5000, "eyJhbGciOiJub25lIn0.eyJVc2VySUQiOiJ1MSJ9."):
        assert_envelope(api.post("part_limit", headers={"token": token}), 1505)


def test_answers_carry_nosniff_and_no_stack_trace(api: API) -> None:
    answer = api.post("part_limit")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
