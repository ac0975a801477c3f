"""Runs the process that makes thumbnails: one for each worker, started when it is first needed, replaced when it hangs or is
old."""

from __future__ import annotations

import logging
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import msgspec

from app.downloads.thumbnail_format import CHECK, REFUSED, TOO_MUCH, Outcome, ThumbnailSpec

log = logging.getLogger(__name__)

#: Seconds for one thumbnail. With `pictures.PATIENCE` less than `forwarding.TOTAL_TIMEOUT`.
TIMEOUT = 4.0
#: Thumbnails after which the process is replaced, so that no decoder's leak stays.
_LIFE = 500


class ThumbnailHelper:
    """Makes one thumbnail at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = 0

    def make(self, data: bytes, spec: ThumbnailSpec, exists: Callable[[str], bool], deadline: float) -> Outcome | None:
        """A thumbnail, or why there is none; None where others kept the process until `deadline` (of `time.monotonic`).

        :param exists: whether there is a thumbnail of this name already; called where v3.4.0 may have created it.
        """
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return None
        try:
            return self._make(data, spec, exists)
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            self._end()

    def _make(self, data: bytes, spec: ThumbnailSpec, exists: Callable[[str], bool]) -> Outcome:
        done = False
        try:
            process = _Frames(self._running(), time.monotonic() + TIMEOUT)
            process.write(msgspec.msgpack.encode(spec))
            process.write(data)
            answer = process.read()
            if answer.kind == CHECK:
                found = exists(answer.name)
                process.write(b"1" if found else b"")
                if not found:
                    answer = process.read()
            done = True
        except TimeoutError:
            log.warning("a thumbnail took over %.0f s and was given up", TIMEOUT)
            return Outcome(TOO_MUCH, detail=f"the picture takes over {TIMEOUT:.0f} s")
        except (OSError, EOFError, msgspec.DecodeError):
            log.warning("the thumbnail process ended while it made one")
            return Outcome(REFUSED, detail="the picture cannot be decoded")
        finally:
            self._answered += 1
            if not done or self._answered >= _LIFE:
                # Also after what `exists` raised: the process is in the middle of an exchange.
                self._end()
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            # It decodes what strangers sent: no secret of the environment goes along.
            env = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH", "LANG", "HOME")}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.downloads.decoder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=env,
                bufsize=0,
            )
            self._answered = 0
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None


class _Frames:
    """What goes to the process and comes from it, until a deadline. See `decoder.serve`."""

    def __init__(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        self._to, self._from = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._to, False)
        self._deadline = deadline

    def write(self, data: bytes) -> None:
        self._send(struct.pack(">I", len(data)))
        self._send(data)

    def read(self) -> Outcome:
        length = struct.unpack(">I", self._receive(4))[0]
        return msgspec.msgpack.decode(self._receive(length), type=Outcome)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._to, select.POLLOUT)
            view = view[os.write(self._to, view[: 1 << 20]) :]

    def _receive(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            self._wait(self._from, select.POLLIN)
            part = os.read(self._from, min(count - len(received), 1 << 20))
            if not part:
                raise EOFError
            received += part
        return bytes(received)

    def _wait(self, descriptor: int, event: int) -> None:
        waiting = select.poll()
        waiting.register(descriptor, event)
        if not waiting.poll(max(0.0, self._deadline - time.monotonic()) * 1000):
            raise TimeoutError
