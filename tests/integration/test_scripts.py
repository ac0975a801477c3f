"""What an operator runs by hand: the quickstart, the smoke test, the upload command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

from tests.stack import REPO, Stack, free_port


def test_quickstart_once(tmp_path: Path) -> None:
    """On ports of its own, with all that it makes in a folder of its own."""
    document = yaml.safe_load((REPO / "instances.yaml").read_text())
    balancer = free_port()
    document["public_url"] = f"http://127.0.0.1:{balancer}"
    for node_id, node in document["nodes"].items():
        node["endpoint"] = f"http://127.0.0.1:{free_port()}"
        node["sign_endpoint"] = f"http://127.0.0.1:{balancer}/s3/{node_id}"
    for instance in document["instances"].values():
        port = free_port()
        instance.update(bind=f"127.0.0.1:{port}", url=f"http://127.0.0.1:{port}")
    config = tmp_path / "instances.yaml"
    config.write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [REPO / "deploy/quickstart.sh", "--once", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
        env={**os.environ, "OPENIM_DIRECT_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal") >= 4, done.stdout
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path / "home") not in left


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
