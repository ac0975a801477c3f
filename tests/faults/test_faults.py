"""One thing after another dies under a steady load; nothing that was acknowledged is lost, and uploads go on.

The table that it prints stands in the README.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.faults.load import Load
from tests.stack import MinIONode, Stack, running, wait_for

pytestmark = pytest.mark.faults

#: Seconds: how long a fault lasts, and how long the load goes on after it.
DOWN, AFTER = 4.0, 3.0


@dataclass
class Outcome:
    fault: str
    #: Seconds from the fault to the URL of the first upload begun after it, of any user and of the slowest.
    first: float
    last: float
    acknowledged: int
    failed: int
    reads_failed: int


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three instances on two nodes of its own."""
    folder = tmp_path_factory.mktemp("faults")
    nodes = {n: MinIONode(n, folder / n) for n in ("m1", "m2")}
    try:
        for node in nodes.values():
            node.start()
        for node in nodes.values():
            node.wait()
        with running(Stack(folder, nodes, {"i1": "m1", "i2": "m2", "i3": "m1"})) as made:
            yield made
    finally:
        for node in nodes.values():
            if node.process.child is not None:
                node.process.stop()


class Faults:
    """Each method makes a fault, waits, and mends it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def a_worker_is_killed(self) -> None:
        parent = self.stack.instances["i1"].pid
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=True)
        os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
        time.sleep(DOWN)

    def an_instance_is_killed(self) -> None:
        self.stack.instances["i1"].kill()
        time.sleep(DOWN)
        self.stack.instances["i1"].start()
        self.stack.wait_ready("i1")

    def a_node_is_killed(self) -> None:
        node = self.stack.nodes["m2"]
        node.process.kill()
        time.sleep(DOWN)
        node.start()
        node.wait()
        self.stack.wait_ready("i2")

    def an_instance_is_stopped(self) -> None:
        """SIGSTOP: it neither answers nor refuses."""
        self.stack.instances["i2"].signal(signal.SIGSTOP, group=True)
        time.sleep(DOWN)
        self.stack.instances["i2"].signal(signal.SIGCONT, group=True)

    def a_node_is_stopped(self) -> None:
        process = self.stack.nodes["m1"].process
        process.signal(signal.SIGSTOP)
        time.sleep(DOWN)
        process.signal(signal.SIGCONT)
        self.stack.wait_ready("i1")

    def an_instance_is_restarted(self) -> None:
        process = self.stack.instances["i3"]
        process.stop(timeout=40)
        process.start()
        self.stack.wait_ready("i3")

    def nginx_is_reloaded(self) -> None:
        assert self.stack.balancer is not None
        self.stack.balancer.signal(signal.SIGHUP)
        time.sleep(DOWN)

    def nginx_is_killed_and_started(self) -> None:
        assert self.stack.balancer is not None
        self.stack.balancer.kill()
        self.stack.balancer.start()
        wait_for("nginx", lambda: requests.get(self.stack.url, timeout=1).status_code)

    def the_records_are_locked(self) -> None:
        lock = sqlite3.connect(self.stack.folder / "data/records.db", isolation_level=None, timeout=10)
        lock.execute("BEGIN IMMEDIATE")
        time.sleep(DOWN)
        lock.execute("ROLLBACK")
        lock.close()


KILLS = {"a_worker_is_killed", "an_instance_is_killed", "a_node_is_killed", "nginx_is_killed_and_started"}


def measure(load: Load, name: str, fault: Callable[[], None]) -> Outcome:
    start = time.monotonic()
    fault()
    time.sleep(AFTER)
    users = {f"w{n}" for n in range(load.users)}

    def resumed() -> dict[str, float]:
        found: dict[str, float] = {}
        for one in list(load.acknowledged):
            if one.begun >= start:
                found.setdefault(one.user, one.done - start)
        return found

    wait_for(f"{name}: uploads of every user", lambda: resumed().keys() == users, timeout=30)
    end = time.monotonic()
    times = resumed().values()
    return Outcome(
        fault=name.replace("_", " "),
        first=min(times),
        last=max(times),
        acknowledged=sum(1 for one in list(load.acknowledged) if start <= one.done <= end),
        failed=sum(1 for at, _ in list(load.failures) if start <= at <= end),
        reads_failed=sum(1 for at, _ in list(load.read_failures) if start <= at <= end),
    )


def test_nothing_acknowledged_is_lost(stack: Stack, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    load, faults = Load(stack), Faults(stack)
    load.start()
    outcomes: dict[str, Outcome] = {}
    try:
        wait_for("a first upload of every user", lambda: len({a.user for a in load.acknowledged}) == load.users)
        for name in [name for name in vars(Faults) if not name.startswith("_")]:
            outcomes[name] = measure(load, name, getattr(faults, name))
    finally:
        load.stop()

    lost = []
    with requests.Session() as session:
        for one in load.acknowledged:
            answer = session.get(one.url, timeout=30)
            if answer.status_code != 200 or answer.content != one.content():
                lost.append((one.url, answer.status_code))
    with capsys.disabled():
        print(f"\n\n{'fault':32} {'first s':>8} {'all s':>8} {'uploaded':>9} {'failed':>7} {'reads failed':>13}")
        for o in outcomes.values():
            print(f"{o.fault:32} {o.first:8.2f} {o.last:8.2f} {o.acknowledged:9} {o.failed:7} {o.reads_failed:13}")
        print(
            f"acknowledged {len(load.acknowledged)}, lost {len(lost)}, read meanwhile {load.reads}, wrong {len(load.wrong)}"
        )
        for cause in sorted({c for _, c in load.failures})[:12]:
            print(f"  upload failed: {cause}")
        for cause in sorted({c for _, c in load.read_failures}):
            print(f"  read failed: {cause}")
    assert lost == []
    assert load.wrong == []
    assert load.reads
    assert len(load.acknowledged) > 500
    for name in KILLS:
        assert outcomes[name].first < 3, outcomes[name]
    # Nobody waits longer than the fault and one time limit of the balancer.
    assert all(o.last < DOWN + 12 for o in outcomes.values()), outcomes
    # What is not a dead node's object is readable all the time, and a dead node is never told as a missing file.
    assert not [c for _, c in load.read_failures if c == "HTTP 404"]
