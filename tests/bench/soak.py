"""A long steady load, and the memory of every process meanwhile: a table, a CSV file and a plot.

    python -m tests.bench.soak --minutes 60 --out soak        (needs the extra `bench`)

Ends with exit code 1 if a worker's memory at the end is over 10 % above that after ten minutes (a sixth of a shorter run),
or if anything that was acknowledged does not read back.
"""

from __future__ import annotations

import argparse
import csv
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import requests

from tests.faults.load import Acknowledged, Load
from tests.stack import MinIONode, Process, Stack, running

INTERVAL = 10.0


def processes(stack: Stack) -> Iterator[tuple[str, psutil.Process]]:
    def tree(name: str, process: Process) -> Iterator[tuple[str, psutil.Process]]:
        parent = psutil.Process(process.pid)
        yield name, parent
        for n, child in enumerate(sorted(parent.children(), key=lambda c: c.pid), 1):
            yield f"{name} worker {n}", child

    for instance, process in stack.instances.items():
        yield from tree(instance, process)
    for node in stack.nodes.values():
        yield from tree(f"MinIO {node.id}", node.process)
    assert stack.balancer is not None
    yield from tree("nginx", stack.balancer)


def mib(process: psutil.Process) -> float:
    """Unique set size: what would be free if it ended. Pages shared since the fork are not a worker's own."""
    return float(process.memory_full_info().uss) / (1 << 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, default=Path("soak"), help="OUT.csv and OUT.png are written")
    arguments = parser.parse_args()
    # So that what it started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="openim-direct-soak-") as folder:
        sys.exit(soak(Path(folder), arguments.minutes, arguments.out))


def soak(folder: Path, minutes: float, out: Path) -> int:
    nodes = {n: MinIONode(n, folder / n) for n in ("m1", "m2")}
    samples: dict[str, list[tuple[float, float]]] = {}
    try:
        for node in nodes.values():
            node.start()
        for node in nodes.values():
            node.wait()
        with running(Stack(folder, nodes, {"i1": "m1", "i2": "m2"})) as stack:
            load = Load(stack, sizes=(500, 3000), large=False, pause=0.1)
            start = time.monotonic()
            load.start()
            while (now := time.monotonic() - start) < minutes * 60:
                for name, process in processes(stack):
                    samples.setdefault(name, []).append((now, mib(process)))
                time.sleep(INTERVAL)
            load.stop()
            lost = read_back(load)
    finally:
        for node in nodes.values():
            if node.process.child is not None:
                node.process.stop()
    return report(samples, load, lost, minutes, out)


def read_back(load: Load, threads: int = 4) -> int:
    """How many of the acknowledged uploads no longer read as they were sent."""

    def lost(part: list[Acknowledged]) -> int:
        with requests.Session() as session:
            return sum(
                answer.status_code != 200 or answer.content != one.content()
                for one in part
                for answer in [session.get(one.url, timeout=30)]
            )

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lost, (load.acknowledged[n::threads] for n in range(threads))))


def report(samples: dict[str, list[tuple[float, float]]], load: Load, lost: int, minutes: float, out: Path) -> int:
    with out.with_suffix(".csv").open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["process", "second", "MiB"])
        writer.writerows((name, f"{at:.0f}", f"{m:.2f}") for name, row in samples.items() for at, m in row)
    plot(samples, out.with_suffix(".png"))
    settled = min(600.0, minutes * 10)
    print(
        f"{len(load.acknowledged)} uploads, {load.reads} reads, "
        f"{len(load.failures)} failed, {lost} lost, {len(load.wrong)} wrong"
    )
    print(f"{'process':22} {'MiB after ' + str(int(settled)) + ' s':>16} {'at the end':>11} {'change':>8}")
    grown = False
    for name, row in samples.items():
        early = [m for at, m in row if settled <= at < settled + 60] or [row[0][1]]
        late = [m for at, m in row if at >= row[-1][0] - 60]
        before, after = sum(early) / len(early), sum(late) / len(late)
        change = after / before - 1
        grown |= name.startswith("i") and "worker" in name and change > 0.10
        print(f"{name:22} {before:16.1f} {after:11.1f} {change:+8.1%}")
    return 1 if grown or lost or load.wrong else 0


def plot(samples: dict[str, list[tuple[float, float]]], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 5))
    for name, row in samples.items():
        if name.startswith("i"):
            axes.plot([at / 60 for at, _ in row], [m for _, m in row], label=name)
    axes.set(
        xlabel="minutes", ylabel="MiB (unique set size)", title="Memory of the instances under a steady load", ylim=(0, None)
    )
    axes.legend(ncols=2)
    figure.savefig(file, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
