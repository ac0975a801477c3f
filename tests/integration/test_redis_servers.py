"""Redis as deployments have it: before 6, behind proxies, with users of its own, over TLS, and as a cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.auth.redis_store import RedisStore
from app.core.errors import DatabaseError
from tests.databases import PASSWORD, Redis, RedisClusterServers
from tests.stack import MinIONode, Stack, running

#: What servers before 6 and several proxies do not know.
OLD = ["--rename-command", "HELLO", "", "--rename-command", "ACL", "", "--rename-command", "CLIENT", ""]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Starts a server with these arguments."""
    started: list[Redis] = []

    def make(**arguments: Any) -> Redis:
        server = Redis(tmp_path / f"redis{len(started)}", **arguments)
        started.append(server)
        server.start()
        return server

    yield make
    for server in started:
        server.stop()


@pytest.mark.parametrize("password", ["", PASSWORD])
def test_servers_without_hello(start: Any, password: str) -> None:
    server = start(password=password, arguments=OLD)
    server.set_state("u1", "t", 0)
    store = RedisStore(server.url)
    store.ping()
    assert (store.get("u1", "IOS", "t"), store.get("u1", "IOS", "other")) == ("0", None)
    assert [store.count("counter", 2, 10) for _ in range(2)] == [2, 4]
    wrong = server.url.replace(f":{password}@", ":mistyped@") if password else server.url.replace("//", "//:mistyped@")
    with pytest.raises(DatabaseError, match="refuses the login") as refused:
        RedisStore(wrong).ping()
    assert "mistyped" not in refused.value.detail
    if password:
        # Servers before 6 have no users; redis-py then sends the password alone.
        RedisStore(server.url.replace("//:", "//default:")).ping()
        # The newer protocol only where the URL asks for it.
        with pytest.raises(DatabaseError):
            RedisStore(f"{server.url}?protocol=3").ping()


def test_users_with_the_least_rights(start: Any) -> None:
    server = start()
    with server.client() as client:
        client.acl_setuser("states", enabled=True, passwords="+pw", keys=["UID_PID_TOKEN_STATUS:*"], commands=["+hget"])
        client.acl_setuser("others", enabled=True, passwords="+pw", keys=["other:*"], commands=["+get"])
    server.set_state("u1", "t", 0)
    at = f"{server.address}/0"
    store = RedisStore(f"redis://states:pw@{at}")
    store.ping()
    assert store.get("u1", "IOS", "t") == "0"
    with pytest.raises(DatabaseError, match="its user lacks a right"):
        store.count("counter", 1, 10)
    with pytest.raises(DatabaseError, match="needs HGET on UID_PID_TOKEN_STATUS"):
        RedisStore(f"redis://others:pw@{at}").ping()
    with pytest.raises(DatabaseError, match="refuses the login"):
        RedisStore(f"redis://states:mistyped@{at}").ping()


def test_servers_that_are_no_cluster_and_replicas(start: Any) -> None:
    master = start()
    replica = start(arguments=["--replicaof", "127.0.0.1", str(master.port), "--masterauth", PASSWORD])
    listed = master.url.replace("/0", f",{replica.address}/0")
    with pytest.raises(DatabaseError, match="they are no cluster"):
        RedisStore(listed).ping()
    store = RedisStore(listed)
    for _ in range(2):
        with pytest.raises(DatabaseError, match="no cluster"):
            store.get("u1", "IOS", "t")
    with pytest.raises(DatabaseError, match="ReadOnlyError"):
        RedisStore(replica.url).count("counter", 1, 10)


def test_nobody_listens_or_answers_slowly(start: Any) -> None:
    server = start()
    server.stop()
    for url in (server.url, server.url.replace("/0", ",127.0.0.1:1/0")):
        with pytest.raises(DatabaseError, match="connection refused"):
            RedisStore(url).ping()
        with pytest.raises(DatabaseError, match="connection refused"):
            RedisStore(url).get("u1", "IOS", "t")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisClusterServers]:
    servers = RedisClusterServers(tmp_path_factory.mktemp("cluster"))
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def test_any_way_to_name_a_cluster_finds_all_tokens(cluster: RedisClusterServers) -> None:
    users = [f"u{n}" for n in range(24)]
    for user in users:
        cluster.set_state(user, "t", 0)
    # One master, one replica, two of them, all of them, and one that is not there beside one that is.
    absent = cluster.url(0).replace("@", "@127.0.0.1:1,")
    for url in (cluster.url(0), cluster.url(4), cluster.url(0, 1), cluster.url(), absent):
        store = RedisStore(url)
        store.ping()
        assert [store.get(user, "IOS", "t") for user in users] == ["0"] * 24, url
        assert [store.count(f"counter:{url}:{n}", 1, 10) for n in range(9)] == [1] * 9
    with pytest.raises(DatabaseError, match="refuses the login"):
        RedisStore(cluster.url().replace(PASSWORD, "mistyped")).ping()


def test_a_user_of_a_cluster_with_the_least_rights(cluster: RedisClusterServers) -> None:
    for server in cluster.servers:
        with server.client() as client:
            states = ["+hget", "+cluster|slots", "+command"]
            client.acl_setuser("states", enabled=True, passwords="+pw", keys=["UID_PID_TOKEN_STATUS:*"], commands=states)
            client.acl_setuser("less", enabled=True, passwords="+pw", keys=["UID_PID_TOKEN_STATUS:*"], commands=["+hget"])
    RedisStore(cluster.url().replace(f":{PASSWORD}", "states:pw")).ping()
    with pytest.raises(DatabaseError, match="CLUSTER SLOTS"):
        RedisStore(cluster.url().replace(f":{PASSWORD}", "less:pw")).ping()


def test_a_master_that_dies_under_load_costs_the_seconds_of_its_failover(
    tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, MinIONode], cluster: RedisClusterServers
) -> None:
    """503 until its replica stands in; by default Redis refuses the users of the other masters meanwhile, too."""

    def change(document: dict[str, Any]) -> None:
        document["auth"] |= {"redis": cluster.url(0, 1, 2), "remember": 0}

    answers: list[tuple[float, str, int, str]] = []
    with running(Stack(tmp_path_factory.mktemp("failover"), nodes, {"i1": "m1", "i2": "m2"}, change)) as stack:
        users = [f"f{n}" for n in range(12)]
        apis = [stack.api(user=user) for user in users]
        for api in apis:
            cluster.set_state(api.user, api.token, 0)
        stop = threading.Event()

        def call(mine: list[Any]) -> None:
            while not stop.is_set():
                for api in mine:
                    answer = api.post("part_limit")
                    answers.append((time.monotonic(), api.user, answer.status_code, answer.text))

        threads = [threading.Thread(target=call, args=(apis[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        killed = time.monotonic()
        cluster.servers[0].process.kill()
        time.sleep(6)
        stop.set()
        for thread in threads:
            thread.join()
        for api in apis:
            api.ok("part_limit", {})
    bad = [a for a in answers if a[2] != 200 or '"errCode":0' not in a[3]]
    assert bad, "the master did not die"
    assert {a[2] for a in bad} <= {503}
    assert not [a for a in bad if a[0] < killed or a[0] > killed + 5], "longer than the failover of 1 s and its election"
    assert len(answers) - len(bad) > 100
    assert PASSWORD not in "".join(a[3] for a in bad)
