"""Runs a steady mixed load for a long time and samples what each process of the instances holds meanwhile:

    python -m tests.bench.soak --minutes 30 --out bench        (needs the extras all, test and bench)

Two nodes, two instances and nginx, on this machine. At once: uploads from 500 bytes to 20 MiB, views, thumbnails, completes
that come to the other node's instance and are forwarded, connections that are cut in the middle, and bad requests; each by
a client or a few, who rest between two requests, so that the load is bounded whatever the machine can do. Half an hour
takes 8 GB of disk, and a few minutes more to read back what was acknowledged.

Writes OUT/soak.md (a table of the first, second and last 5 minutes; a third of a shorter run each), OUT/soak.png and
OUT/soak.csv (every sample). Ends with exit code 1 if anything that was acknowledged does not read back, a request was
answered as it should not be, a worker was replaced, or, in a run of 15 minutes or more, a figure of a worker grew between
the second and the last 5 minutes: memory by over 10 %, the others by over 10 % and 3.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import random
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from urllib.parse import urlsplit

import psutil
import requests

from tests.bench.deployment import deployment
from tests.bench.report import Report
from tests.faults.load import Acknowledged, Load
from tests.fuzz import requests_run as fuzz
from tests.pictures import encoded, opened, photo
from tests.stack import API, PART, Stack, put_part

#: Seconds between two samples.
INTERVAL = 10.0
MIB = 1 << 20
#: Bytes of uploads; every 40th is of two parts instead, and one client uploads LARGE.
SIZES = (500, 500, 3000, 20_000, 20_000, 64_000, 200_000, MIB)
LARGE = 4 * PART
#: Closing a socket with this option sends RST instead of FIN.
RESET = struct.pack("ii", 1, 0)

#: Figure to its values: (seconds since the begin, value) by process.
Samples = dict[str, dict[str, list[tuple[float, float]]]]


@dataclass
class Client:
    """Does one thing again and again, in a thread of its own.

    :param act: gets the number of its call; raises where an answer is not as it should be.
    :param pause: seconds between two calls.
    """

    name: str
    act: Callable[[int], None]
    pause: float
    done: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        for number in itertools.count():
            try:
                self.act(number)
            except (AssertionError, LookupError, OSError) as e:
                # What requests raises is an OSError; a header or a picture that is missing is a LookupError.
                self.failures.append(f"{self.name}: {type(e).__name__} {e}"[:200])
            self.done += 1
            if stop.wait(self.pause):
                return


class Clients:
    """What clients do besides the uploads and views of `Load`."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._api = stack.api(user="soak")
        self._pictures: list[str] = []
        self._large_url = ""
        self._ports = [*stack.ports.values(), stack.port]
        self.all = [
            Client(f"uploads of {LARGE // MIB} MiB", self.large, 20),
            Client("thumbnails", self.thumbnail, 0.3),
            Client("forwards", self.forward, 0.5),
            Client("cut connections", self.cut, 0.2),
            Client("batches of 20 bad requests", self.bad, 1),
        ]

    def large(self, number: int) -> None:
        content = random.Random(number).randbytes(LARGE)
        self._large_url = self._api.upload(content, f"large-{number % 10}")
        assert self._api.get(self._large_url).content == content, f"{self._large_url} shows other content"

    def thumbnail(self, number: int) -> None:
        if number % 30 == 0:
            self._pictures.append(self._api.upload(encoded(photo(1200, 900, number), "JPEG"), f"{number}.jpg", "image/jpeg"))
        side = random.Random(number).choice((40, 80, 160, 320, 640))
        answer = self._api.get(f"{random.choice(self._pictures)}?type=image&width={side}&height={side}")
        assert answer.status_code == 200, f"HTTP {answer.status_code} {answer.text[:80]}"
        assert max(opened(answer.content).size) == side

    def forward(self, number: int) -> None:
        """Initiate at one instance, complete at the other, of another node."""
        first, second = ("i1", "i2") if number % 2 else ("i2", "i1")
        content, name = os.urandom(3000), f"soak/forward-{number % 100}"
        begun = self._at(first).initiate(content, name)
        for part in begun["upload"]["sign"]["parts"]:
            assert put_part(part, content).status_code == 200
        body = self._at(second).complete_body(content, begun["upload"]["uploadID"], name)
        answer = self._at(second).post("complete_multipart_upload", body)
        assert answer.json()["errCode"] == 0, answer.text
        assert answer.headers["X-OpenIM-Direct-Forwarded-To"] == first

    def _at(self, instance: str) -> API:
        return API(f"{self._stack.url}/i/{instance}", self._api.token, "soak")

    def cut(self, number: int) -> None:
        """A request or an answer that ends in the middle, at an instance or the balancer, by FIN or by RST."""
        head = f"POST /object/part_size HTTP/1.1\r\nHost: x\r\ntoken: {self._api.token}\r\noperationID: cut\r\n"
        ways = [
            b"",
            head[:40].encode(),
            head.encode(),
            f'{head}Content-Length: 1000\r\n\r\n{{"size":'.encode(),
            f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{".encode(),
            f'{head}Content-Length: 10\r\n\r\n{{"size":1}}'.encode(),
            None,
        ]
        sent = ways[number % len(ways)]
        port = self._ports[number % len(self._ports)]
        if sent is None and not self._large_url:
            return
        if sent is None:
            # A view, of which 1 MiB of 20 is read.
            port = self._stack.port
            url = urlsplit(requests.get(self._large_url, allow_redirects=False, timeout=30).headers["Location"])
            sent = f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(sent)
            if sent.startswith(b"GET"):
                connection.recv(MIB, socket.MSG_WAITALL)
            elif number % 5 == 0:
                time.sleep(0.5)
            if number % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def bad(self, number: int) -> None:
        _, wrong = fuzz.run(self._stack, 20, seed=number, clients=1, instance=("i1", "i2")[number % 2])
        assert not wrong, wrong[0]


@dataclass
class Sampler:
    """Samples every process of the instances, workers by the order in which they were first seen."""

    stack: Stack
    samples: Samples = field(default_factory=dict)
    #: Name of each worker by its process ID, of those that have ended too.
    workers: dict[int, str] = field(default_factory=dict)
    #: How many workers the first sample found.
    at_first: int = 0

    def __post_init__(self) -> None:
        self._begin = time.monotonic()
        self._nodes = {node.port: node.id for node in self.stack.nodes.values()}

    def sample(self) -> None:
        now = time.monotonic() - self._begin
        for instance, process in self.stack.instances.items():
            parent = psutil.Process(process.pid)
            self._sample(now, parent, f"{instance} parent")
            for child in sorted(parent.children(), key=lambda c: c.pid):
                count = sum(name.startswith(f"{instance} worker") for name in self.workers.values())
                self._sample(now, child, self.workers.setdefault(child.pid, f"{instance} worker {count + 1}"))
        self.at_first = self.at_first or len(self.workers)

    def _sample(self, now: float, process: psutil.Process, name: str) -> None:
        try:
            with process.oneshot():
                memory = process.memory_full_info()
                connected = Counter(
                    self._nodes[c.raddr.port]
                    for c in process.net_connections("tcp")
                    if c.status == psutil.CONN_ESTABLISHED and c.raddr.port in self._nodes
                )
                figures = {
                    "RSS, MiB": memory.rss / MIB,
                    # What is shared since the fork, in equal shares.
                    "PSS, MiB": memory.pss / MIB,
                    "open files": process.num_fds(),
                    **{f"connections to {node}": connected[node] for node in self._nodes.values()},
                    "threads": process.num_threads(),
                }
        except psutil.NoSuchProcess:
            return
        for figure, value in figures.items():
            self.samples.setdefault(figure, {}).setdefault(name, []).append((now, value))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=Path("bench"), help="a folder")
    arguments = parser.parse_args()
    # So that what it started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="openim-direct-soak-") as folder:
        sys.exit(soak(Path(folder), arguments.minutes, arguments.out))


def soak(folder: Path, minutes: float, out: Path) -> int:
    report = Report(out, "soak.md")
    with deployment(folder / "deployment", instances=2, nodes=2) as stack:
        load = Load(stack, users=3, readers=1, sizes=SIZES, pause=0.2)
        clients = Clients(stack).all
        sampler, stop = Sampler(stack), threading.Event()
        with ThreadPoolExecutor(len(clients)) as pool:
            try:
                running = [pool.submit(client.run, stop) for client in clients]
                load.start()
                end = time.monotonic() + minutes * 60
                while time.monotonic() < end:
                    sampler.sample()
                    time.sleep(INTERVAL)
            finally:
                stop.set()
            load.stop()
        for one in running:
            # What a client did not foresee.
            one.result()
        lost = read_back(load)
    write_csv(sampler.samples, out / "soak.csv")
    return write_report(report, sampler, load, clients, lost, minutes, out)


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


def write_csv(samples: Samples, file: Path) -> None:
    with file.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["figure", "process", "second", "value"])
        for figure, processes in samples.items():
            for name, row in processes.items():
                writer.writerows((figure, name, f"{at:.0f}", f"{value:.2f}") for at, value in row)


def write_report(
    report: Report, sampler: Sampler, load: Load, clients: list[Client], lost: int, minutes: float, out: Path
) -> int:
    """The exit code."""
    window = min(5.0, minutes / 3)
    label = f"{window:g} min" if window >= 1 else f"{window * 60:.0f} s"
    rows, grown = [], []
    for figure, processes in sampler.samples.items():
        for name, row in processes.items():
            first, second, last = (
                mean([value for at, value in row if begin <= at / 60 < begin + window] or [row[-1][1]])
                for begin in (0, window, minutes - window)
            )
            rows.append((figure, name, first, second, last, f"{last - second:+.1f}"))
            if "worker" in name and last > second * 1.1 + (0 if "MiB" in figure else 3):
                grown.append(f"{figure} of {name}: {second:.1f} to {last:.1f}")
    failures = [cause for _, cause in load.failures + load.read_failures]
    failures += [cause for client in clients for cause in client.failures]
    replaced = len(sampler.workers) - sampler.at_first
    report.text(
        f"# Soak of {minutes:g} minutes\n\n`python -m tests.bench.soak --minutes {minutes:g}`: "
        f"{len(load.acknowledged):,} uploads, {load.reads:,} views, "
        + ", ".join(f"{client.done:,} {client.name}" for client in clients)
        + f". {len(failures)} not answered as they should be, {lost} lost, {len(load.wrong)} with wrong bytes, "
        f"{replaced} workers replaced."
    )
    if failures:
        report.text("\n".join(f"- {count} x {cause}" for cause, count in Counter(failures).most_common(10)))
    report.table(
        "What each process held",
        ["figure", "process", f"first {label}", f"second {label}", f"last {label}", "second to last"],
        rows,
        note=f"Means of samples, one every {INTERVAL:.0f} s.",
    )
    draw(sampler.samples, out / "soak.png", minutes)
    report.text(f"![What each worker held over {minutes:g} minutes](soak.png)")
    judged = minutes >= 15
    report.text("Grown: " + ("; ".join(grown) or "nothing") + ("" if judged else " (too short a run to judge)") + ".")
    return 1 if lost or load.wrong or failures or replaced or (judged and grown) else 0


def draw(samples: Samples, file: Path, minutes: float) -> None:
    """One plot a figure, below each other; a line for each worker."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, plots = pyplot.subplots(len(samples), figsize=(9, 2.2 * len(samples)), sharex=True)
    for axes, (title, processes) in zip(plots, samples.items(), strict=True):
        for name, row in processes.items():
            if "worker" in name:
                axes.plot([at / 60 for at, _ in row], [value for _, value in row], label=name, linewidth=1)
        axes.set(ylabel=title, ylim=(0, None), xlim=(0, minutes))
        axes.grid(alpha=0.3)
    plots[0].legend(ncols=4, loc="lower center", fontsize="small")
    plots[-1].set_xlabel("minutes")
    figure.align_ylabels()
    figure.savefig(file, dpi=110, bbox_inches="tight")
    pyplot.close(figure)


if __name__ == "__main__":
    main()
