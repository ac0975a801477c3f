"""Nodes that answer and take nothing new: one that encrypts so that no content can be checked, and a full one."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from minio.sseconfig import Rule, SSEConfig

from tests.stack import PART, MinIONode, Stack, assert_envelope, initiate_body, put_part, running, same, started, wait_for

KMS = {"MINIO_KMS_SECRET_KEY": f"k:{base64.b64encode(b'x' * 32).decode()}"}


def one_worker(document: dict[str, Any]) -> None:
    document["server"] = {"workers": 1}


def readiness(stack: Stack, instance: str = "i1") -> Any:
    return requests.get(f"{stack.instance_url(instance)}/readyz", timeout=5).json()


def refused(stack: Stack, says: str) -> None:
    """Every way to begin an upload at i1 is answered 503 with the cause."""
    api = stack.api(stack.instance_url("i1"))
    for size in (10, PART + 10):
        answer = api.post("initiate_multipart_upload", initiate_body(os.urandom(size), "u1/refused"))
        assert says in assert_envelope(answer, 90004, status=503)
    assert says in assert_envelope(api.post("initiate_form_data", {"name": "u1/refused", "size": 10}), 90004, status=503)


def test_a_node_that_encrypts(tmp_path: Path) -> None:
    """By SSE-S3 its ETags are MD5s, and all works. By SSE-KMS they are not: nothing is removed and no client is blamed."""
    node = MinIONode("m1", tmp_path / "m1", env=KMS)
    with started({"m1": node}), running(Stack(tmp_path / "stack", {"m1": node}, {"i1": "m1"}, one_worker)) as stack:
        api, client = stack.api(), node.client()
        client.set_bucket_encryption("openim", SSEConfig(Rule.new_sse_s3_rule()))
        for size in (1000, PART + 1000):
            content = os.urandom(size)
            assert same(api.get(api.upload(content, f"u1/s3-{size}")).content, content)
        # Wrong content is the client's fault, as ever.
        content = os.urandom(100)
        begun = api.initiate(content, "u1/wrong")
        api.put(os.urandom(100), begun)
        body = api.complete_body(content, begun["upload"]["uploadID"], "u1/wrong")
        assert "holds other content" in assert_envelope(api.post("complete_multipart_upload", body), 1001)

        # Switched while uploads are under way.
        contents = [os.urandom(1000), os.urandom(PART + 1000)]
        uploads = [api.initiate(content, f"u1/under-way-{len(content)}") for content in contents]
        client.set_bucket_encryption("openim", SSEConfig(Rule.new_sse_kms_rule("k")))
        for content, begun in zip(contents, uploads, strict=True):
            assert [answer.status_code for answer in api.put(content, begun)] in ([200], [200, 200])
        before = node.keys()
        small, large = [
            api.complete_body(content, begun["upload"]["uploadID"], f"u1/under-way-{len(content)}")
            for content, begun in zip(contents, uploads, strict=True)
        ]
        detail = assert_envelope(api.post("complete_multipart_upload", small), 90004, status=503)
        assert "m1" in detail and "SSE-KMS" in detail and "nothing was removed" in detail
        assert node.keys() == before
        # A multipart upload keeps the kind that it was begun with.
        api.ok("complete_multipart_upload", large)
        refused(stack, "are not MD5s, since it encrypts with aws:kms")
        wait_for("the reason", lambda: "MINIO_KMS_AUTO_ENCRYPTION=off" in readiness(stack)["reason"])
        # What was there is shown.
        assert api.get(f"{stack.url}/object/u1/s3-1000").status_code == 200

        client.set_bucket_encryption("openim", SSEConfig(Rule.new_sse_s3_rule()))
        stack.wait_ready("i1")
        for content in contents:
            assert same(api.get(api.upload(content, f"u1/again-{len(content)}")).content, content)


def test_a_node_that_encrypts_from_the_start(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    node = MinIONode("m1", tmp_path / "m1", env={**KMS, "MINIO_KMS_AUTO_ENCRYPTION": "on"})
    stack = Stack(tmp_path / "stack", {"m1": node, "m2": nodes["m2"]}, {"i1": "m1", "i2": "m2"}, one_worker)
    assert stack.balancer is not None
    with started({"m1": node}):
        try:
            for process in (*stack.instances.values(), stack.balancer):
                process.start()
            stack.wait_ready("i2")
            log = stack.instances["i1"].log
            wait_for("the reason", lambda: "encrypts with aws:kms" in readiness(stack)["reason"], log=log)
            refused(stack, "encrypts with aws:kms")
            # Through the balancer the other instance serves everyone.
            for user in ("u1", "u2", "u3", "u4"):
                content = os.urandom(1000)
                api = stack.api(user=user)
                assert same(api.get(api.upload(content, f"{user}/served")).content, content)
            command = [*stack.instances["i1"].command[:3], "check", "--config", str(stack.config)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 1
            line = next(line for line in done.stdout.splitlines() if "PUT, GET, DELETE" in line and "m1" in line)
            assert line.startswith("fault") and "SSE-S3" in line
            assert node.keys() == []
        finally:
            stack.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, text=True)
    assert mounted.returncode == 0, f"this test needs to mount a small disk: {mounted.stderr}"
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_node(tmp_path: Path, nodes: dict[str, MinIONode], small_disk: Path) -> None:
    node = MinIONode("m1", small_disk / "m1")
    stack = Stack(tmp_path / "stack", {"m1": node, "m2": nodes["m2"]}, {"i1": "m1", "i2": "m2"}, one_worker)
    with started({"m1": node}), running(stack):
        own, balanced = stack.api(stack.instance_url("i1")), stack.api()
        content = os.urandom(1000)
        link = own.upload(content, "u1/before")
        late = os.urandom(500)
        begun = own.initiate(late, "u1/late")
        fill = small_disk / "fill"
        with suppress(OSError), fill.open("wb", buffering=0) as f:
            while True:
                f.write(bytes(1 << 16))
        # A client writes to the node itself, and is refused there; an instance learns of it at its own next call.
        assert put_part(begun["upload"]["sign"]["parts"][0], late).status_code == 507
        answer = own.post("initiate_multipart_upload", initiate_body(os.urandom(PART + 10), "u1/refused"))
        assert "takes no new objects: its disk is full (" in assert_envelope(answer, 90004, status=503)
        refused(stack, "its disk is full")
        body = own.complete_body(late, begun["upload"]["uploadID"], "u1/late")
        assert "its disk is full" in assert_envelope(own.post("complete_multipart_upload", body), 90004, status=503)
        wait_for("the reason", lambda: "disk is full" in readiness(stack)["reason"])
        # New uploads go elsewhere, and what is there is shown, at both instances.
        for user in ("u1", "u2", "u3", "u4"):
            more = os.urandom(1000)
            api = stack.api(user=user)
            assert same(api.get(api.upload(more, f"{user}/elsewhere")).content, more)
        for instance in ("i1", "i2"):
            assert same(own.get(link.replace(stack.url, stack.instance_url(instance))).content, content)
        assert same(balanced.get(link).content, content)
        fill.unlink()
        stack.wait_ready("i1")
        assert same(own.get(own.upload(late, "u1/late")).content, late)
        assert not [key for key in nodes["m2"].keys("openim/probe/") if "probe" in key]
