"""A steady load of uploads and downloads that remembers everything that was acknowledged."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.stack import API, PART, Stack, initiate_body


@dataclass
class Acknowledged:
    url: str
    seed: int
    size: int
    #: Monotonic seconds: when its initiate was sent, and when its URL came.
    begun: float
    done: float
    user: str

    def content(self) -> bytes:
        return content(self.seed, self.size)


def content(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclass
class Load:
    """Users who upload, one thread each, and readers who fetch what was acknowledged and compare.

    A user does as a client without a resume does: what fails is begun anew.
    """

    stack: Stack
    users: int = 6
    readers: int = 2
    #: Bytes, of which each upload takes one; every 40th is of two parts where `large` is set.
    sizes: tuple[int, ...] = (1000, 20_000, 200_000)
    large: bool = True
    #: Seconds that a user rests after an upload.
    pause: float = 0.02
    acknowledged: list[Acknowledged] = field(default_factory=list)
    #: Monotonic time and cause.
    failures: list[tuple[float, str]] = field(default_factory=list)
    read_failures: list[tuple[float, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    reads: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._upload, args=(n,), daemon=True) for n in range(self.users)]
        self._threads += [threading.Thread(target=self._read, args=(n,), daemon=True) for n in range(self.readers)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a client hangs"

    def _upload(self, number: int) -> None:
        user, count = f"w{number}", 0
        while not self._stop.is_set():
            count += 1
            seed = number * 1_000_000 + count
            size = PART + 1000 if self.large and count % 40 == 0 else random.Random(seed).choice(self.sizes)
            begun = time.monotonic()
            api = self.stack.api(user=user)
            try:
                url = _upload_once(api, content(seed, size), f"{user}/{count}")
            except (requests.RequestException, Refused) as e:
                with self._lock:
                    self.failures.append((time.monotonic(), f"{type(e).__name__} {e}"[:200]))
                self._stop.wait(0.1)
            else:
                with self._lock:
                    self.acknowledged.append(Acknowledged(url, seed, size, begun, time.monotonic(), user))
            finally:
                api.session.close()
            self._stop.wait(self.pause)

    def _read(self, number: int) -> None:
        chooser = random.Random(number)
        while not self._stop.is_set():
            with self._lock:
                one = chooser.choice(self.acknowledged) if self.acknowledged else None
            if one is not None:
                try:
                    answer = requests.get(one.url, timeout=15)
                except requests.RequestException as e:
                    self.read_failures.append((time.monotonic(), type(e).__name__))
                else:
                    self.reads += 1
                    if answer.status_code != 200:
                        # A node that is down is said with 503, never with a 404 or another file.
                        self.read_failures.append((time.monotonic(), f"HTTP {answer.status_code}"))
                    elif answer.content != one.content():
                        self.wrong.append(one.url)
            self._stop.wait(0.03)


class Refused(Exception):
    """An answer that is no success."""


def _upload_once(api: API, data: bytes, name: str) -> str:
    begun = _ok(api, "initiate_multipart_upload", initiate_body(data, name))
    if begun["upload"] is None:
        return str(begun["url"])
    for part in begun["upload"]["sign"]["parts"]:
        number = part["partNumber"]
        headers = {h["key"]: h["values"][0] for h in part["header"] or []}
        answer = requests.put(part["url"], data=data[(number - 1) * PART : number * PART], headers=headers, timeout=15)
        # 412: this very PUT came through before, and its answer was lost.
        if answer.status_code not in (200, 412):
            raise Refused(f"PUT: HTTP {answer.status_code}")
    body = api.complete_body(data, begun["upload"]["uploadID"], name)
    return str(_ok(api, "complete_multipart_upload", body)["url"])


def _ok(api: API, route: str, body: object) -> Any:
    answer = api.post(route, body)
    try:
        envelope = answer.json()
    except ValueError:
        raise Refused(f"{route}: HTTP {answer.status_code} without an envelope: {answer.text[:80]}") from None
    if envelope["errCode"] != 0:
        raise Refused(f"{route}: HTTP {answer.status_code} {envelope['errCode']} {envelope['errDlt']}")
    return envelope["data"]
