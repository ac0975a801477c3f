"""TLS of private authorities: nodes, instances, Redis, and the balancers between them."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from app.auth.redis_store import RedisStore
from app.core.errors import DatabaseError
from tests.certificates import Authority
from tests.databases import Redis
from tests.stack import PART, REPO, MinIONode, Stack, running, same, started, wait_for

#: Of which none may be asked: nobody listens there.
PROXIES = {
    name: "http://127.0.0.1:1" for proxy in ("http_proxy", "https_proxy", "all_proxy") for name in (proxy, proxy.upper())
} | {"no_proxy": "", "NO_PROXY": ""}


@dataclass
class Secured:
    """Two nodes of two authorities, instances and Redis of the first one's."""

    authority: Authority
    other: Authority
    nodes: dict[str, MinIONode]
    redis: Redis
    folder: Path

    def change(self, document: dict[str, Any]) -> None:
        document["ca_file"] = str(self.authority.file)
        document["auth"] |= {"redis": self.redis.url}
        document["nodes"]["m2"]["ca_file"] = str(self.other.file)
        for name, instance in document["instances"].items():
            certificate, key = self.authority.issue(self.folder / name)
            instance |= {"certificate": str(certificate), "certificate_key": str(key)}
            instance["url"] = f"https://localhost:{instance['bind'].rpartition(':')[2]}"

    def stack(self, folder: Path, **more: Any) -> Stack:
        made = Stack(folder, self.nodes, {"i1": "m1", "i2": "m2"}, self.change, **more)
        for process in made.instances.values():
            process.env = {**(process.env or {}), **PROXIES}
        return made


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    authority, other = Authority(folder / "ca"), Authority(folder / "other", "Another CA")
    authority.issue(folder / "m1-certs")
    # Which `check` warns of.
    other.issue(folder / "m2-certs", days=10)
    nodes = {n: MinIONode(n, folder / n, certs=folder / f"{n}-certs") for n in ("m1", "m2")}
    redis = Redis(folder / "redis", tls=(*authority.issue(folder / "redis-certs"), authority.file))
    try:
        redis.start()
        with started(nodes):
            yield Secured(authority, other, nodes, redis, folder)
    finally:
        redis.stop()


@pytest.mark.parametrize("kind", ["nginx", "nginx-native", "haproxy"])
def test_everything_behind_a_balancer(tmp_path: Path, secured: Secured, kind: str) -> None:
    """With proxies in the environment that lead nowhere: between instances and to nodes none is asked."""
    with running(secured.stack(tmp_path, kind=kind)) as stack:
        for user in ("u1", "u2"):
            secured.redis.set_state(user, stack.token(user), 0)
        for instance in ("i1", "i2"):
            api = stack.api(f"{stack.url}/i/{instance}")
            secured.redis.set_state("u1", api.token, 0)
            for size in (1000, PART + 1000):
                content = os.urandom(size)
                assert same(api.get(api.upload(content, f"u1/{instance}-{size}")).content, content)
        # Begun on one node, completed at the other's instance, which forwards it.
        content = os.urandom(3000)
        first, second = stack.api(f"{stack.url}/i/i1"), stack.api(f"{stack.url}/i/i2")
        # Tokens of another second are others.
        first.token = second.token = api.token
        begun = first.initiate(content, "u1/forwarded")
        assert first.put(content, begun)[0].status_code == 200
        body = second.complete_body(content, begun["upload"]["uploadID"], "u1/forwarded")
        assert same(second.get(second.ok("complete_multipart_upload", body)["url"]).content, content)
        for path in ("/s3/m1/openim/x", "/s3/m2/openim/x"):
            assert requests.get(stack.url + path, timeout=20).status_code == 403
        if kind == "nginx":
            checked = stack.cli("check")
            assert "fault" not in checked.replace("faults", "")
            assert "warning  certificates  nodes.m2.endpoint https://localhost" in checked and "ends in 10 days" in checked
            assert "ok  redis  login" in checked
            assert "yes" in stack.cli("status")


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_balancers_trust_no_other_authority(tmp_path: Path, secured: Secured, kind: str) -> None:
    """The rendered files with the authorities changed for one another: nothing is reached, and no byte of a request goes."""

    def edit(text: str) -> str:
        right, wrong = str(secured.authority.file), str(secured.other.file)
        assert right in text and wrong in text
        return text.replace(right, "SWAP").replace(wrong, right).replace("SWAP", wrong)

    stack = secured.stack(tmp_path, kind=kind, balancer=edit)
    balancer = stack.balancer
    assert balancer is not None
    balancer.start()
    try:
        wait_for("the balancer", lambda: requests.get(f"{stack.url}/nothing", timeout=5).status_code)
        for path in ("/s3/m1/openim/x", "/s3/m2/openim/x", "/object/u1/x"):
            assert requests.get(stack.url + path, timeout=30).status_code == 503, path
    finally:
        balancer.stop()


def served(port: int, authority: Path) -> str:
    """Serial number of the certificate that a server shows."""
    context = ssl.create_default_context(cafile=authority)
    with (
        socket.create_connection(("127.0.0.1", port), 5) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as secured,
    ):
        return str((secured.getpeercert() or {})["serialNumber"])


def test_renewed_files_are_taken_without_a_restart(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    authority.issue(tmp_path / "certs")
    node = MinIONode("m1", tmp_path / "m1", certs=tmp_path / "certs")
    certificate, key = authority.issue(tmp_path / "i1")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())

    def change(document: dict[str, Any]) -> None:
        document["ca_file"] = str(trusted)
        instance = document["instances"]["i1"]
        instance |= {"certificate": str(certificate), "certificate_key": str(key)}
        instance["url"] = f"https://localhost:{instance['bind'].rpartition(':')[2]}"

    with (
        started({"m1": node}),
        running(Stack(tmp_path / "stack", {"m1": node}, {"i1": "m1"}, change, balancer=None)) as stack,
    ):
        pids, first = stack.process_titles(), served(stack.ports["i1"], authority.file)
        authority.issue(tmp_path / "i1")
        wait_for("the renewed certificate", lambda: served(stack.ports["i1"], authority.file) != first, timeout=15)
        # Half of a pair: the one before is served on.
        second = served(stack.ports["i1"], authority.file)
        whole = key.read_bytes()
        key.write_text("not a key")
        log = stack.instances["i1"].log
        wait_for("the log", lambda: "is served on" in log.read_text(), timeout=15)
        assert served(stack.ports["i1"], authority.file) == second
        key.write_bytes(whole)
        # Another authority, of the node; the instance's own stays trusted.
        renewed = Authority(tmp_path / "renewed", "Renewed CA")
        trusted.write_bytes(authority.file.read_bytes() + renewed.file.read_bytes())
        node.stop()
        renewed.issue(tmp_path / "certs")
        node.start()
        node.wait()
        stack.wait_ready("i1")
        assert len(pids) == len(stack.process_titles())
        # And one that nobody trusts is named.
        node.stop()
        Authority(tmp_path / "unknown", "Unknown CA").issue(tmp_path / "certs")
        node.start()
        node.wait()
        url = f"{stack.instance_url('i1')}/readyz"

        def reason() -> str:
            return str(requests.get(url, timeout=5, verify=str(authority.file)).json()["reason"])

        wait_for("the reason", lambda: "its TLS certificate is not trusted" in reason(), timeout=15)
        command = [sys.executable, "-m", "app", "check", "--config", str(stack.config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPO)
        assert done.returncode == 1
        assert "is its authority in ca_file?" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr


def test_redis_of_another_authority_is_refused(secured: Secured) -> None:
    RedisStore(secured.redis.url, str(secured.authority.file)).ping()
    RedisStore(f"{secured.redis.url}?ssl_ca_certs={secured.authority.file}", str(secured.other.file)).ping()
    for ca_file in (None, str(secured.other.file)):
        with pytest.raises(DatabaseError, match="its TLS certificate is not trusted"):
            RedisStore(secured.redis.url, ca_file).ping()
    with pytest.raises(DatabaseError, match="rediss:// where it speaks TLS"):
        RedisStore(secured.redis.url.replace("rediss", "redis")).ping()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_files_that_hold_no_certificate_are_faults(tmp_path: Path, secured: Secured, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    def change(document: dict[str, Any]) -> None:
        secured.change(document)
        document["ca_file"] = str(file)

    stack = Stack(tmp_path / "stack", secured.nodes, {"i1": "m1", "i2": "m2"}, change, balancer=None)
    for command, code in (("check", 1), ("serve i1", 2)):
        given = [sys.executable, "-m", "app", *command.split(), "--config", str(stack.config)]
        done = subprocess.run(given, capture_output=True, text=True, check=False, cwd=REPO)
        assert done.returncode == code, done.stdout + done.stderr
        assert f"{file} {'cannot be read' if content is None else 'holds no certificate'}" in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
