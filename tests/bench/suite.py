"""Every figure of the README's "Speed", on this machine, in one run:

    python -m tests.bench.suite --out bench            (needs the extras all, test and bench, and Go)
    python -m tests.bench.suite --only flows,routes    a part of it; --list names them
    python -m tests.bench.suite --only peer --peer DIR  beside the program of another checkout, in turn, on one node

Writes OUT/report.md and plots. Everything runs on loopback on one machine, load generator included, so that figures are to
be compared with the bare PUTs of the same run, not with other machines. Takes half an hour, more with 5 million records.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import signal
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import requests

from app.config.load import load as load_config
from app.config.models import Node as NodeConfig
from app.core.model import Record
from app.operations.migrate import Migration
from app.records.store import Records
from app.storage.node import Node
from app.storage.signing import Presigner
from tests.bench.deployment import (
    LoadError,
    LoadGen,
    changed,
    cpu_of,
    cpu_seconds,
    deployment,
    memory,
    replaced,
    storage_counts,
)
from tests.bench.report import Report
from tests.bench.steps import STEPS
from tests.databases import MariaDB
from tests.pictures import encoded, photo
from tests.stack import PART, Process, Stack, initiate_body

KIB, MIB = 1 << 10, 1 << 20
#: v3.4.0's share of the bare PUTs, measured on its own binaries.
V340 = {64 * KIB: 0.13, MIB: 0.27, 100 * MIB: 0.94}
#: Bytes to flows of a run, about 2 s each.
SIZES = {4 * KIB: 600, 64 * KIB: 500, MIB: 250, 10 * MIB: 24, 100 * MIB: 4}


class Bench:
    def __init__(self, folder: Path, report: Report, repeats: int, records: int, other: Path | None) -> None:
        self.folder, self.report, self.repeats, self.records, self.other = folder, report, repeats, records, other
        self.loadgen = LoadGen(folder)
        self._count = 0

    def place(self) -> Path:
        self._count += 1
        return self.folder / f"d{self._count}"

    def ratio(self, stack: Stack, base: str, size: int, flows: int, clients: int = 8) -> tuple[float, float, list[float]]:
        """Bare PUTs a second, flows a second, and each repeat's ratio: flows over the mean of the PUTs before and after."""
        arguments = ("-size", str(size), "-n", str(max(flows, clients)), "-c", str(clients))
        puts = [self.loadgen.run(stack, base, *arguments, "-limit")["rate"]]
        rates = []
        for _ in range(self.repeats):
            rates.append(self.loadgen.run(stack, base, *arguments)["rate"])
            puts.append(self.loadgen.run(stack, base, *arguments, "-limit")["rate"])
        ratios = [rate / ((a + b) / 2) for rate, (a, b) in zip(rates, pairwise(puts), strict=True)]
        return statistics.median(puts), statistics.median(rates), ratios

    # The parts

    def flows(self) -> None:
        """whole uploads by size, over the bare PUTs"""
        rows, lines = [], {"through nginx": [], "without": []}  # type: dict[str, list[tuple[float, float]]]
        with deployment(self.place()) as stack:
            self.warm_up(stack)
            for size, flows in SIZES.items():
                puts, rate, ratios = self.ratio(stack, stack.url, size, flows)
                v340 = V340.get(size)
                spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
                rows.append((_bytes(size), puts, rate, statistics.median(ratios), spread, "" if v340 is None else v340))
                lines["through nginx"].append((size, statistics.median(ratios)))

        def straight(document: dict[str, Any]) -> None:
            for node in document["nodes"].values():
                node["sign_endpoint"] = node["endpoint"]

        plain = []
        with deployment(self.place(), change=straight) as stack:
            self.warm_up(stack)
            for size, flows in SIZES.items():
                puts, rate, ratios = self.ratio(stack, stack.instance_url("i1"), size, flows)
                plain.append(
                    (_bytes(size), puts, rate, statistics.median(ratios), f"{min(ratios):.2f} to {max(ratios):.2f}")
                )
                lines["without"].append((size, statistics.median(ratios)))
        head = ("size", "bare PUTs/s", "flows/s", "ratio", "of the repeats")
        note = f"8 clients, one node, one instance; medians of {self.repeats} repeats, each between two runs of bare PUTs."
        self.report.table("Whole uploads through nginx", (*head, "v3.4.0's ratio"), rows, note)
        self.report.table("Whole uploads without nginx", head, plain)
        self.report.plot("flows", "Whole uploads over bare PUTs", ("size", "ratio"), lines, _bytes)

    def routes(self) -> None:
        """each route's rate and latency, through nginx and without"""
        rows = []
        with deployment(self.place()) as stack:
            self.warm_up(stack)
            name = stack.api().upload(os.urandom(4 * KIB), "u1/hot").split(stack.url, 1)[1]
            fresh = f"{name}?n=#"
            told = {name: "redirect of a view", fresh: "redirect that nginx has not kept"}
            for route in ("part_limit", "auth_sign", "initiate", name, fresh):
                for where, base in (("nginx", stack.url), ("instance", stack.instance_url("i1"))):
                    runs = []
                    for _ in range(self.repeats):
                        self._count += 1
                        first = ("-first", str(self._count * 1_000_000)) if route == fresh else ()
                        runs.append(self.loadgen.run(stack, base, "-route", route, "-seconds", "3", "-c", "8", *first))
                    steps = [next(iter(run["steps"].values())) for run in runs]
                    rows.append(
                        (
                            told.get(route, route),
                            where,
                            statistics.median(run["rate"] for run in runs),
                            statistics.median(step["p50_ms"] for step in steps),
                            statistics.median(step["p99_ms"] for step in steps),
                        )
                    )
            run = self.loadgen.run(stack, stack.url, "-size", "4096", "-n", "1500", "-c", "8")
            step = run["steps"]["complete_multipart_upload"]
            rows.append(("complete, within whole uploads", "nginx", run["rate"], step["p50_ms"], step["p99_ms"]))
            took = self._sign_all(stack)
            rows.append(
                (
                    "auth_sign of 10,000 parts, one client",
                    "nginx",
                    1000 / statistics.median(took),
                    statistics.median(took),
                    max(took),
                )
            )
        self.report.table(
            "Routes", ("route", "at", "requests/s", "p50 ms", "p99 ms"), rows, "8 clients for 3 s; auth_sign of 20 parts."
        )

    def _sign_all(self, stack: Stack) -> list[float]:
        """Milliseconds of requests for 10,000 signatures each."""
        api = stack.api()
        body = initiate_body(b"x", "u1/large", size=10_000 * PART, hash=os.urandom(16).hex(), maxParts=0)
        ask = {
            "uploadID": api.ok("initiate_multipart_upload", body)["upload"]["uploadID"],
            "partNumbers": list(range(1, 10_001)),
        }
        took = []
        for _ in range(max(5, self.repeats)):
            start = time.perf_counter()
            assert len(api.ok("auth_sign", ask)["parts"]) == 10_000
            took.append((time.perf_counter() - start) * 1000)
        return took

    def storage(self) -> None:
        """storage calls of a small upload, and bytes of a second view"""
        count = 200
        with deployment(self.place()) as stack:
            self.warm_up(stack)
            before, _ = storage_counts(stack)
            self.loadgen.run(stack, stack.url, "-size", "65536", "-n", str(count))
            after, _ = storage_counts(stack)
            small = after - before
            before = after
            self.loadgen.run(stack, stack.url, "-size", str(11 * MIB), "-n", "10")
            after, _ = storage_counts(stack)
            large = after - before
            content = os.urandom(MIB)
            browser = _Browser()
            url = stack.api().upload(content, "u1/seen")
            _, start = storage_counts(stack)
            assert browser.get(url) == content
            _, first = storage_counts(stack)
            assert browser.get(url) == content
            _, second = storage_counts(stack)
        # Readiness asks for the bucket once a second, whoever uploads.
        own = {"headbucket", "getbucketlocation"}
        rows = []
        for what, calls, uploads in (("64 KiB", small, count), ("11 MiB, 3 parts", large, 10)):
            told = ", ".join(f"{name} {calls[name] / uploads:.2f}" for name in sorted(calls) if name not in own)
            rows.append((what, sum(n for name, n in calls.items() if name not in own) / uploads, told))
        self.report.table("Storage calls of one upload, as MinIO counts them", ("size", "calls", "which"), rows)
        probes = 11 * 400
        self.report.table(
            "Bytes from MinIO for a picture of 1 MiB that one browser shows twice within the hour",
            ("view", "MiB"),
            [("first", (first - start) / MIB), ("second", max(0.0, second - first - probes) / MIB)],
            "The browser obeys Cache-Control; MinIO's count less its answers to readiness probes.",
        )

    def cost(self) -> None:
        """CPU seconds and memory"""
        rows = []
        with deployment(self.place()) as stack:
            self.warm_up(stack)
            for size, flows in ((64 * KIB, 2000), (MIB, 500)):
                before = cpu_seconds(stack)
                self.loadgen.run(stack, stack.url, "-size", str(size), "-n", str(flows))
                after = cpu_seconds(stack)
                rows.append(
                    (_bytes(size), *((after[k] - before[k]) / flows * 1000 for k in ("instances", "nginx", "MinIO")))
                )
            whole, workers = memory(stack, "i1")
        self.report.table("CPU seconds of 1,000 uploads", ("size", "instance", "nginx", "MinIO"), rows)
        self.report.table(
            "Memory of an instance after 2,800 uploads, MiB",
            ("processes together (PSS)", "each worker alone (USS)"),
            [(whole, " and ".join(f"{w:.1f}" for w in workers))],
        )

    def growth(self) -> None:
        """flows and routes by clients and by instances"""
        lines: dict[str, list[tuple[float, float]]] = {"flows": [], "bare PUTs": []}
        rows: list[tuple[object, ...]] = []
        with deployment(self.place()) as stack:
            self.warm_up(stack)
            for clients in (1, 2, 4, 8, 16, 32, 64):
                puts, rate, ratios = self.ratio(stack, stack.url, 64 * KIB, 400, clients)
                run = self.loadgen.run(stack, stack.url, "-size", "65536", "-n", "400", "-c", str(clients))
                step = run["steps"]["flow"]
                rows.append((clients, puts, rate, statistics.median(ratios), step["p50_ms"], step["p99_ms"]))
                lines["flows"].append((clients, rate))
                lines["bare PUTs"].append((clients, puts))
        head = ("bare PUTs/s", "flows/s", "ratio", "flow p50 ms", "flow p99 ms")
        self.report.table("64 KiB uploads by clients", ("clients", *head), rows)
        self.report.plot("clients", "64 KiB uploads by clients", ("clients", "a second"), lines)
        rates: dict[int, list[float]] = {1: [], 2: [], 3: [], 4: []}
        with deployment(self.place(), instances=4) as stack:
            self.warm_up(stack)
            for _ in range(self.repeats):
                # In turn, since the machine is not the same from minute to minute.
                for instances, of in rates.items():
                    bases = [f"{stack.url}/i/i{n}" for n in range(1, instances + 1)]
                    of.append(self.loadgen.crowd(stack, bases, 8, "-size", "65536", "-n", "100", "-c", "2"))
        self.report.table(
            "64 KiB uploads by instances on one node",
            ("instances", "flows/s", "over one instance"),
            [
                (n, statistics.median(of), statistics.median(a / b for a, b in zip(of, rates[1], strict=True)))
                for n, of in rates.items()
            ],
            "8 users of 2 clients each. The instances share the cores with each other, MinIO and the load generator.",
        )

    def workers(self) -> None:
        """numbers of processes"""
        rows: list[tuple[object, ...]] = []
        with deployment(self.place(), instances=2) as stack:
            self.warm_up(stack)
            for workers in (1, 2, 4):
                with changed(stack, "i2", options=("--workers", str(workers))):
                    columns, _ = self._over_the_usual(stack, 16)
                    whole, _ = memory(stack, "i2")
                rows.append((workers, *columns, whole))
        head = ("workers", "uploads/s", "CPU of the instance for one", "auth_sign/s", "MiB")
        note = f"64 KiB through nginx, 16 clients; over the default on the same node, in turn; {self.repeats} pairs."
        self.report.table("Processes of an instance", head, rows, note)

    def peer(self) -> None:
        """beside the program of another checkout (--peer)"""
        if self.other is None:
            raise SystemExit("the part `peer` needs --peer DIR, a checkout of another commit")
        with deployment(self.place(), instances=2) as stack:
            self.warm_up(stack)
            usual = stack.instances["i2"]
            command = [sys.executable, "-m", "app", "serve", "i2", "--config", str(stack.config)]
            with replaced(stack, "i2", Process(command, usual.log, {"PYTHONPATH": str(self.other)}, self.other)):
                self._speed(stack, "i2", 8)
                uploads = [self._uploads_beside(stack, size) for size in (64 * KIB, MIB, 100 * MIB)]
                rates = self._routes_beside(stack)
                used = [memory(stack, i)[0] for i in ("i1", "i2")]
        head = ("size", "bare PUTs/s", "this/s", "peer/s", "this over peer", "this over PUTs", "peer over PUTs", "of this")
        note = f"8 clients, one node, through nginx, in turn: PUTs, this, PUTs, the peer; medians of {self.repeats}."
        self.report.table("Uploads beside the peer", head, uploads, note)
        rows = [*rates, ("memory of an instance, MiB (PSS)", *used, used[0] / used[1])]
        self.report.table("Routes and memory beside the peer", ("figure", "this", "peer", "this over peer"), rows)

    def _uploads_beside(self, stack: Stack, size: int) -> tuple[object, ...]:
        arguments = ("-size", str(size), "-n", str(max(SIZES[size], 8)), "-c", "8")
        puts: list[float] = []
        rates: dict[str, list[float]] = {"i1": [], "i2": []}
        over: dict[str, list[float]] = {"i1": [], "i2": []}
        puts.append(self.loadgen.run(stack, stack.url, *arguments, "-limit")["rate"])
        for _ in range(self.repeats):
            for instance, of in rates.items():
                of.append(self.loadgen.run(stack, f"{stack.url}/i/{instance}", *arguments)["rate"])
                puts.append(self.loadgen.run(stack, stack.url, *arguments, "-limit")["rate"])
                over[instance].append(of[-1] / (sum(puts[-2:]) / 2))
        median = statistics.median
        beside = median(a / b for a, b in zip(rates["i1"], rates["i2"], strict=True))
        spread = f"{min(over['i1']):.2f} to {max(over['i1']):.2f}"
        shares = (median(over["i1"]), median(over["i2"]), spread)
        return (_bytes(size), median(puts), median(rates["i1"]), median(rates["i2"]), beside, *shares)

    def _routes_beside(self, stack: Stack) -> list[tuple[object, ...]]:
        name = stack.api().upload(os.urandom(4 * KIB), "u1/beside").split(stack.url, 1)[1]
        rows: list[tuple[object, ...]] = []
        for what, route in (
            ("part_limit a second", "part_limit"),
            ("auth_sign of 20 parts a second", "auth_sign"),
            ("initiate a second", "initiate"),
            ("redirects a second from nginx's cache", name),
            ("redirects a second that nginx has not kept", f"{name}?n=#"),
        ):
            rates: dict[str, list[float]] = {"i1": [], "i2": []}
            for _ in range(self.repeats):
                for instance, of in rates.items():
                    self._count += 1
                    first = ("-first", str(self._count * 1_000_000)) if "#" in route else ()
                    # What nginx keeps is kept for all instances.
                    base = stack.url if route == name else f"{stack.url}/i/{instance}"
                    of.append(self.loadgen.run(stack, base, "-route", route, "-seconds", "2", "-c", "8", *first)["rate"])
            beside = statistics.median(a / b for a, b in zip(rates["i1"], rates["i2"], strict=True))
            rows.append((what, statistics.median(rates["i1"]), statistics.median(rates["i2"]), beside))
        return rows

    def steps(self) -> None:
        """what each step gains: the same without it"""
        rows: list[tuple[object, ...]] = []
        seen: list[tuple[float, float, float]] = []
        with deployment(self.place(), instances=2) as stack:
            self.warm_up(stack)
            for label, without in STEPS.items():
                with changed(stack, "i2", **without):
                    columns, usual = self._over_the_usual(stack, 8)
                seen += usual
                rows.append((label, *columns))
        rows.insert(0, ("as it is", *(statistics.median(column) for column in zip(*seen, strict=True))))
        head = ("without", "uploads/s", "CPU of the instance for one, µs", "auth_sign/s")
        note = (
            "64 KiB through nginx, 8 clients, auth_sign of 20 parts. Each line is the product without one thing, over the "
            f"product as it is on the same node, measured in turn; medians of {self.repeats} pairs."
        )
        self.report.table("What each step gains", head, rows, note)

    def _over_the_usual(self, stack: Stack, clients: int) -> tuple[list[str], list[tuple[float, float, float]]]:
        """The speed of i2 over that of i1, as medians of pairs, and what i1's was."""
        self._speed(stack, "i2", clients)
        usual, ratios = [], []
        for _ in range(self.repeats):
            # In turn, since the machine is not the same from minute to minute.
            usual.append(self._speed(stack, "i1", clients))
            ratios.append([a / b for a, b in zip(self._speed(stack, "i2", clients), usual[-1], strict=True)])
        return [f"x {statistics.median(column):.2f}" for column in zip(*ratios, strict=True)], usual

    def _speed(self, stack: Stack, instance: str, clients: int) -> tuple[float, float, float]:
        """Uploads a second, the instance's CPU for one in µs, and auth_sign a second."""
        uploads, base, many = 600, f"{stack.url}/i/{instance}", ("-c", str(clients))
        before = cpu_of(stack.instances[instance].pid)
        rate = self.loadgen.run(stack, base, "-size", "65536", "-n", str(uploads), *many)["rate"]
        cpu = (cpu_of(stack.instances[instance].pid) - before) / uploads * 1e6
        sign = self.loadgen.run(stack, base, "-route", "auth_sign", "-seconds", "1.5", *many)["rate"]
        return rate, cpu, sign

    def rows(self) -> None:
        """records calls and uploads by the number of records, in SQLite and MariaDB"""
        counts = [n for n in (0, 10_000, 100_000, 1_000_000, 5_000_000) if n <= self.records]
        rows: list[tuple[object, ...]] = []
        lines: dict[str, list[tuple[float, float]]] = {}
        place = self.place()
        mariadb = MariaDB(place / "mariadb")
        mariadb.start()
        try:
            with deployment(self.place(), instances=2) as stack:
                self.warm_up(stack)
                for kind in ("SQLite", "MariaDB"):
                    there = 0
                    url = (
                        f"sqlite:///{place}/records.db" if kind == "SQLite" else mariadb.create("bench", object_table=False)
                    )
                    records = Records(url)
                    records.prepare()
                    for count in counts:
                        _fill(kind, place, mariadb, there, count)
                        there = count
                        calls = _records_calls(records, count)

                        def use(document: dict[str, Any], url: str = url) -> None:
                            document["records"] = url

                        with changed(stack, "i2", change=use):
                            columns, _ = self._over_the_usual(stack, 8)
                        rows.append((kind, count, *calls, columns[0]))
                        for call, took in zip(("get", "find", "put"), calls, strict=True):
                            lines.setdefault(f"{kind} {call}", []).append((count, took))
                    records.close()
        finally:
            mariadb.stop()
        head = ("database", "records", "get µs", "find hash µs", "put µs", "uploads/s")
        note = (
            "Medians of 300 calls. Uploads of 64 KiB through nginx, 8 clients, over those of an instance with a small "
            "SQLite on the same node, in turn."
        )
        self.report.table("Records: one call's median, and uploads", head, rows, note)
        self.report.plot("records", "One call to the records", ("records", "µs"), lines)

    def thumbnails(self) -> None:
        """initiate while 100 clients ask for new thumbnails"""
        with deployment(self.place()) as stack:
            self.warm_up(stack)
            api = stack.api()
            photos = [encoded(photo(4000, 3000, seed=n), "JPEG", quality=90) for n in range(6)]
            paths = [api.upload(data, f"u1/p{n}.jpg").split(stack.url)[1] for n, data in enumerate(photos)]
            arguments = ("-route", "initiate", "-seconds", "5", "-c", "4")
            rows = []
            for repeat in range(self.repeats):
                quiet = self.loadgen.run(stack, stack.url, *arguments)["steps"]["initiate_multipart_upload"]
                plain = self._beside(stack, arguments, [f"{path}?n=#" for path in paths], repeat)
                made = self._beside(stack, arguments, [f"{path}?type=image&width=#&height=900" for path in paths], repeat)
                rows.append((quiet["p99_ms"], plain[0], made[0], made[0] / quiet["p99_ms"], made[1]))
        self.report.table(
            "p99 of initiate (4 clients), alone and beside 100 clients who ask for views without a pause",
            (
                "alone, ms",
                "beside plain views, ms",
                "beside new thumbnails of 12 megapixels, ms",
                "ratio to alone",
                "thumbnails",
            ),
            rows,
            "Of photos of 12 megapixels. Load generators, MinIO and the instance share the machine's cores.",
        )

    def _beside(self, stack: Stack, arguments: tuple[str, ...], routes: list[str], repeat: int) -> tuple[float, str]:
        """p99 of initiate in ms while 100 clients ask for these, and what they were answered."""
        each = -(-100 // len(routes))
        first = str(100 + repeat * 150)
        with ThreadPoolExecutor(len(routes)) as pool:
            views = [
                pool.submit(
                    self.loadgen.run, stack, stack.url, "-route", r, "-seconds", "7", "-c", str(each), "-first", first
                )
                for r in routes
            ]
            time.sleep(1)
            step = self.loadgen.run(stack, stack.url, *arguments)["steps"]["initiate_multipart_upload"]
        told: Counter[str] = Counter()
        for view in views:
            for name, found in view.result()["steps"].items():
                told[name.removeprefix("get") or "made, or there"] += found["n"]
        return step["p99_ms"], ", ".join(f"{name} {count}" for name, count in sorted(told.items()))

    def migrate(self) -> None:
        """migrate's copy rate over a plain GET piped into a PUT"""
        rows = []
        with deployment(self.place(), instances=2, nodes=2) as stack:
            self.warm_up(stack)
            for size, count in ((64 * KIB, 800), (MIB, 300), (16 * MIB, 30)):
                api = f"{stack.url}/i/i1"
                self.loadgen.run(stack, api, "-size", str(size), "-n", str(count), "-c", "8")
                configs = load_config(str(stack.config)).nodes
                nodes = {n: Node(configs[n]) for n in ("m1", "m2")}
                records = Records(f"sqlite:///{stack.folder}/data/records.db")
                keys = [r.key for r in records.page("", 10_000, "m1") if r.size == size]
                plain, moved = [_pipe(configs, keys, size)], []
                for _ in range(self.repeats):
                    _clear(nodes["m2"])
                    start = time.monotonic()
                    summary = Migration({"m1": nodes["m1"]}, nodes["m2"], _Only(records, size), parallel=4).run()
                    moved.append(summary.bytes / (time.monotonic() - start))
                    assert summary.objects == len(keys) and not summary.left, summary
                    for record in records.page("", 10_000, "m2"):
                        # Others were uploaded there while it warmed up.
                        if record.key in keys:
                            records.move(record, "m1", record.etag)
                    plain.append(_pipe(configs, keys, size))
                ratios = [m / ((a + b) / 2) for m, (a, b) in zip(moved, pairwise(plain), strict=True)]
                rows.append(
                    (
                        _bytes(size),
                        len(keys),
                        statistics.median(plain) / 1e6,
                        statistics.median(moved) / 1e6,
                        statistics.median(ratios),
                        f"{min(ratios):.2f} to {max(ratios):.2f}",
                    )
                )
        self.report.table(
            "migrate, 4 objects at once, over a plain GET piped into a PUT by 4 threads",
            ("size", "objects", "plain MB/s", "migrate MB/s", "ratio", "of the repeats"),
            rows,
        )

    def warm_up(self, stack: Stack) -> None:
        """Connections, the bucket, and the bytecode of everything."""
        deadline = time.monotonic() + 30
        while True:
            try:
                self.loadgen.run(stack, stack.url, "-size", "65536", "-n", "300")
            except LoadError:
                if time.monotonic() > deadline:
                    raise
            else:
                return


class _Browser:
    """What is kept of a GET, by its Cache-Control."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, bytes]] = {}

    def get(self, url: str) -> bytes:
        target = requests.get(url, timeout=30, allow_redirects=False).headers["Location"]
        kept = self._kept.get(target)
        if kept is not None and time.time() < kept[0]:
            return kept[1]
        answer = requests.get(target, timeout=30)
        age = int(answer.headers["Cache-Control"].removeprefix("max-age="))
        self._kept[target] = time.time() + age, answer.content
        return answer.content


class _Only:
    """The records of one size."""

    def __init__(self, records: Records, size: int) -> None:
        self._records, self._size = records, size
        self.old_page, self.absent = records.old_page, records.absent
        self.add, self.move = records.add, records.move

    def page(self, after: str, count: int, node: str | None = None, before: int | None = None) -> list[Record]:
        while page := self._records.page(after, count, node, before):
            found = [r for r in page if r.size == self._size]
            if found:
                return found
            after = page[-1].name
        return []


class _Sized:
    """A stream whose length requests can ask for."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._size = stream, size

    def __len__(self) -> int:
        return self._size

    def read(self, count: int = -1) -> bytes:
        data: bytes = self._stream.read(count)
        return data


def _pipe(configs: dict[str, NodeConfig], keys: list[str], size: int) -> float:
    """Bytes a second of a plain GET from m1 piped into a PUT to m2, by 4 threads, to keys of their own."""
    local = threading.local()

    def one(key: str) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        source = _direct(configs["m1"], "GET", key)
        target = _direct(configs["m2"], "PUT", f"piped/{key}")
        with local.session.get(source, stream=True, timeout=60) as got:
            got.raise_for_status()
            local.session.put(target, data=_Sized(got.raw, size), timeout=60).raise_for_status()

    start = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, keys))
    return len(keys) * size / (time.monotonic() - start)


def _direct(config: NodeConfig, method: str, key: str) -> str:
    signer = Presigner(config.endpoint, config.access_key or "", config.secret_key or "", config.region)
    return signer.presign(method, config.bucket, key, 900)


def _clear(node: Node) -> None:
    for prefix in ("piped/", "openim/data/"):
        while page := node.list_page(prefix):
            node.remove_many([stored.key for stored in page])


def _fill(kind: str, place: Path, mariadb: MariaDB, begin: int, end: int) -> None:
    """Records of made-up names, past the program, which would take hours."""

    def values() -> Iterator[tuple[object, ...]]:
        for n in range(begin, end):
            digest = f"{n * 0x9E3779B97F4A7C15 % (1 << 128):032x}"
            key = f"openim/data/once/{digest}_0123456789abcdef"
            name = f"u{n % 5000}/msg_picture_{digest}.jpg"
            yield (
                name,
                f"u{n % 5000}",
                "m9",
                key,
                digest,
                digest,
                65536,
                "image/jpeg",
                "msg-picture",
                1_760_000_000_000 + n,
            )

    if kind == "SQLite":
        with sqlite3.connect(place / "records.db") as connection:
            connection.executemany(
                "INSERT INTO openim_direct_object VALUES (CAST(? AS BLOB), ?, ?, ?, ?, ?, ?, ?, ?, ?)", values()
            )
        connection.close()
        return
    file = place / "rows.csv"
    with file.open("w", newline="") as f:
        csv.writer(f).writerows(values())
    file.chmod(0o644)
    mariadb.load(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE openim_direct_object FIELDS TERMINATED BY ','", "bench")
    file.unlink()


def _records_calls(records: Records, count: int) -> tuple[float, float, float]:
    """Median microseconds of get, find and put of random records."""

    def timed(call: Callable[[int], object]) -> float:
        took = []
        for n in range(300):
            at = (n * 7919) % max(1, count)
            start = time.perf_counter()
            call(at)
            took.append(time.perf_counter() - start)
        return statistics.median(took) * 1e6

    def digest(n: int) -> str:
        return f"{n * 0x9E3779B97F4A7C15 % (1 << 128):032x}"

    def record(n: int) -> Record:
        name = f"u1/{time.time_ns():x}{n}"
        return Record(name, "u1", "m1", "k" * 60, os.urandom(16).hex(), digest(n), 9, "image/jpeg", "", 1_760_000_000_000)

    get = timed(lambda n: records.get(f"u{n % 5000}/msg_picture_{digest(n)}.jpg"))
    find = timed(lambda n: records.find(digest(n)))
    return get, find, timed(lambda n: records.put(record(n)))


def _bytes(size: float) -> str:
    return f"{size / MIB:g} MiB" if size >= MIB else f"{size / KIB:g} KiB"


PARTS = ("flows", "routes", "storage", "cost", "growth", "workers", "steps", "rows", "thumbnails", "migrate")
#: Parts that need more arguments.
MORE = ("peer",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench"), help="folder for report.md and plots")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--records", type=int, default=1_000_000, help="the most records; 5000000 takes 3 GB of disk")
    parser.add_argument("--peer", type=Path, help="a checkout of another commit, whose dependencies are installed here too")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    # So that what it started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.list:
        for part in (*PARTS, *MORE):
            print(f"{part:12} {getattr(Bench, part).__doc__}")
        return
    parts = arguments.only.split(",")
    unknown = set(parts) - set(PARTS) - set(MORE)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; see --list")
    report = Report(arguments.out)
    report.text(
        f"# Benchmarks\n\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}; load average at the start {os.getloadavg()[0]:.1f}.\n"
        "Everything on one machine, load generator included. `python -m tests.bench.suite "
        f"{' '.join(sys.argv[1:])}`"
    )
    with tempfile.TemporaryDirectory(prefix="openim-direct-bench-") as folder:
        bench = Bench(Path(folder), report, arguments.repeats, arguments.records, arguments.peer)
        for part in parts:
            start = time.monotonic()
            getattr(bench, part)()
            print(f"({part}: {time.monotonic() - start:.0f} s)", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
