"""Many odd requests at a real instance, from a seed: `python -m tests.fuzz.requests_run --requests 100000`.

Ends with exit code 1 on an HTTP 500 without an envelope, an answer over 2 s, a process that died, or memory that grew by
over 20 %. Prints count and seed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from app.auth.sealing import Sealer, Ticket
from app.core import wire
from tests.stack import SECRET, MinIONode, Stack, running

LIMIT_SECONDS = 2.0
ODD_TEXTS = [
    *["", " ", "u1/", "u1/a", "u2/a", "../..", "u1/../x", "%00", "\x00", "图" * 400, "a" * 5000, "é\u0301", "'\"\\"],
    *["\r\nX: y", "${jndi:x}", "<script>", "-1", "null", "0" * 32, "69a329523ce1ec88bf63061863d9cb14", "9" * 400, "\ud7ff"],
    "\ud83d",
]
ODD_NUMBERS = [0, 1, -1, 5, 5 << 20, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**30, 1.5, 1e300, 53687091200000]
FIELDS = {
    "part_limit": [],
    "part_size": ["size"],
    "initiate_multipart_upload": ["hash", "size", "partSize", "maxParts", "cause", "name", "contentType"],
    "auth_sign": ["uploadID", "partNumbers"],
    "complete_multipart_upload": ["uploadID", "parts", "name", "contentType", "cause"],
    "initiate_form_data": ["name", "size", "contentType", "group", "millisecond", "absolute"],
    "complete_form_data": ["id"],
    "access_url": ["name", "query"],
}
assert FIELDS.keys() == wire.ROUTES.keys()


class Fuzzer:
    def __init__(self, seed: int, token: str) -> None:
        self.random = random.Random(seed)
        self.token = token
        ticket = Ticket("u1", "m1", "openim/data/hash/x", "up", "0" * 32, 6 << 20, 5 << 20, int(time.time()) + 3600)
        self.sealed = Sealer([SECRET]).seal(ticket)

    def value(self, depth: int = 0) -> Any:
        pick = self.random.random()
        if pick < 0.35:
            return self.random.choice(ODD_TEXTS)
        if pick < 0.65:
            return self.random.choice(ODD_NUMBERS)
        if pick < 0.72:
            return self.random.choice([None, True, False])
        if pick < 0.80:
            return self.mutated(self.sealed)
        if depth > 2:
            return 0
        if pick < 0.9:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {str(self.random.choice(ODD_TEXTS)): self.value(depth + 1) for _ in range(self.random.randrange(3))}

    def mutated(self, text: str) -> str:
        at = self.random.randrange(len(text))
        return self.random.choice([text, text[:at], text + "x", text[:at] + "A" + text[at + 1 :], text[::-1]])

    def body(self, route: str) -> bytes:
        fields = {name: self.value() for name in FIELDS[route] if self.random.random() < 0.85}
        if self.random.random() < 0.1:
            # Keys match without regard to case.
            fields = {self.random.choice([name.upper(), name.lower(), name]): value for name, value in fields.items()}
        if route == "initiate_multipart_upload" and self.random.random() < 0.5:
            fields.update(
                hash=f"{self.random.getrandbits(128):032x}",
                size=self.random.randrange(1, 1 << 24),
                name="u1/fuzz",
                maxParts=1,
            )
        if "uploadID" in FIELDS[route] and self.random.random() < 0.5:
            fields["uploadID"] = self.sealed
        if route == "auth_sign" and self.random.random() < 0.5:
            fields["partNumbers"] = [self.random.choice([0, 1, 2, 3, 10001]) for _ in range(self.random.randrange(5))]
        text = json.dumps(fields).encode()
        pick = self.random.random()
        if pick < 0.08:
            return text[: self.random.randrange(len(text) + 1)]
        if pick < 0.12:
            return bytes(self.random.randrange(256) for _ in range(self.random.randrange(60)))
        if pick < 0.16:
            return text + self.random.choice([b" and more", b"\xff", text])
        if pick < 0.17:
            return b"[" * self.random.choice([10, 1000, 100_000])
        return text

    def request(self) -> tuple[str, str, dict[str, str], bytes | None]:
        headers = {"operationID": "fuzz", "token": self.token}
        if self.random.random() < 0.15:
            name = self.random.choice(
                ["token", "operationID", "Cookie", "Content-Type", "X-OpenIM-Direct-Forwarded", "Origin", "X-Request-Api"]
            )
            headers[name] = self.random.choice(["", "x", "OPENIM_INSTANCE=i9", "a" * 3000, "\xe9", self.mutated(self.token)])
        if self.random.random() < 0.75:
            route = self.random.choice(list(FIELDS))
            return "POST", f"/object/{route}", headers, self.body(route)
        odd = self.random.choice(
            ["%ff", "%", "%zz", "a%00b", "..%2f..", "//", "%E5%9B%BE", "u1/fuzz", "x" * 3000, "%0d%0aX:y", ";a=b"]
        )
        query = self.random.choice(
            ["", "?type=image", "?type=%00&width=-1", "?" + "a=b&" * 200, "?type=image&width=9999999999&format=x"]
        )
        return self.random.choice(["GET", "HEAD", "POST", "PUT", "OPTIONS"]), f"/object/{odd}{query}", headers, None


def run(stack: Stack, count: int, seed: int, clients: int = 4, instance: str = "i1") -> tuple[Counter[str], list[str]]:
    """Send `count` requests; how they were answered, and what was wrong."""
    answers: Counter[str] = Counter()
    wrong: list[str] = []
    lock = threading.Lock()
    token = stack.token()

    def work(number: int) -> None:
        fuzzer = Fuzzer(seed * 1000 + number, token)
        connection = http.client.HTTPConnection("127.0.0.1", stack.ports[instance], timeout=30)
        for _ in range(count // clients):
            method, path, headers, body = fuzzer.request()
            start = time.monotonic()
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as e:
                # A request that gunicorn cannot read is answered and cut.
                connection.close()
                with lock:
                    answers[type(e).__name__] += 1
                continue
            took = time.monotonic() - start
            fault = check(method, response.status, content)
            with lock:
                answers[f"{method} {response.status}"] += 1
                if fault or took > LIMIT_SECONDS:
                    wrong.append(
                        f"{fault or f'{took:.1f} s'}: {method} {path[:80]} {str(headers)[:200]} {(body or b'')[:200]!r}"
                    )
        connection.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, wrong


def check(method: str, status: int, content: bytes) -> str:
    if b"Traceback" in content or b"<html" in content.lower():
        return f"HTTP {status} with a page or a trace"
    if method == "POST" and status in (200, 400, 413, 500, 503):
        try:
            envelope = json.loads(content)
        except ValueError:
            return f"HTTP {status} without an envelope"
        if not {"errCode", "errMsg", "errDlt"} <= envelope.keys():
            return f"HTTP {status} with an odd envelope"
        if "internal error" in envelope["errDlt"]:
            return "an error that was not foreseen"
    elif status >= 500:
        return f"HTTP {status}"
    return ""


def workers(stack: Stack) -> Iterator[psutil.Process]:
    yield from psutil.Process(stack.instances["i1"].pid).children()


def memory(stack: Stack) -> float:
    return sum(p.memory_full_info().uss for p in workers(stack)) / (1 << 20)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openim-direct-fuzz-") as folder:
        node = MinIONode("m1", Path(folder) / "m1")
        node.start()
        try:
            node.wait()
            with running(Stack(Path(folder), {"m1": node}, {"i1": "m1"}, balancer=None)) as stack:
                before_pids = {p.pid for p in workers(stack)}
                run(stack, arguments.requests // 10, arguments.seed + 1)
                before = memory(stack)
                start = time.monotonic()
                answers, wrong = run(stack, arguments.requests, arguments.seed)
                seconds, after = time.monotonic() - start, memory(stack)
                died = before_pids != {p.pid for p in workers(stack)}
        finally:
            node.process.stop()
    print(
        f"{sum(answers.values())} requests, seed {arguments.seed}, {seconds:.0f} s; "
        f"workers' memory {before:.1f} to {after:.1f} MiB"
    )
    for answer, count in answers.most_common():
        print(f"{count:8} {answer}")
    for line in wrong[:20]:
        print("WRONG", line)
    print(f"{len(wrong)} wrong, {'a worker died' if died else 'no process died'}")
    sys.exit(bool(wrong or died or after > before * 1.2))


if __name__ == "__main__":
    main()
