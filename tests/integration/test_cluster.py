"""A node that is a MinIO cluster: four processes, of which any will do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.stack import (
    API,
    PART,
    MinIOCluster,
    Stack,
    assert_envelope,
    initiate_body,
    running,
    same,
    started,
    wait_for,
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinIOCluster]:
    made = MinIOCluster("c1", tmp_path_factory.mktemp("cluster"))
    with started({"c1": made}):
        yield made


def random_pinning(text: str) -> str:
    """Every request to any instance."""
    return re.sub(r"hash \$oim_key consistent;", "random;", re.sub(r"(\$oim_by_cookie)(\$oim_path)", r"oim_hash\2", text))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, cluster: MinIOCluster) -> Iterator[Stack]:
    """Two instances on the cluster, behind an nginx that pins nobody."""
    folder = tmp_path_factory.mktemp("stack")
    with running(Stack(folder, {"c1": cluster}, {"i1": "c1", "i2": "c1"}, balancer=random_pinning)) as made:
        # Its processes have only just found each other.
        settle(made.api(), "u1/ready")
        yield made


def served_by(answer: requests.Response) -> str:
    return str(answer.headers["X-OpenIM-Direct-Instance"])


@pytest.mark.parametrize("size", [1000, 2 * PART + 5])
def test_uploads_without_any_pinning(stack: Stack, size: int) -> None:
    api = stack.api()
    # Both instances have their part in one upload, in both directions. nginx picks at random, so it may take a while.
    both = {("i1", "i2"), ("i2", "i1")}
    seen: set[tuple[str, str]] = set()
    for n in range(100):
        content = os.urandom(size)
        begun = api.post("initiate_multipart_upload", initiate_body(content, f"u1/any{size}-{n}"))
        data = begun.json()["data"]
        for response in api.put(content, data):
            assert response.status_code == 200, response.text
        body = api.complete_body(content, data["upload"]["uploadID"], f"u1/any{size}-{n}")
        done = api.post("complete_multipart_upload", body)
        assert same(api.get(done.json()["data"]["url"]).content, content)
        seen.add((served_by(begun), served_by(done)))
        if n >= 11 and both <= seen:
            break
    assert both <= seen


def settle(api: API, name: str) -> None:
    """Until several uploads in a row succeed: for some seconds after a process comes or goes MinIO says SlowDownWrite."""
    row = 0

    def steady() -> bool:
        nonlocal row
        row = row + 1 if try_upload(api, f"{name}-{row}") else 0
        return row >= 8

    wait_for(f"{name}: uploads in a row", steady, timeout=60)


def try_upload(api: API, name: str) -> str | None:
    try:
        return api.upload(os.urandom(900), name)
    except (AssertionError, KeyError, TypeError):
        return None


def test_one_process_of_four_may_die_and_three_may_not(stack: Stack, cluster: MinIOCluster) -> None:
    api = stack.api()
    content = os.urandom(5000)
    url = api.upload(content, "u1/before")
    cluster.processes[0].kill()
    # The first endpoint, whose name everything is signed for.
    settle(api, "u1/first-after")
    for n in range(10):
        small = os.urandom(700)
        assert same(api.get(api.upload(small, f"u1/three-left-{n}")).content, small)
    large = os.urandom(2 * PART)
    assert same(api.get(api.upload(large, "u1/three-left-large")).content, large)
    assert same(api.get(url).content, content)
    log = stack.instances["i1"].log.read_text() + stack.instances["i2"].log.read_text()
    assert "does not answer" in log

    for process in cluster.processes[1:3]:
        process.kill()

    def refused() -> bool:
        answer = api.post("initiate_multipart_upload", initiate_body(os.urandom(6 * PART), "u1/one-left"))
        return bool(answer.status_code == 503)

    wait_for("a clear 503", refused, timeout=40)
    cause = assert_envelope(
        api.post("initiate_multipart_upload", initiate_body(os.urandom(6 * PART), "u1/one-left")), 90004, status=503
    )
    assert "c1" in cause

    for process in cluster.processes[:3]:
        process.start()
    cluster.wait()
    wait_for("the cluster to be used again", lambda: requests.get(f"{stack.instance_url('i1')}/readyz", timeout=5).ok, 60)
    settle(api, "u1/back")
    assert same(api.get(url).content, content)


def test_one_endpoint_behind_a_balancer(tmp_path: Path, cluster: MinIOCluster) -> None:
    def one(document: dict[str, Any]) -> None:
        node = document["nodes"]["c1"]
        del node["endpoints"]
        node["endpoint"] = cluster.urls[1]

    with running(Stack(tmp_path / "s", {"c1": cluster}, {"i1": "c1"}, one)) as stack:
        settle(stack.api(), "u1/before-one-endpoint")
        content = os.urandom(3000)
        assert same(stack.api().get(stack.api().upload(content, "u1/one-endpoint")).content, content)


@pytest.mark.parametrize("kind", ["nginx-native", "haproxy"])
def test_clients_reach_any_endpoint_through_the_balancer(tmp_path: Path, cluster: MinIOCluster, kind: str) -> None:
    with running(Stack(tmp_path / "s", {"c1": cluster}, {"i1": "c1"}, kind=kind)) as stack:
        api = stack.api()
        settle(api, "u1/before")
        cluster.processes[2].kill()
        settle(api, "u1/after")
        for n in range(8):
            content = os.urandom(2000 + n)
            assert same(api.get(api.upload(content, f"u1/{kind}-{n}")).content, content)
        cluster.processes[2].start()
        cluster.wait()
