"""What pages in a real browser ask of the object API, through nginx and HAProxy: the requests of `page_requests.js`.

A page of an origin that `cors.origins` lists, one of another, and one of the deployment's own. Expected is what v3.4.0
gives, or better; one node's address has another host than public_url, so that its views are redirects across origins.
"""

from __future__ import annotations

import hashlib
import io
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from selenium.webdriver import Chrome

from tests.browser import chromium
from tests.pictures import encoded, photo
from tests.stack import PART, MinIONode, Stack, content_hash, initiate_body, part_hashes, running, started, wait_for

SCRIPT = (Path(__file__).parent / "page_requests.js").read_text()
#: A page asks for its text and its picture, and tells its parent how it went.
_FRAME = """<!doctype html><script>
onmessage = async ({data, source}) => {
  const text = await fetch(data.text).then(a => a.text()).then(t => t.slice(0, 4), e => e.name);
  const picture = await new Promise(resolve => {
    const made = new Image();
    made.onload = () => resolve(`${made.naturalWidth}x${made.naturalHeight}`);
    made.onerror = () => resolve("error");
    made.src = data.picture;
  });
  // A page without an origin may not even ask.
  const by = origin !== "null" && navigator.serviceWorker.controller ? " by the worker" : "";
  source.postMessage(`${text} ${picture}${by}`, "*");
};
</script>"""
_WORKER = """onactivate = event => event.waitUntil(clients.claim());
onfetch = event => event.respondWith(fetch(event.request));"""
FILES = {
    "/page": ("text/html", f"<!doctype html><body><script>{SCRIPT}</script>"),
    "/page/frame": ("text/html", _FRAME),
    "/page/controlled": ("text/html", _FRAME),
    "/page/isolated": ("text/html", _FRAME),
    "/page/worker.js": ("text/javascript", _WORKER),
}
BALANCERS = ("nginx", "haproxy")
#: The unlisted one asks first: what it leaves in caches must not harm the listed one.
ORIGINS = ("unlisted", "listed", "same")
TEXT = b"text " * 200
NAMES = ("text", "picture.png", "sound.wav", "text-2", "picture-2.png")


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kind, text = FILES.get(self.path, ("text/plain", ""))
        self.send_response(200 if text else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        if self.path == "/page/isolated":
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A browser that goes away is none."""


def sound() -> bytes:
    """A minute of silence, 5 MB."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(44100)
        out.writeframes(bytes(60 * 44100 * 2))
    return file.getvalue()


#: Outcomes by list and request. A pair is of an unlisted origin, and of listed ones and the deployment's own: requests with
#: credentials, which v3.4.0 allows nobody ("Access-Control-Allow-Credentials: false").
HIDDEN = "TypeError"
ETAG = f'"{hashlib.md5(TEXT).hexdigest()}"'
_TEXT, _END = "200 text text te", "206 bytes 950-999/1000"
EXPECTED: dict[str, dict[str, str | tuple[str, str]]] = {
    "live": {
        "POST, JSON as text/plain": "200 0",
        "POST, JSON": "200 0",
        "POST again": "200 0",
        "POST, credentials": (HIDDEN, "200 0"),
        "POST, Authorization": "200 0",
        "POST, X-Requested-With": "200 0",
        "POST, tracing headers": "200 0",
        "POST, credentials and all of these": (HIDDEN, "200 0"),
        "POST, 60 headers": "200 0",
        "POST, keepalive": "200 0",
        "POST, without headers": "200 1001",
        "POST, bad JSON": "400 1001",
        "POST, unknown route": "404 404 page not found",
        "POST, bad token": "200 1505",
        "POST, by an instance's path": "200 0",
        "POST, an instance that is none": "404 404 page not found",
        "POST, from a worker": "0",
        "DELETE": "404 404 page not",
        "upload, small, fetch": "200 uploaded",
        "upload, large, XMLHttpRequest": "aborted, 200 progress ETag, 200 progress ETag, uploaded",
        "upload, form": "204 3200",
        "PUT, a signature that is wrong": "403",
        "view": _TEXT,
        "view, headers": f'200 {ETAG} 1000 application/octet-stream attachment; filename="text" bytes',
        "view, credentials": (HIDDEN, _TEXT),
        "view, credentials, another host": (HIDDEN, _TEXT),
        "view, another host": _TEXT,
        "view, another host, Range of the end": "206 bytes 952-1001/1002",
        "view, Range": "206 bytes 0-9/1000",
        "view, Range of the end": _END,
        "view, Range of the end, credentials": (HIDDEN, _END),
        "view, If-None-Match": f"304 {ETAG}",
        "view, If-None-Match, credentials": (HIDDEN, f"304 {ETAG}"),
        "view, If-Modified-Since": "304",
        "view, Authorization": _TEXT,
        "view, Authorization, basic": _TEXT,
        "view, Authorization, another host": _TEXT,
        "view, X-Requested-With": _TEXT,
        "view, tracing headers": _TEXT,
        "view, tracing headers, another host": _TEXT,
        "view, all of these, credentials": (HIDDEN, _TEXT),
        "view, token": _TEXT,
        "view, cache default": _TEXT,
        "view, cache reload": _TEXT,
        "view, cache no-store": _TEXT,
        "view, cache no-cache": _TEXT,
        "view, cache force-cache": _TEXT,
        # Of another origin by the Fetch standard: no request is made.
        "view, only-if-cached": HIDDEN,
        "view, mode no-cors": "opaque",
        "view, redirect manual": "opaqueredirect",
        "view, redirect error": HIDDEN,
        "view, HEAD": "200 1000",
        "view, HEAD, credentials": (HIDDEN, "200 1000"),
        "view, no such name": "404",
        "view, no such name, credentials": (HIDDEN, "404"),
        "view, by an instance's path": _TEXT,
        "view, XMLHttpRequest, credentials": ("error", "200 1000"),
        "view, aborted and repeated": f"AbortError, {len(sound())}",
        "img": "800x600",
        "img, thumbnail": "100x75",
        "img, anonymous, canvas": "read back",
        "img, use-credentials, canvas": ("error", "read back"),
        "img, anonymous after credentials": "read back",
        "img, another host": "800x600",
        "img, another host, anonymous, canvas": "read back",
        "img, another host, use-credentials, canvas": ("error", "read back"),
        "thumbnail, use-credentials, canvas": ("error", "read back"),
        "fetch of a thumbnail": "200 image/png",
        "audio": "60 s",
        "video": "60 s",
        "audio, anonymous": "60 s",
        "video, use-credentials": ("error", "60 s"),
        "service worker: fetch, img": "text 800x600 by the worker",
        "page that takes in only what allows it: fetch, img": "text 800x600",
        "page without an origin: fetch, img": "text 800x600",
    },
    # The redirect of a view leads to the node as a signed URL does, where S3's own form is expected.
    "dead": {
        "view": "503 ServiceUnavailable",
        "view, tracing headers": "503 ServiceUnavailable",
        "view, credentials": (HIDDEN, "503 ServiceUnavailable"),
        "img": "error",
        "signed URL": "503 ServiceUnavailable",
        "signed URL, Range of the end": "503 ServiceUnavailable",
        # A signed URL opens its object to whoever has it, as at MinIO itself.
        "signed URL, credentials": "503 ServiceUnavailable",
        "signed URL, HEAD": "503",
        "PUT": "503 ServiceUnavailable",
        "PUT, 5 MiB, XMLHttpRequest": "503",
    },
    "alone": {
        "POST": "503 90004",
        "POST, credentials": (HIDDEN, "503 90004"),
        "view": "503",
    },
}


class Driven:
    """Two deployments, the pages of three origins, and what each request of a page came to."""

    def __init__(self, browser: Chrome, pages: int, stacks: dict[str, Stack], nodes: dict[str, MinIONode]) -> None:
        self.browser, self.stacks, self.nodes = browser, stacks, nodes
        self.origins = {"listed": f"http://127.0.0.1:{pages}", "unlisted": f"http://localhost:{pages}"}
        self.signed = {kind: self._fill(stack) for kind, stack in stacks.items()}

    def _fill(self, stack: Stack) -> dict[str, str]:
        """Upload what pages view; signed URLs of the node that will be stopped."""
        content = {"text": TEXT, "picture.png": encoded(photo(800, 600), "PNG"), "sound.wav": sound()}
        for instance, suffix in (("i1", ""), ("i2", "-2")):
            api = stack.api(stack.instance_url(instance))
            for name in NAMES:
                stem, dot, extension = name.partition(".")
                if stem.endswith("-2") == bool(suffix):
                    # Content of its own, or the other node's would do.
                    api.upload(content[stem.removesuffix("-2") + dot + extension] + suffix.encode(), f"u1/page/{name}")
        view = requests.get(f"{stack.url}/object/u1/page/text-2", allow_redirects=False, timeout=10)
        body = initiate_body(b"never sent", "u1/page/never")
        begun = stack.api(stack.instance_url("i2")).ok("initiate_multipart_upload", body)
        return {"get": view.headers["Location"], "put": begun["upload"]["sign"]["parts"][0]["url"]}

    def ask(self, kind: str, origin: str, requests_of: str) -> dict[str, str]:
        """Outcomes of a list, by name."""
        stack = self.stacks[kind]
        self.browser.get(f"{self.origins.get(origin, stack.url)}/page")
        seed = f"{kind}-{origin}".ljust(16, "-")
        sizes = {"small": 1600, "large": PART + 1600, "form": 3200}
        hashes = {
            name: {"whole": content_hash(whole), "parts": part_hashes(whole)}
            for name, size in sizes.items()
            for whole in (seed.encode() * (size // 16),)
        }
        context = {
            **{"api": stack.url, "token": stack.token("u1"), "seed": seed, "part": PART, "sizes": sizes, "hashes": hashes},
            "etag": ETAG,
            "headers": [f"x-long-header-of-a-page-{n}" for n in range(60)],
            "s3": f"{stack.url}/s3/m1/openim/x",
            "dead": self.signed[kind],
        }
        outcomes: dict[str, str] = self.browser.execute_async_script(
            "const done = arguments[2]; run(arguments[0], arguments[1]).then(done, e => done({failed: String(e)}))",
            context,
            requests_of,
        )
        return outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str, str], dict[str, str]]]:
    """By balancer, origin and list: all is asked once, first with everything up, then less."""
    folder = tmp_path_factory.mktemp("driven")
    server = Server(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages = server.server_address[1]

    def change(document: dict[str, Any]) -> None:
        document["cors"] = {"origins": [f"http://127.0.0.1:{pages}"]}
        document["server"] = {"workers": 1}
        document["balancer"] = {"legacy_api": f"http://127.0.0.1:{pages}"}
        m2 = document["nodes"]["m2"]
        m2["sign_endpoint"] = m2["sign_endpoint"].replace("127.0.0.1", "localhost")

    nodes = {n: MinIONode(n, folder / n) for n in ("m1", "m2")}
    with started(nodes):
        stacks = {k: Stack(folder / k, nodes, {"i1": "m1", "i2": "m2"}, change, kind=k) for k in BALANCERS}
        with (
            running(stacks["nginx"]),
            running(stacks["haproxy"]),
            chromium(tmp_path_factory.mktemp("browser")) as browser,
        ):
            browser.set_script_timeout(120)
            driven, told = Driven(browser, pages, stacks, nodes), {}
            for requests_of in ("live", "dead", "alone"):
                if requests_of == "dead":
                    nodes["m2"].stop()
                    for stack in stacks.values():
                        url = f"{stack.instance_url('i2')}/readyz"
                        wait_for("i2 to know", lambda url=url: requests.get(url, timeout=9).status_code == 503)  # type: ignore[misc]
                if requests_of == "alone":
                    for stack in stacks.values():
                        for process in stack.instances.values():
                            process.kill()
                for kind in BALANCERS:
                    for origin in ORIGINS:
                        told[kind, origin, requests_of] = driven.ask(kind, origin, requests_of)
            yield told
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("requests_of", EXPECTED)
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("kind", BALANCERS)
def test_a_page_sees_what_it_saw_from_v3_4_0_or_better(
    outcomes: dict[tuple[str, str, str], dict[str, str]], kind: str, origin: str, requests_of: str
) -> None:
    expected = {
        name: outcome if isinstance(outcome, str) else outcome[origin != "unlisted"]
        for name, outcome in EXPECTED[requests_of].items()
    }
    if origin == "same" and requests_of == "live":
        expected["view, only-if-cached"] = _TEXT
    assert outcomes[kind, origin, requests_of] == expected
