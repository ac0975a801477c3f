"""A deployment on IPv6 alone: nodes, instances, Redis and balancer at ::1."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.auth.redis_store import RedisStore
from app.records.store import Records
from tests.databases import MariaDB, Redis
from tests.stack import PART, MinIONode, Stack, running, same, started, wait_for


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, MinIONode], Redis, str]]:
    folder = tmp_path_factory.mktemp("ipv6")
    nodes = {n: MinIONode(n, folder / n, host="[::1]") for n in ("m1", "m2")}
    redis, mariadb = Redis(folder / "redis", host="::1"), MariaDB(folder / "mariadb", host="::1")
    try:
        redis.start()
        mariadb.start()
        with started(nodes):
            yield nodes, redis, mariadb.create("six", object_table=False)
    finally:
        redis.stop()
        mariadb.stop()


@pytest.mark.parametrize("kind", ["nginx", "nginx-native", "haproxy"])
def test_everything_at_ipv6(tmp_path: Path, servers: tuple[dict[str, MinIONode], Redis, str], kind: str) -> None:
    nodes, redis, records = servers

    def change(document: dict[str, Any]) -> None:
        document["public_url"] = document["public_url"].replace("127.0.0.1", "[::1]")
        document["auth"]["redis"] = redis.url
        document["records"] = records
        for node in document["nodes"].values():
            node["sign_endpoint"] = node["sign_endpoint"].replace("127.0.0.1", "[::1]")
        for instance in document["instances"].values():
            instance["bind"] = instance["bind"].replace("127.0.0.1", "[::1]")
            instance["url"] = f"http://{instance['bind']}"

    with running(Stack(tmp_path, nodes, {"i1": "m1", "i2": "m2"}, change, kind=kind)) as stack:
        url = stack.document["public_url"]
        assert "[::1]" in url
        api = stack.api(url)
        redis.set_state("u1", api.token, 0)
        for size in (1000, PART + 1000):
            content = os.urandom(size)
            uploaded = api.upload(content, f"u1/six-{kind}-{size}")
            assert uploaded.startswith(f"{url}/object/")
            assert same(api.get(uploaded).content, content)
        # Begun on one node, completed at the other's instance.
        content = os.urandom(3000)
        first, second = stack.api(f"{url}/i/i1"), stack.api(f"{url}/i/i2")
        redis.set_state("u1", first.token, 0)
        redis.set_state("u1", second.token, 0)
        begun = first.initiate(content, f"u1/six-{kind}-forwarded")
        assert first.put(content, begun)[0].status_code == 200
        body = second.complete_body(content, begun["upload"]["uploadID"], f"u1/six-{kind}-forwarded")
        assert second.ok("complete_multipart_upload", body)["url"]
        # The same on the other family.
        assert (
            requests.get(f"{stack.url}/object/u1/none", timeout=10).text
            == requests.get(f"{url}/object/u1/none", timeout=10).text
        )
        if kind == "nginx":
            checked = stack.cli("check")
            assert "fault" not in checked.replace("faults", "")


def test_a_wildcard_listens_on_both_families(tmp_path: Path, servers: tuple[dict[str, MinIONode], Redis, str]) -> None:
    """As where public_url is a name: by the port alone."""
    nodes = servers[0]

    def change(document: dict[str, Any]) -> None:
        port = document["public_url"].rpartition(":")[2]
        document["balancer"] = {"listen": port}

    for kind in ("nginx", "haproxy"):
        stack = Stack(tmp_path / kind, nodes, {"i1": "m1"}, change, kind=kind)
        assert stack.balancer is not None
        stack.balancer.start()
        try:
            wait_for(kind, lambda stack=stack: requests.get(f"{stack.url}/none", timeout=5).status_code == 404)
            assert requests.get(f"http://[::1]:{stack.port}/none", timeout=5).status_code == 404
        finally:
            stack.balancer.stop()


def test_servers_at_ipv6_by_their_urls(servers: tuple[dict[str, MinIONode], Redis, str]) -> None:
    _, redis, records = servers
    assert "[::1]" in redis.url and "[::1]" in records
    RedisStore(redis.url).ping()
    Records(records).prepare()
    with socket.socket(socket.AF_INET) as probe:
        assert probe.connect_ex(("127.0.0.1", redis.port)) != 0
