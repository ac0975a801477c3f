"""A deployment to measure, and what its processes use: CPU, memory, storage calls."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from tests.stack import REPO, MinIONode, Process, Stack, running, started

#: MinIO's counters are up to 10 s late.
COUNT_DELAY = 11.0


class LoadError(Exception):
    """Requests failed: what was measured is no figure."""


@dataclass
class LoadGen:
    """The load generator in Go, built once."""

    folder: Path
    binary: Path = field(init=False)

    def __post_init__(self) -> None:
        go = shutil.which("go")
        assert go is not None, "the benchmark needs Go on PATH"
        self.binary = self.folder / "loadgen"
        subprocess.run([go, "build", "-o", self.binary, "."], cwd=REPO / "tests/bench/loadgen", check=True)

    def run(self, stack: Stack, base: str, *arguments: str, user: str = "u1") -> dict[str, Any]:
        """One run's figures; see the Go source.

        :raises LoadError: any request failed.
        """
        done = subprocess.run(
            [self.binary, "-json", "-base", base, "-user", user, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TOK": stack.token(user)},
        )
        if not done.stdout.startswith("{"):
            raise LoadError(done.stderr or done.stdout)
        answer: dict[str, Any] = json.loads(done.stdout)
        if answer["failed"]:
            raise LoadError(str(answer["errors"]))
        return answer

    def crowd(self, stack: Stack, bases: Sequence[str], users: int, *arguments: str) -> float:
        """The same load by several users at once, who take the base URLs in turn; their rates' sum."""
        with ThreadPoolExecutor(users) as pool:
            runs = pool.map(lambda n: self.run(stack, bases[n % len(bases)], *arguments, user=f"u{n}"), range(users))
            return sum(run["rate"] for run in runs)


@contextmanager
def deployment(folder: Path, instances: int = 1, nodes: int = 1, change: Any = lambda _: None) -> Iterator[Stack]:
    """Instances on nodes in turn, behind nginx."""
    made = {f"m{n}": MinIONode(f"m{n}", folder / f"m{n}") for n in range(1, nodes + 1)}
    names = {f"i{n}": f"m{(n - 1) % nodes + 1}" for n in range(1, instances + 1)}
    try:
        with started(made), running(Stack(folder / "stack", made, names, change)) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def changed(
    stack: Stack,
    instance: str,
    prelude: str = "",
    settings: str = "",
    options: tuple[str, ...] = (),
    change: Any = lambda _: None,
) -> Iterator[None]:
    """An instance that runs otherwise for a while.

    :param prelude: Python that it runs before it begins.
    :param settings: gunicorn's, as Python.
    :param options: more of `serve`.
    :param change: of its instances.yaml.
    """
    usual = stack.instances[instance]
    document = yaml.safe_load(stack.config.read_text())
    change(document)
    # Relative paths in it are relative to its folder.
    file = stack.config.with_name("changed.yaml")
    file.write_text(yaml.safe_dump(document))
    if settings or prelude:
        # gunicorn's settings are Python, and are read before the workers begin.
        (stack.folder / "gunicorn.py").write_text(f"{prelude}\n{settings}")
        options = (*options, "--settings", str(stack.folder / "gunicorn.py"))
    command = [sys.executable, "-m", "app", "serve", instance, "--config", str(file), *options]
    other = Process(command, usual.log, usual.env)
    with replaced(stack, instance, other):
        yield


@contextmanager
def replaced(stack: Stack, instance: str, other: Process) -> Iterator[None]:
    """Another process in the place of an instance for a while."""
    usual = stack.instances[instance]
    usual.stop()
    stack.instances[instance] = other
    try:
        other.start()
        stack.wait_ready(instance)
        yield
    finally:
        other.stop()
        stack.instances[instance] = usual
        usual.start()
        stack.wait_ready(instance)


def _tree(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_of(*pids: int) -> float:
    """Seconds of these processes and their children so far."""
    return sum(sum(p.cpu_times()[:2]) for pid in pids for p in _tree(pid))


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """By what they are."""
    assert stack.balancer is not None
    return {
        "instances": cpu_of(*(i.pid for i in stack.instances.values())),
        "nginx": cpu_of(stack.balancer.pid),
        "MinIO": cpu_of(*(n.process.pid for n in stack.nodes.values())),
    }


def memory(stack: Stack, instance: str) -> tuple[float, list[float]]:
    """MiB of an instance's processes together, shared pages counted once (PSS), and of each worker alone (USS)."""
    parent = psutil.Process(stack.instances[instance].pid)
    children = parent.children()
    whole = sum(p.memory_full_info().pss for p in (parent, *children))
    return whole / (1 << 20), [p.memory_full_info().uss / (1 << 20) for p in children]


def storage_counts(stack: Stack) -> tuple[Counter[str], float]:
    """S3 calls by name and bytes sent so far, of all nodes, as MinIO counts them."""
    calls: Counter[str] = Counter()
    sent = 0.0
    time.sleep(COUNT_DELAY)
    for node in stack.nodes.values():
        text = requests.get(f"{node.url}/minio/v2/metrics/cluster", timeout=10).text
        for name, value in re.findall(r'minio_s3_requests_total\{api="([a-z]+)"[^}]*\} (\S+)', text):
            calls[name] += int(float(value))
        sent += sum(float(v) for v in re.findall(r"minio_s3_traffic_sent_bytes\{[^}]*\} (\S+)", text))
    return calls, sent
