"""Metrics, status and logs of a running deployment, against what its clients counted and did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from app.auth.tokens import make_token
from tests.stack import (
    REPO,
    SECRET,
    MinIONode,
    Stack,
    assert_envelope,
    free_port,
    running,
    same,
    started,
    wait_for,
)


class Audit:
    """Takes what a MinIO node tells of each call (its audit webhook)."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        taken = self.entries

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if body:
                    taken.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", free_port()), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> Audit:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def audit() -> Iterator[Audit]:
    with Audit() as made:
        yield made


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def watched(tmp_path_factory: pytest.TempPathFactory, audit: Audit, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Two nodes of its own, of which m1 tells what is asked of it."""
    folder = tmp_path_factory.mktemp("watched")
    nodes = {n: MinIONode(n, folder / n) for n in ("m1", "m2")}
    env = nodes["m1"].process.env
    assert env is not None
    env["MINIO_AUDIT_WEBHOOK_ENABLE_test"] = "on"
    env["MINIO_AUDIT_WEBHOOK_ENDPOINT_test"] = audit.url
    with started(nodes), running(Stack(folder / "stack", nodes, {"i1": "m1", "i2": "m2"}, kind=request.param)) as stack:
        yield stack


def scraped(stack: Stack, instance: str) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    text = requests.get(f"{stack.instance_url(instance)}/metrics", timeout=5).text
    found: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = int(sample.value)
    return found


def total(stack: Stack, name: str, **labels: str) -> int:
    return sum(
        value
        for instance in stack.instances
        for (found, has), value in scraped(stack, instance).items()
        if found == f"openim_direct_{name}" and labels.items() <= dict(has).items()
    )


def status_json(stack: Stack) -> Any:
    return json.loads(stack.cli("status", "--json"))


def test_metrics_and_status_agree_with_a_load_of_1000_uploads(watched: Stack) -> None:
    stack = watched
    names = (
        *("uploads_begun_total", "uploads_completed_total", "uploads_deduplicated_total"),
        *("upload_bytes_total", "uploads_failed_total"),
    )
    before = {name: total(stack, name) for name in names}
    shared = os.urandom(300)
    stack.api(user="first").upload(shared, "first")
    counted: Counter[str] = Counter(uploads_begun_total=1, uploads_completed_total=1, upload_bytes_total=300)
    lock = threading.Lock()

    def user(number: int) -> None:
        api = stack.api(user=f"user{number}")
        for n in range(50):
            if n % 10 == 9:
                # Content that is there: no bytes, no completion.
                url = api.upload(shared, f"shared{n}")
                assert same(api.get(url).content, shared)
                with lock:
                    counted["uploads_deduplicated_total"] += 1
                continue
            content = os.urandom(200 + n)
            name = f"user{number}/{n}"
            begun = api.initiate(content, name)
            body = api.complete_body(content, begun["upload"]["uploadID"], name)
            if n % 10 == 5:
                # Not sent yet: refused.
                assert_envelope(api.post("complete_multipart_upload", body), 500)
                with lock:
                    counted["uploads_failed_total"] += 1
            api.put(content, begun)
            api.ok("complete_multipart_upload", body)
            with lock:
                counted["uploads_begun_total"] += 1
                counted["uploads_completed_total"] += 1
                counted["upload_bytes_total"] += len(content)
        api.session.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(user, range(20)))
    assert {name: total(stack, name) - before[name] for name in names} == {name: counted[name] for name in names}

    told = status_json(stack)
    recent: Counter[str] = Counter()
    for instance in told["instances"]:
        assert instance["ready"]
        recent.update(instance["report"]["recent"])
        assert 0 < instance["share"] < 1
        assert instance["report"]["latency"]["p50_ms"] > 0
        assert instance["report"]["node_latency"]["p50_ms"] > 0
    assert {name: recent[name.removesuffix("_total")] for name in names} == {
        # All that this deployment did is of the last minutes.
        name: total(stack, name)
        for name in names
    }
    assert sum(i["share"] for i in told["instances"]) == pytest.approx(1)
    # What the records say lies on the nodes is what was made.
    assert sum(n["objects"] for n in told["nodes"]) == total(stack, "uploads_completed_total")
    assert sum(n["bytes"] for n in told["nodes"]) == total(stack, "upload_bytes_total")


def test_requests_by_route_code_and_pin(watched: Stack) -> None:
    stack = watched
    api = stack.api(stack.instance_url("i1"))

    def count(**labels: str) -> int:
        return total(stack, "requests_total", **labels)

    def grew(labels: dict[str, str], ask: Any) -> requests.Response:
        before = count(**labels)
        answer: requests.Response = ask()
        assert count(**labels) == before + 1, labels
        return answer

    limit = {"route": "part_limit", "err_code": "0"}
    answer = grew({**limit, "pin": "hash"}, lambda: api.post("part_limit"))
    assert answer.headers["X-OpenIM-Direct-Pin"] == "hash"
    cookie = api.post("part_limit").headers["Set-Cookie"].split("=")[0]
    kept = {"Cookie": f"other=1; {cookie}=i1; x=y"}
    answer = grew({**limit, "pin": "cookie"}, lambda: api.post("part_limit", headers=kept))
    assert answer.headers["X-OpenIM-Direct-Pin"] == "cookie"
    grew({**limit, "pin": "none"}, lambda: api.post("part_limit", headers={"Cookie": f"{cookie}=i2"}))
    # Through the balancer, which says what the path named; a client cannot.
    front = stack.api()
    url = f"{stack.url}/i/i2/object/part_limit"
    head = {"token": front.token, "operationID": "x"}
    grew({**limit, "pin": "prefix"}, lambda: requests.post(url, headers=head, json={}, timeout=5))
    lied = {"X-OpenIM-Direct-Prefix": "i1"}
    assert front.post("part_limit", headers=lied).headers["X-OpenIM-Direct-Pin"] == "hash"
    # Errors by their number.
    grew({"route": "part_limit", "err_code": "1001"}, lambda: api.post("part_limit", headers={"operationID": ""}))
    grew({"route": "view", "err_code": "1004"}, lambda: api.get(f"{api.url}/object/no/such"))
    grew({"route": "other", "err_code": "404"}, lambda: api.get(f"{api.url}/wp-admin/{os.urandom(4).hex()}"))
    # A forwarded upload: by the first instance as it came, by the owner as forwarded.
    content = os.urandom(500)
    name = "u1/forwarded"
    begun = api.initiate(content, name)
    api.put(content, begun)
    forwards = total(stack, "forwards_total", result="answered", node="m1")
    other = stack.api(stack.instance_url("i2"))
    body = api.complete_body(content, begun["upload"]["uploadID"], name)
    answer = grew(
        {"route": "complete_multipart_upload", "err_code": "0", "pin": "forwarded"},
        lambda: other.post("complete_multipart_upload", body),
    )
    assert answer.headers["X-OpenIM-Direct-Forwarded-To"] == "i1"
    assert total(stack, "forwards_total", result="answered", node="m1") == forwards + 1
    # No user, name or key is a label's value.
    labels = {value for i in stack.instances for _, has in scraped(stack, i) for _, value in has}
    assert not [value for value in labels if "u1" in value or "user" in value or len(value) > 60]


def test_metrics_of_nodes_storage_and_records(watched: Stack) -> None:
    stack = watched
    stack.api().upload(os.urandom(100), "u1/counted")
    assert total(stack, "node_up", node="m1") == 2, "both instances hold keys for m1 and see it"
    assert total(stack, "storage_calls_total", result="200") > 0
    assert total(stack, "records_calls_total", call="put", result="done") > 0
    assert total(stack, "requests_in_flight") == 2, "the two scrapes themselves"


def test_metrics_stay_inside(watched: Stack) -> None:
    for path in ("/metrics", "/status.json", "/healthz"):
        assert requests.get(watched.url + path, timeout=5).status_code == 404
    own = watched.instance_url("i1")
    assert requests.get(f"{own}/metrics", headers={"X-Forwarded-For": "192.0.2.1"}, timeout=5).status_code == 404


def test_who_may_see_the_status(watched: Stack) -> None:
    stack = watched
    own = stack.instance_url("i1")

    def got(**headers: str) -> int:
        return requests.get(
            f"{own}/status.json", headers={k.replace("_", "-"): v for k, v in headers.items()}, timeout=5
        ).status_code

    assert got() == 200
    # What a balancer on this machine passes on, from anywhere.
    for header in ("X_Forwarded_For", "X_Real_IP", "Forwarded", "Via"):
        assert got(**{header: "127.0.0.1"}) == 403
    assert got(Host="attacker.example") == 403
    assert got(X_Real_IP="1.2.3.4", token=make_token(SECRET, "u1", 5, 60)) == 403
    assert got(X_Real_IP="1.2.3.4", token=make_token("another", "openIMAdmin", 10, 60)) == 403
    assert got(X_Real_IP="1.2.3.4", token=make_token(SECRET, "openIMAdmin", 10, 60)) == 200
    assert got(X_Real_IP="1.2.3.4", X_OpenIM_Direct_Forwarded="i2") == 403
    # Its answers are not for pages of other origins.
    answer = requests.get(f"{own}/status.json", headers={"Origin": "https://attacker.example"}, timeout=5)
    assert not [h for h in answer.headers if h.lower().startswith("access-control")]
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_admin_logs_in_through_the_balancer(watched: Stack) -> None:
    with requests.Session() as browser:
        page = f"{watched.url}/status"
        assert browser.get(page, timeout=5).status_code == 401
        assert browser.get(f"{page}/upload", timeout=5).status_code == 401
        refused = browser.post(page, data={"token": watched.token("u1")}, timeout=5)
        assert refused.status_code == 403
        assert not browser.cookies
        told = browser.post(page, data={"token": watched.token("openIMAdmin", 10)}, timeout=10)
        assert told.status_code == 200
        assert told.url == page
        assert 'data-id="i1"' in told.text
        assert browser.get(f"{page}/upload", timeout=5).status_code == 200
        for cookie in browser.cookies:
            cookie.value = (cookie.value or "")[:-2] + "xx"
        assert browser.get(page, timeout=5).status_code == 401


def test_one_operation_is_found_everywhere(watched: Stack, audit: Audit) -> None:
    stack = watched
    operation = f"find-me-{os.urandom(6).hex()}"
    i1, i2 = (stack.api(stack.instance_url(i)) for i in ("i1", "i2"))
    content, name = os.urandom(700), "u1/找我"
    begun = i1.initiate(content, name)
    i1.put(content, begun)
    prefixed = f"{stack.url}/i/i2/object/complete_multipart_upload"
    done = requests.post(
        prefixed,
        json=i1.complete_body(content, begun["upload"]["uploadID"], name),
        headers={"token": i2.token, "operationID": operation},
        timeout=10,
    )
    assert done.json()["errCode"] == 0

    def lines(instance: str) -> list[dict[str, Any]]:
        text = stack.instances[instance].log.read_text()
        return [json.loads(line) for line in text.splitlines() if operation in line]

    (first,), (owner,) = (wait_for(f"{i}'s log", lambda i=i: lines(i)) for i in ("i2", "i1"))
    assert (first["pin"], first["forwardedTo"], first["errCode"], first["user"]) == ("prefix", "i1", 0, "u1")
    assert (owner["pin"], owner["forwardedBy"], owner["node"]) == ("forwarded", "i2", "m1")
    assert first["ms"] >= first["forward_ms"] > 0
    assert owner["ms"] >= owner["storage_ms"] + owner["records_ms"] > 0
    wait_for("m1's audit log", lambda: [e for e in audit.entries if operation in str(e.get("userAgent"))])
    if (stack.folder / "nginx").is_dir():
        wait_for("nginx's log", lambda: operation in (stack.folder / "nginx/access.log").read_text())


def test_logs_are_json_and_hold_no_secret(watched: Stack) -> None:
    stack = watched
    api = stack.api()
    url = api.upload(os.urandom(900), "u1/secret-free")
    located = requests.get(url, timeout=5, allow_redirects=False).headers["Location"]
    signature = located.partition("X-Amz-Signature=")[2].partition("&")[0]
    assert len(signature) == 64
    evil = requests.get(f"{stack.instance_url('i1')}/object/a%0A%1B[31mb", headers={"operationID": 'x"{y}' * 40}, timeout=5)
    assert evil.status_code == 404
    text = "".join(p.log.read_text() for p in stack.instances.values())
    for secret in (api.token, signature, SECRET, "X-Amz-Signature"):
        assert secret not in text
    entries = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    requests_seen = [e for e in entries if "route" in e]
    assert {"time", "level", "instance", "operationID", "user", "route", "errCode", "pin", "ms"} <= requests_seen[0].keys()
    assert not [e for e in requests_seen if e["route"] in ("health", "metrics")]
    # Any other line is gunicorn's own, or what `serve` says at its start.
    others = [line for line in text.splitlines() if not line.startswith("{")]
    assert all(line.startswith(("[", "instance ", "warning: ")) for line in others if line), others


def test_a_stopped_node_is_named(tmp_path: Path) -> None:
    nodes = {n: MinIONode(n, tmp_path / n) for n in ("m1", "m2")}
    with started(nodes), running(Stack(tmp_path / "stack", nodes, {"i1": "m1", "i2": "m2"}, balancer=None)) as stack:
        assert {n["id"]: n["up"] for n in status_json(stack)["nodes"]} == {"m1": True, "m2": True}
        nodes["m2"].stop()
        stack.instances["i1"].stop()

        def run(*options: str) -> Any:
            command = [sys.executable, "-m", "app", "status", "--config", str(stack.config), *options]
            return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPO)

        def down() -> Any:
            done = run("--json")
            told = json.loads(done.stdout)
            states = {i["id"]: i["ready"] for i in told["instances"]}
            return (done.returncode, told) if states == {"i1": False, "i2": False} else None

        code, told = wait_for("both to be down", down)
        assert code == 1
        (m1, m2), (i1, i2) = told["nodes"], told["instances"]
        assert (m1["up"], m2["up"]) == (True, False)
        assert "refused" in m2["reason"]
        assert i1["report"] is None
        assert i2["report"]["down_since"] > 0
        table = run()
        assert table.returncode == 1
        assert "i1: connection refused\n" in table.stdout
