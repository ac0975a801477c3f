"""What a worker hands to its instance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]

#: In a process of its own: gevent has a hub, and prints to stderr.
PROGRAM = """
import threading
from gevent.threadpool import ThreadPool
from app.server.wsgi import blocking_calls
run = blocking_calls(ThreadPool(2))
assert run(threading.get_ident) != threading.get_ident()
assert run(dict, [("a", 1)], b=2) == {"a": 1, "b": 2}
try:
    run(int, "x")
except ValueError:
    print("raised")
"""


def test_a_blocking_call_runs_in_a_thread_and_fails_where_it_was_made_without_a_word_on_stderr() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=REPO, check=False)
    assert (done.stdout, done.stderr) == ("raised\n", "")
