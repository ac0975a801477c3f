"""An instance as a process: start, drain, a node that is down."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.stack import REPO, MinIONode, Process, Stack, assert_envelope, initiate_body, running, same, started, wait_for


def test_a_node_that_is_down_at_the_start_and_comes_later(tmp_path: Path) -> None:
    node = MinIONode("m1", tmp_path / "m1")
    stack = Stack(tmp_path, {"m1": node}, {"i1": "m1"}, balancer=None)
    process = stack.instances["i1"]
    process.start()
    try:
        url = stack.instance_url("i1")
        wait_for("the instance", lambda: requests.get(f"{url}/healthz", timeout=1).ok, log=process.log)
        api = stack.api(url)
        state = wait_for("503", lambda: (r := requests.get(f"{url}/readyz", timeout=1)).status_code == 503 and r.json())
        assert state["node"] == "m1"
        wait_for("since when", lambda: requests.get(f"{url}/readyz", timeout=1).json()["down_since"])
        for _ in range(3):
            start = time.monotonic()
            answer = api.post("initiate_multipart_upload", initiate_body(b"123", "u1/x"))
            detail = assert_envelope(answer, 90004, status=503)
            assert "m1" in detail
            assert answer.headers["Retry-After"]
            assert time.monotonic() - start < 1
        # What needs no storage goes on.
        assert api.ok("part_size", {"size": 5})["size"] == 5 << 20
        node.start()
        node.wait()
        back = time.monotonic()
        stack.wait_ready("i1")
        assert time.monotonic() - back < 5
        content = os.urandom(100)
        assert same(api.get(f"{url}/object/{api.upload(content, 'u1/late').split('/object/')[1]}").content, content)
    finally:
        process.stop()
        if node.process.child is not None:
            node.process.stop()


def test_sigterm_lets_running_requests_end(tmp_path: Path) -> None:
    """A request waits for its node while the instance is told to end; it is answered, and the exit code is 0."""
    nodes = {"m1": MinIONode("m1", tmp_path / "m1")}
    stack = Stack(tmp_path, nodes, {"i1": "m1"}, balancer=None)
    with started(nodes), running(stack), ThreadPoolExecutor() as pool:
        api, process, node = stack.api(stack.instance_url("i1")), stack.instances["i1"], nodes["m1"].process
        content = os.urandom(100)
        begun = api.initiate(content, "u1/drained")
        api.put(content, begun)
        body = api.complete_body(content, begun["upload"]["uploadID"], "u1/drained")
        node.signal(signal.SIGSTOP)
        try:
            answer = pool.submit(api.post, "complete_multipart_upload", body)
            wait_for("the request to run", lambda: running_requests(api.url) == 2)
            process.signal(signal.SIGTERM)
            wait_for("the instance to take no others", lambda: refuses_connections(stack.ports["i1"]), timeout=5)
            assert not answer.done()
            assert process.alive()
        finally:
            node.signal(signal.SIGCONT)
        assert process.child is not None
        assert process.child.wait(20) == 0
        assert answer.result(20).json()["data"]["url"] == f"{stack.url}/object/u1/drained"


def running_requests(url: str) -> int:
    """Requests that an instance answers at this moment, the one that asks among them."""
    text = requests.get(f"{url}/metrics", timeout=5).text
    return sum(int(float(v)) for v in re.findall(r"^openim_direct_requests_in_flight (\S+)$", text, re.MULTILINE))


def refuses_connections(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


def test_a_killed_worker_is_replaced(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    stack = Stack(tmp_path, nodes, {"i1": "m1"}, balancer=None)
    with running(stack):
        api = stack.api(stack.instance_url("i1"))
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(stack.instances["i1"].pid)], capture_output=True, text=True, check=True
        )
        workers = [int(p) for p in found.stdout.split()]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        time.sleep(1)
        content = os.urandom(100)
        for n in range(10):
            api.upload(content + bytes([n]), f"u1/worker-{n}")
        now = {child.pid for child in psutil.Process(stack.instances["i1"].pid).children()}
        assert len(now) == 2
        assert workers[0] not in now


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"instances": {"i9": {"node": "m1", "bind": "127.0.0.1:1"}}}, "no such instance; instances are i9"),
        ({"nodes": {"m1": {"endpoint": "http://127.0.0.1:1"}}}, "nodes.m1.access_key: is missing"),
        ({"extra": 1}, "extra: unknown key"),
    ],
)
def test_serve_refuses_to_start(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    import yaml

    document = {
        "public_url": "http://127.0.0.1:1",
        "auth": {"secret": "x"},
        "nodes": {"m1": {"endpoint": "http://127.0.0.1:2", "access_key": "a", "secret_key": "hidden-value"}},
        "instances": {"i1": {"node": "m1", "bind": "127.0.0.1:3"}},
        **change,
    }
    file = tmp_path / "instances.yaml"
    file.write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve", "i1", "--config", str(file)],
        capture_output=True,
        text=True,
        cwd=REPO,
        check=False,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden-value" not in done.stderr


def test_a_garbage_collection_copies_nothing_that_workers_share(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    """Of the worker's own memory, in bytes; without `pre_fork` the difference is some 14 MiB."""

    def own(name: str, settings: str) -> int:
        made = Stack(tmp_path / name, nodes, {"i1": "m1"}, balancer=None)
        file = tmp_path / f"{name}.py"
        file.write_text(f"workers = 1\n{settings}")
        process = made.instances["i1"]
        made.instances["i1"] = Process([*process.command, "--settings", str(file)], process.log, process.env)
        with running(made):
            (worker,) = psutil.Process(made.instances["i1"].pid).children()
            return int(worker.memory_full_info().uss)

    collected = own("collected", "import gc\ndef post_worker_init(worker):\n    gc.collect()\n")
    assert collected - own("plain", "") < 5 << 20


def test_serve_speaks_no_tls(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    made = Stack(tmp_path / "s", nodes, {"i1": "m1"}, balancer=None)
    settings = tmp_path / "gunicorn.py"
    settings.write_text(f"certfile = keyfile = {str(settings)!r}\n")
    command = [*made.instances["i1"].command, "--settings", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPO, check=False, timeout=60)
    assert done.returncode == 1
    assert "name them in instances.yaml instead (certificate and certificate_key of the instance)" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_says_which_port_is_taken(tmp_path: Path, stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve", "i1", "--config", str(stack.config)],
        capture_output=True,
        text=True,
        cwd=REPO,
        check=False,
    )
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{stack.ports['i1']}" in done.stderr


def test_no_secret_in_logs_or_process_titles(stack: Stack, nodes: dict[str, MinIONode]) -> None:
    api = stack.api()
    api.upload(os.urandom(50), "u1/logged")
    text = "".join(p.log.read_text(errors="replace") for p in stack.instances.values())
    assert stack.balancer is not None
    access = (stack.folder / "nginx/access.log").read_text()
    assert "/object/initiate_multipart_upload" in access
    for secret in ("openIM123", "X-Amz-Signature", api.token):
        assert secret not in text
        assert secret not in access
    titles = stack.process_titles()
    # Of each instance and its workers.
    assert len(titles) >= 3 * len(stack.instances)
    assert "openIM123" not in "".join(titles)
