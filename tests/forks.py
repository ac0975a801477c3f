"""Runs commands of `openim-direct` in forks of one process, which has everything imported, and kills them at a moment.

A moment is the n-th request to a node or statement to the records database, and some milliseconds after it: so kills spread
over the whole of a run, however fast the machine is. Pages are small here, and waiting is short.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

REPO = Path(__file__).resolve().parent.parent


class Ended(NamedTuple):
    #: Exit code; -9 where it was killed.
    code: int
    #: Requests and statements that it made.
    events: int
    output: str


class Runner:
    """A process that forks a command each time it is told to."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPO,
            env={**os.environ, "PYTHONPATH": str(REPO)},
        )

    def run(self, *arguments: str, kill: int | None = None, later: float = 0) -> Ended:
        """
        :param kill: the event at which it is killed.
        :param later: seconds after it.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([arguments, kill, later]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the process that forks has ended"
        return Ended(*json.loads(answer))

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


#: In a child: where each event is told.
_events: list[int] = []


def _child(arguments: list[str], events: int, output: int) -> None:
    from app.cli.main import main

    _events.append(events)

    for stream in (1, 2):
        os.dup2(output, stream)

    def seen(name: str, _: Any) -> None:
        if name == "http.client.send":
            os.write(events, b"r")

    sys.addaudithook(seen)
    code = 1
    try:
        main(arguments, prog_name="openim-direct")
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    finally:
        with contextlib.suppress(ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _run(arguments: list[str], kill: int | None, later: float) -> Ended:
    events, for_events = os.pipe()
    output, for_output = os.pipe()
    child = os.fork()
    if child == 0:
        _child(arguments, for_events, for_output)
    os.close(for_events)
    os.close(for_output)
    count, text, reading = 0, b"", {events, output}
    while reading:
        for ready in select.select(reading, [], [])[0]:
            block = os.read(ready, 1 if ready == events else 65536)
            if not block:
                reading.discard(ready)
            elif ready == output:
                text += block
            else:
                count += 1
                if count == kill:
                    time.sleep(later)
                    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(events)
    os.close(output)
    return Ended(os.waitstatus_to_exitcode(status), count, text.decode())


def _serve() -> None:
    import pymysql  # noqa: F401
    import sqlalchemy as sa

    import app.cli.main  # noqa: F401
    import app.cli.migrate as migrate
    import app.cli.retention as retention_cli
    from app.operations import expire, recovery, retention, thumbnails
    from app.operations import migrate as migrate_rules
    from app.storage import availability

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def statement(*_: Any) -> None:
        os.write(_events[0], b"s")

    # Small pages and short pauses: what is tried is the order of things.
    short = partial(recovery.Patience, 0.02)
    availability.RETRY_AFTER = 0.02
    migrate.Patience = retention_cli.Patience = short  # type: ignore[misc,assignment]
    migrate_rules.PAGE = retention.PAGE = thumbnails.PAGE = 3
    retention._WEEK = retention._TRIED = -1
    retention_cli.Expiry = partial(expire.Expiry, page=3, grace=0)  # type: ignore[misc,assignment]

    def collection(records: Any, node: Any, older: float, *rest: Any) -> retention.Collection:
        return retention.Collection(records, node, -1, *rest, page=3)

    retention_cli.Collection = collection  # type: ignore[misc,assignment]
    for line in sys.stdin:
        print(json.dumps(_run(*json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
