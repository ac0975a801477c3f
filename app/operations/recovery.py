"""What lets a command go on where something fails in passing, and say at the end what is left to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from app.core.errors import UnavailableError

T = TypeVar("T")

#: Times that a call is made in all, and seconds before the second one; each later pause is twice as long. In all 15 s: a
#: node or a database that restarts is back by then.
_TRIES = 6
_PAUSE = 0.5
#: What is left that is named; all of it is counted.
_EXAMPLES = 20


class Patience:
    """Repeats calls that a cut connection, or whatever passes by itself, has ended. Each must be one that may be made twice.

    What has failed for all its tries gets one try a call from then on, until one succeeds: a node that is gone for good
    costs a run its 15 s once.

    :param pause: seconds before the second try.
    :param tries: of a call, in all.
    """

    def __init__(self, pause: float = _PAUSE, tries: int = _TRIES) -> None:
        self._pause, self._tries = pause, tries
        #: Calls that were made again.
        self.repeated = 0
        self._gone: set[str] = set()
        self._lock = threading.Lock()

    def call(self, whom: str, do: Callable[[], T]) -> T:
        """What `do` returns, at one of several tries.

        :param whom: who is asked: a node's ID, or a word of the caller's.
        :raises UnavailableError: the last try's.
        """
        pause, left = self._pause, 1 if whom in self._gone else self._tries
        while True:
            try:
                found = do()
            except UnavailableError:
                left -= 1
                with self._lock:
                    if left == 0:
                        self._gone.add(whom)
                        raise
                    self.repeated += 1
                time.sleep(pause)
                pause *= 2
            else:
                with self._lock:
                    self._gone.discard(whom)
                return found

    def records(self, do: Callable[[], T]) -> T:
        """What a call to the records' database returns; as `call`."""
        return self.call("records", do)


class Left(msgspec.Struct):
    """What was not done: how many, and the first few with the reason."""

    count: int = 0
    examples: list[tuple[str, str]] = msgspec.field(default_factory=list)

    def add(self, name: str, reason: str) -> None:
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append((name, reason))

    def join(self, other: Left) -> None:
        self.count += other.count
        self.examples += other.examples[: _EXAMPLES - len(self.examples)]


class Recent:
    """Remembers the newest things that were added, and forgets the oldest, so that it does not grow with a deployment.

    :param most: things.
    """

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._known: dict[tuple[str, str], None] = {}

    def add(self, thing: tuple[str, str]) -> bool:
        """Whether it was not known."""
        if thing in self._known:
            return False
        if len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[thing] = None
        return True

    def __contains__(self, thing: tuple[str, str]) -> bool:
        return thing in self._known
