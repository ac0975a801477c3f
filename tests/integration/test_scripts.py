"""What an operator runs by hand: the quickstart, the smoke test, the upload command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml

from tests.stack import REPO, Stack, free_port


@dataclass
class Quickstart:
    """On ports of its own, with all that it makes in a folder of its own."""

    folder: Path
    document: dict[str, Any]

    def start(self, *options: str) -> subprocess.Popen[str]:
        config = self.folder / "instances.yaml"
        config.write_text(yaml.safe_dump(self.document))
        return subprocess.Popen(
            [REPO / "deploy/quickstart.sh", "--config", str(config), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OPENIM_DIRECT_HOME": str(self.folder / "home")},
        )

    def run_once(self) -> tuple[int, str]:
        """Its exit code and what it printed."""
        with self.start("--once") as process:
            output, _ = process.communicate(timeout=500)
        return process.returncode, output

    def left(self) -> list[str]:
        """The processes of its own that run."""
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if str(self.folder / "home") in line]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    document = yaml.safe_load((REPO / "instances.yaml").read_text())
    balancer = free_port()
    document["public_url"] = f"http://127.0.0.1:{balancer}"
    for node_id, node in document["nodes"].items():
        node["endpoint"] = f"http://127.0.0.1:{free_port()}"
        node["sign_endpoint"] = f"http://127.0.0.1:{balancer}/s3/{node_id}"
    for instance in document["instances"].values():
        port = free_port()
        instance.update(bind=f"127.0.0.1:{port}", url=f"http://127.0.0.1:{port}")
    # What one run uploads and reads must not get in the way of the next.
    document["views"] = {"cache": "60s"}
    return Quickstart(tmp_path_factory.mktemp("quickstart"), document)


def test_quickstart_once(quickstart: Quickstart) -> None:
    code, output = quickstart.run_once()
    assert code == 0, output
    assert output.count("equal") >= 4, output
    assert quickstart.left() == []


def test_quickstart_stays_until_a_signal(quickstart: Quickstart) -> None:
    """Meanwhile a second one in the same folder is refused; a node that dies is reported, and does not end the others."""
    with quickstart.start() as process:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if line.startswith("Ctrl-C ends it"):
                break
        assert printed[-1].startswith("Ctrl-C ends it"), "".join(printed)
        second, output = quickstart.run_once()
        assert second == 1
        assert "another one runs" in output
        data = str(quickstart.folder / "home/quickstart/nodes/m2")
        [node] = [p for p in psutil.process_iter(["cmdline"]) if data in (p.info["cmdline"] or [])]
        node.kill()
        assert process.stdout.readline().startswith("m2 has ended with code -9")
        url = f"{quickstart.document['public_url']}/object/part_limit"
        assert requests.post(url, timeout=5).json()["errCode"] != 0
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert process.returncode == 0, rest
    assert quickstart.left() == []


def test_quickstart_names_what_is_in_the_way(quickstart: Quickstart) -> None:
    """A port that is taken; a node that is not of this machine, to which nothing may go."""
    port = quickstart.document["instances"]["i2"]["bind"].rpartition(":")[2]
    usual = quickstart.document["nodes"]["m1"]["endpoint"]
    quickstart.document["nodes"]["m1"]["endpoint"] = "http://minio.example.com:9000"
    try:
        with socket.create_server(("127.0.0.1", int(port))):
            code, output = quickstart.run_once()
    finally:
        quickstart.document["nodes"]["m1"]["endpoint"] = usual
    assert code == 1, output
    assert f"instances.i2.bind (and url): port {port}: Address already in use" in output
    assert "nodes.m1.endpoint is http://minio.example.com:9000" in output
    assert "starting" not in output


def test_smoke_by_curl_alone(stack: Stack) -> None:
    done = subprocess.run(
        [REPO / "deploy/smoke.sh", stack.url, stack.token("smoke")], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_smoke_fails_with_a_bad_token(stack: Stack) -> None:
    done = subprocess.run(
        [REPO / "deploy/smoke.sh", stack.url, stack.token("smoke")[:-3]],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "1505" in done.stdout + done.stderr


def test_upload_command(stack: Stack) -> None:
    url = stack.cli("upload", str(REPO / "deploy/sample.png"), "--verify", "--no-cookies").strip().splitlines()[-1]
    assert url == f"{stack.url}/object/openim-direct-test/sample.png"
