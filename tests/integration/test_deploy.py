"""The files under deploy/, as far as they can be tried here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.stack import PART, REPO, MinIONode, Process, Stack, free_port, program, running, same, wait_for


def test_the_one_domain_layout(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    """public_url and sign_endpoint end in a path, behind an nginx that passes /api/ and /im-minio-api/ to ours."""
    front = free_port()
    domain = f"http://127.0.0.1:{front}"
    inner = free_port()

    def change(document: dict[str, Any]) -> None:
        document["public_url"] = f"{domain}/api"
        document["balancer"] = {"listen": f"127.0.0.1:{inner}"}
        document["nodes"]["m1"]["sign_endpoint"] = f"{domain}/im-minio-api"
        document["nodes"]["m2"]["sign_endpoint"] = f"{domain}/s3/m2"

    stack = Stack(tmp_path / "stack", nodes, {"i1": "m1", "i2": "m2"}, change)
    stack.port, stack.url = inner, f"http://127.0.0.1:{inner}"
    include = (REPO / "deploy/nginx-one-domain.conf").read_text().replace("127.0.0.1:10080", f"127.0.0.1:{inner}")
    folder = tmp_path / "front"
    folder.mkdir()
    temps = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"user root; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temps} server {{ listen 127.0.0.1:{front};\n{include}\n}} }}"
    )
    process = Process(
        [program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder), "-g", "daemon off;"], folder / "log"
    )
    with running(stack):
        process.start()
        try:
            wait_for("nginx", lambda: requests.get(domain, timeout=1).status_code, log=process.log)
            for instance in ("i1", "i2"):
                api = stack.api(f"{domain}/api/i/{instance}")
                for name, size in (("u1/a b%图.bin", 100), ("u1/large", PART + 5)):
                    content = os.urandom(size)
                    url = api.upload(content, f"{name}-{instance}")
                    assert url.startswith(f"{domain}/api/object/u1/")
                    assert same(api.get(url).content, content)
            assert stack.api(f"{domain}/api").ok("part_size", {"size": 5})
        finally:
            process.stop()


def test_the_systemd_unit(tmp_path: Path) -> None:
    """systemd-analyze reads every line; only the program that is not installed there may be missing."""
    tool = program("systemd-analyze")
    unit = tmp_path / "openim-direct@i1.service"
    text = (REPO / "deploy/openim-direct@.service").read_text()
    unit.write_text(
        text.replace("/opt/openim-direct/bin/openim-direct", "/bin/true").replace("User=openim-direct", "User=root")
    )
    done = subprocess.run([tool, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    told = [line for line in (done.stdout + done.stderr).splitlines() if "openim-direct" in line]
    assert told == [], told
    assert done.returncode == 0, done.stderr


def test_the_compose_file_and_the_image() -> None:
    document = yaml.safe_load((REPO / "deploy/compose.yaml").read_text())
    assert set(document["services"]) == {"openim-direct-i1", "openim-direct-i2"}
    for name, service in document["services"].items():
        assert service["command"] == ["serve", name.removeprefix("openim-direct-")]
        assert service["networks"] == ["server"]
    # What the image copies is there.
    lines = (REPO / "deploy/Dockerfile").read_text().splitlines()
    copied = [source for line in lines if line.startswith("COPY") for source in line.split()[1:-1]]
    assert "app" in copied
    assert [source for source in copied if not (REPO / source).exists()] == []


def test_settings_for_a_gunicorn_of_ones_own(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    stack = Stack(tmp_path, nodes, {"i1": "m1"}, balancer=None)
    stack.instances["i1"].command += ["--settings", str(REPO / "deploy/gunicorn.conf.py")]
    with running(stack):
        assert stack.api(stack.instance_url("i1")).ok("part_size", {"size": 5})
