"""Every odd request, sent raw to what v3.4.0 reads requests with (Go's net/http, gin and encoding/json, in `gin/`), to an
instance, to nginx and to HAProxy: all take it and understand the same, or all refuse it, but for DIFFERENCES."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
import requests

from app.core.errors import APIError
from app.core.names import check_name
from app.uploads.parts import part_size
from tests.conformance.go_program import running_gin
from tests.conformance.odd_requests import CONTENT, NAMES, PARTS, REQUESTS, Request
from tests.stack import PART, REPO, MinIONode, Stack, content_hash, free_port, running, started, wait_for

pytestmark = pytest.mark.integration

#: What a request came to: "shown" and the name, "done" and what was understood, "failed" and errCode, or "refused".
Outcome = tuple[Any, ...]
REFUSED: Outcome = ("refused",)
#: Seconds without a word.
SILENCE = 5
SERVERS = ("instance", "nginx", "haproxy")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass
class Deployment:
    stack: Stack
    ports: dict[str, int]
    token: str
    upload: str

    def send(self, server: str, request: Request, tag: str = "") -> Answer | None:
        """The last answer to a request; None where the connection ends, or nothing more comes, without it.

        :param tag: two letters for names that are this test's alone.
        """
        values = {"@TOKEN@": self.token, "@UPLOAD@": self.upload, "@HASH@": content_hash(CONTENT), "@@": tag}
        raw = request.raw(values)
        answer = None
        with socket.create_connection(("127.0.0.1", self.ports[server]), timeout=SILENCE) as connection:
            try:
                connection.sendall(raw)
                if request.ends:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                # Answered and closed before all of it was sent.
                pass
            # One buffer for all answers of the connection.
            stream = connection.makefile("rb")
            for _ in range(request.answers):
                answer = _read(stream, raw.startswith(b"HEAD"))
        return answer


class _Stream:
    """What http.client asks of a socket."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def makefile(self, mode: str) -> Any:
        return self

    def close(self) -> None:
        """Other answers follow."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _read(stream: Any, head: bool) -> Answer | None:
    response = http.client.HTTPResponse(_Stream(stream), method="HEAD" if head else "GET")  # type: ignore[arg-type]
    try:
        response.begin()
        return Answer(response.status, response.headers, response.read())
    except (OSError, http.client.HTTPException):
        return None


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One instance, behind both balancers, with all names uploaded; and Go beside it."""
    folder, port = tmp_path_factory.mktemp("odd"), free_port()
    node = MinIONode("m1", folder / "m1")
    # No view may be told by what nginx kept of another.
    stack = Stack(folder, {"m1": node}, {"i1": "m1"}, lambda document: document.update(views={"cache": "0s"}))
    haproxy = stack.haproxy(lambda text: re.sub(rf"(?m)^(    bind .*):{stack.port}\b", rf"\1:{port}", text))
    with started({"m1": node}), running_gin(folder, token := stack.token()) as go, running(stack):
        try:
            haproxy.start()
            wait_for("HAProxy", lambda: requests.get(f"http://127.0.0.1:{port}/object/", timeout=1).status_code == 404)
            ports = {"go": go, "instance": stack.ports["i1"], "nginx": stack.port, "haproxy": port}
            yield Deployment(stack, ports, token, _uploaded(stack))
        finally:
            if haproxy.child is not None:
                haproxy.stop()


def _uploaded(stack: Stack) -> str:
    """Upload all names; the ID of an upload of ten parts."""
    api = stack.api(stack.instance_url("i1"))
    for name in NAMES:
        api.upload(CONTENT, name, "text/plain")
    begun = {"hash": "0" * 32, "size": PARTS * PART, "partSize": PART, "maxParts": 0, "name": "u1/parts", "contentType": ""}
    return str(api.ok("initiate_multipart_upload", begun)["upload"]["uploadID"])


def _route(request: Request) -> str:
    return request.head.split(b" ")[1].partition(b"?")[0].partition(b"#")[0].rstrip(b"/").rpartition(b"/")[2].decode()


def _expected(deployment: Deployment, request: Request, tag: str) -> Outcome:
    """What v3.4.0 makes of a request that Go read as it did."""
    answer = deployment.send("go", request, tag)
    if answer is not None and answer.status in (301, 307):
        # gin takes a slash off or adds one, and clients follow.
        method, _, rest = request.head.partition(b" ")
        head = method + b" " + answer.headers["Location"].encode() + b" " + rest.partition(b" ")[2]
        answer = deployment.send("go", replace(request, head=head), tag)
    if answer is None or answer.status >= 400:
        return REFUSED
    if "X-Name" in answer.headers:
        name = bytes.fromhex(answer.headers["X-Name"][1:]).decode(errors="replace")
        query = dict(parse_qsl(answer.headers["X-Query"], keep_blank_values=True))
        # Of an unknown type, or what is shown is no picture.
        refused = name not in NAMES or query.get("type")
        return REFUSED if refused else ("shown", name.rsplit("/", 1)[1])
    if not answer.body or answer.body == b'"Options Request!"':
        return ("options",)
    told = json.loads(answer.body)
    if told["errCode"] != 0:
        return "failed", told["errCode"]
    return _understood(_route(request), told["data"], deployment.upload)


def _understood(route: str, fields: dict[str, Any], upload: str) -> Outcome:
    """What comes of a POST's fields as they were read."""
    try:
        if route in ("initiate_multipart_upload", "complete_multipart_upload", "initiate_form_data"):
            check_name(fields["name"], "u1", False)
        if route == "part_size":
            return "done", part_size(fields["size"])
    except APIError as e:
        return "failed", e.code
    if route == "initiate_multipart_upload":
        return "done", fields["name"], fields["contentType"]
    if route == "auth_sign" and fields["uploadID"] == upload:
        return "done", fields["partNumbers"] or []
    if route == "access_url":
        query = fields["query"] or {}
        return ("failed", 1001) if query.get("type") else ("done", fields["name"].rsplit("/", 1)[1])
    # No ID of an upload or a form is a real one.
    return ("failed", 500) if route in ("auth_sign", "complete_multipart_upload", "complete_form_data") else ("done",)


def _outcome(deployment: Deployment, server: str, request: Request) -> Outcome:
    """What one of ours makes of a request."""
    answer = deployment.send(server, request, server[:2])
    if answer is None or 400 <= answer.status < 500 or answer.status in (501, 505):
        return REFUSED
    if answer.status == 302:
        return "shown", _file_name(answer.headers["Location"])
    if answer.status != 200:
        return "broken", answer.status, answer.body[:200]
    if not answer.body or answer.body == b'"Options Request!"':
        return ("options",)
    told = json.loads(answer.body)
    if told["errCode"] != 0:
        return "failed", told["errCode"]
    route, data = _route(request), told["data"]
    if route == "part_size":
        return "done", data["size"]
    if route == "initiate_multipart_upload":
        path = urlsplit(data["url"]).path
        shown = requests.get(deployment.stack.instance_url("i1") + path, allow_redirects=False, timeout=10)
        return "done", unquote(path.removeprefix("/object/")), _parameter(shown.headers["Location"], "response-content-type")
    if route == "auth_sign":
        return "done", [part["partNumber"] for part in data["parts"]]
    return ("done", _file_name(data["url"])) if route == "access_url" else ("done",)


def _parameter(url: str, name: str) -> str:
    return dict(parse_qsl(urlsplit(url).query)).get(name, "")


def _file_name(url: str) -> str:
    """What a signed URL's content is saved as."""
    disposition = _parameter(url, "response-content-disposition")
    plain, _, encoded = disposition.partition("; filename*=UTF-8''")
    return unquote(encoded) or plain.partition('filename="')[2].rstrip('"')


INSTANCE = ("instance",)
#: "taken" or "refused" by ours where Go does the other, why, and which requests by which of ours.
_DIFFERENCES: list[tuple[str, str, dict[str, tuple[str, ...]]]] = [
    (
        "refused",
        "gunicorn 27 takes no raw byte over 0x7F in a request line, by no setting; clients talk to a balancer, which "
        "encodes. 26 does, but there one client with an endless chunk extension stops a worker",
        dict.fromkeys(
            [
                *("line: raw UTF-8", "line: raw UTF-8, HEAD", "line: a raw emoji", "line: raw UTF-8 of two bytes"),
                *("line: raw UTF-8 in two segments, one byte encoded", "line: raw UTF-8 beside an encoded space"),
                *("line: raw UTF-8 and an encoded slash", "line: raw UTF-8 and an encoded letter"),
                *("line: raw UTF-8 and a good query", "line: 1,024 bytes, raw", "line: raw UTF-8 in the query"),
                *(
                    "line: an absolute URL with raw UTF-8",
                    "line: HTTP/1.0 with raw UTF-8",
                    "line: raw UTF-8 after the route",
                ),
                "framing: two requests at once, the second raw",
            ],
            INSTANCE,
        ),
    ),
    (
        "refused",
        "two readings of where a request ends, or of what a header says, smuggle requests past a balancer (RFC 9112, 2.2, "
        "5.2, 6.1 and 7.1; RFC 9110, 5.3)",
        {
            "line: line feeds alone": INSTANCE,
            "header: a value folded by a space": ("instance", "nginx"),
            "header: a value folded by a tab": ("instance", "nginx"),
            "header: a folded token": ("instance", "nginx"),
            "header: Content-Type twice": SERVERS,
            "header: Content-Type twice, two of them": SERVERS,
            "framing: the same length twice": ("instance", "nginx"),
            "framing: chunks and a length": ("instance", "nginx"),
            "framing: blanks around chunked": ("nginx",),
            "framing: chunks: a blank after a size": INSTANCE,
            "framing: chunks: an empty extension": INSTANCE,
            "framing: chunks: a length for a trailer": ("instance", "haproxy"),
            "framing: chunks: a trailer without a colon": ("instance", "haproxy"),
            "framing: chunks: a folded trailer": INSTANCE,
        },
    ),
    (
        "refused",
        "Go answers when it has read a value, whatever follows; here a body that is cut or malformed behind it is none, so "
        "that a request that did not come whole does nothing",
        dict.fromkeys(
            [
                "framing: a length that is too large, and the end",
                "framing: chunks: no CRLF after a chunk",
                "framing: chunks: no last chunk, and the end",
                "framing: chunks: no empty line at the end, and the end",
                "framing: chunks: a cut chunk, and the end",
            ],
            SERVERS,
        ),
    ),
    (
        "refused",
        "bounds what one connection may make an instance keep: a line of 8,190 bytes, a header of 32 KiB (nginx makes one "
        "of all cookies), 140 headers, a body of 1 MiB, a depth that Python's stack holds. No name is longer, no list of "
        "parts larger, no shape deeper than two",
        {
            "line: a query of 9,000 bytes": SERVERS,
            "line: a query of 40,000 bytes": SERVERS,
            "header: Cookie of 40,000 bytes": SERVERS,
            "header: three Cookies of 30,000 bytes": ("nginx",),
            "header: 180 more": SERVERS,
            "header: 400 more": SERVERS,
            "framing: a body over 1 MiB": SERVERS,
            "json: a depth of 5,000": SERVERS,
        },
    ),
    (
        "refused",
        "asks for something else than the object API, as no client of it does: of the server as a whole, for another "
        "protocol, for nothing that can be expected, at no host, by a version that is none yet, with the route's own "
        "letters encoded",
        {
            "line: an asterisk for OPTIONS": ("nginx", "haproxy"),
            "header: Upgrade to WebSocket": INSTANCE,
            "header: an empty Expect": ("instance", "haproxy"),
            "header: an empty Host": ("nginx",),
            "line: HTTP/1.9": INSTANCE,
            "line: an encoded route": ("haproxy",),
        },
    ),
    (
        "taken",
        "malformed, but of one meaning, and shows or does what the same request would if it were well-formed; the server at "
        "hand takes it by itself",
        {
            "line: HTTP/2.0": ("haproxy",),
            "line: no version": ("haproxy",),
            "line: a version of two digits": ("nginx",),
            "line: two spaces": SERVERS,
            "line: a space at the end": ("nginx",),
            "line: a tab for a space": ("haproxy",),
            "line: a percent sign alone": ("instance", "haproxy"),
            "line: an empty line in front": SERVERS,
            "line: a fragment after the route": SERVERS,
            "header: UTF-8 in a name": ("nginx",),
            "header: no colon": ("nginx",),
            "header: a bracket in a name": ("nginx",),
            "header: no Host": ("instance", "haproxy"),
            "header: Host twice": ("haproxy",),
            "header: Host of UTF-8": SERVERS,
            "header: Host with a blank": ("instance", "haproxy"),
            "header: Host with a slash": ("instance", "haproxy"),
            "header: Expect of something else": ("nginx",),
            "framing: a list of two": ("haproxy",),
            "framing: gzip, chunked": INSTANCE,
            "framing: chunks: a size of 17 digits": SERVERS,
            "framing: chunks: an extension with blanks": SERVERS,
            "framing: chunks: line feeds alone": ("haproxy",),
            "framing: a length announced as trailer": SERVERS,
        },
    ),
]
#: Request to (which of ours differ, how, why).
DIFFERENCES = {title: (servers, how, why) for how, why, titles in _DIFFERENCES for title, servers in titles.items()}


@pytest.mark.parametrize("odd", REQUESTS, ids=lambda odd: odd.title)
def test_odd_request(deployment: Deployment, odd: Request) -> None:
    servers, how, _ = DIFFERENCES.get(odd.title, ((), "", ""))
    wrong = {}
    for server in SERVERS:
        expected, outcome = _expected(deployment, odd, server[:2]), _outcome(deployment, server, odd)
        if server not in servers:
            right = outcome == expected
        elif how == "refused":
            right = outcome == REFUSED != expected
        else:
            right = outcome[0] in ("shown", "done") and expected == REFUSED
        if not right:
            wrong[server] = (outcome, expected)
    assert wrong == {}, how


def test_the_list_is_of_many_requests_each_with_a_title_of_its_own() -> None:
    titles = [odd.title for odd in REQUESTS]
    assert len(titles) == len(set(titles)) > 450
    assert DIFFERENCES.keys() <= set(titles)
    assert sum(len(group) for _, _, group in _DIFFERENCES) == len(DIFFERENCES)


@pytest.mark.parametrize(
    "path", ["/i/i1/object/u1/照片.txt", "/i/gone/object/u1/照片.txt", "/i/i1/object/u1/plain.txt?x=照片"]
)
@pytest.mark.parametrize("server", ["nginx", "haproxy"])
def test_raw_bytes_in_a_url_that_names_an_instance(deployment: Deployment, server: str, path: str) -> None:
    odd = Request(path, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert _outcome(deployment, server, odd) == ("shown", path.partition("?")[0].rpartition("/")[2])


@pytest.mark.parametrize("server", ["nginx", "haproxy"])
def test_cookies_of_30_kb_reach_the_content_too(deployment: Deployment, server: str) -> None:
    """Browsers send them to the redirect's URL as well, which is of the same host; MinIO alone refuses over 8 KiB."""
    base = f"http://127.0.0.1:{deployment.ports[server]}"
    headers = {"Cookie": "big=" + "c" * 30_000, "Host": f"127.0.0.1:{deployment.stack.port}"}
    shown = requests.get(f"{base}/object/u1/plain.txt", headers=headers, allow_redirects=False, timeout=10)
    signed = urlsplit(shown.headers["Location"])
    content = requests.get(f"{base}{signed.path}?{signed.query}", headers=headers, timeout=10)
    assert (content.status_code, content.content) == (200, CONTENT)


def test_a_file_name_that_the_locale_cannot_read(deployment: Deployment, tmp_path: Path) -> None:
    """The command line's own client: in the C locale a name of UTF-8 is itself, and U+FFFD stands for what is none."""
    for name, path in (("照片.bin", "照片.bin"), (os.fsdecode(b"\xff.bin"), "\ufffd.bin")):
        (tmp_path / name).write_bytes(name.encode(errors="surrogateescape"))
        done = subprocess.run(
            [sys.executable, "-m", "app", "upload", tmp_path / name, "--config", deployment.stack.config, "--verify"],
            env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            cwd=REPO,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode().endswith(f"/object/openim-direct-test/{quote(path)}\n")
