"""Runs the process that makes thumbnails: one for each worker, started when it is first needed, replaced when it hangs or is
old."""

from __future__ import annotations

import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import msgspec

from app.downloads.thumbnail_format import CHECK, FAILED, TOO_MUCH, Outcome, ThumbnailSpec

log = logging.getLogger(__name__)

#: Seconds for one thumbnail. With `pictures.PATIENCE` less than `forwarding.TOTAL_TIMEOUT`.
TIMEOUT = 4.0
#: Thumbnails after which the process is replaced, so that no decoder's leak stays.
_LIFE = 500


class ThumbnailHelper:
    """Makes one thumbnail at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoder: _Decoder | None = None

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
            decoder = self._running()
            decoder.deadline = time.monotonic() + TIMEOUT
            decoder.begun += 1
            decoder.write(msgspec.msgpack.encode(spec))
            decoder.write(data)
            answer = decoder.read()
            if answer.kind == CHECK:
                found = exists(answer.name)
                decoder.write(b"1" if found else b"")
                if not found:
                    answer = decoder.read()
            done = decoder.begun < _LIFE
        except TimeoutError:
            log.warning("a thumbnail took over %.0f s and was given up", TIMEOUT)
            return Outcome(TOO_MUCH, detail=f"the picture takes over {TIMEOUT:.0f} s")
        except (OSError, EOFError, msgspec.DecodeError):
            log.warning("the thumbnail process ended while it made one")
            return Outcome(FAILED, detail="the process that decodes has ended")
        finally:
            if not done:
                # Also after what `exists` raised: the process is in the middle of an exchange.
                self._end()
        return answer

    def _running(self) -> _Decoder:
        if self._decoder is None or self._decoder.process.poll() is not None:
            self._end()
            self._decoder = _Decoder()
        return self._decoder

    def _end(self) -> None:
        if self._decoder is not None:
            self._decoder.end()
            self._decoder = None


class _Decoder:
    """The process, and what goes to it and comes from it until a deadline. See `decoder.__main__.serve`."""

    def __init__(self) -> None:
        # It decodes what strangers sent: no secret of the environment goes along.
        env = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH", "LANG", "HOME")}
        # Not pipes: gevent makes sockets cooperate.
        self._socket, theirs = socket.socketpair()
        with theirs:
            # It never is under gevent, and the process would inherit that.
            os.set_blocking(theirs.fileno(), True)
            try:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "app.downloads.decoder"],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    env=env,
                )
            except OSError:
                # No memory, or no room for one more process.
                self._socket.close()
                raise
        #: Of `time.monotonic`: from then on, `write` and `read` raise TimeoutError.
        self.deadline = 0.0
        #: Thumbnails so far.
        self.begun = 0

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._socket.close()

    def write(self, data: bytes) -> None:
        for piece in (struct.pack(">I", len(data)), data):
            self._limit()
            self._socket.sendall(piece)

    def read(self) -> Outcome:
        length = struct.unpack(">I", self._receive(4))[0]
        return msgspec.msgpack.decode(self._receive(length), type=Outcome)

    def _receive(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            self._limit()
            part = self._socket.recv(min(count - len(received), 1 << 20))
            if not part:
                raise EOFError
            received += part
        return bytes(received)

    def _limit(self) -> None:
        self._socket.settimeout(max(0.001, self.deadline - time.monotonic()))
