"""Builds and runs what v3.4.0 reads requests with: the Go program in `gin/`."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.stack import REPO, Process, program, wait_for


@contextlib.contextmanager
def running_gin(folder: Path, token: str) -> Iterator[int]:
    """The program's port.

    :param token: the one that it takes.
    """
    binary, log = folder / "gin", folder / "gin.log"
    subprocess.run(
        [program("go"), "build", "-buildvcs=false", "-o", binary, "."], cwd=REPO / "tests/conformance/gin", check=True
    )
    process = Process([str(binary)], log, {"TOK": token})
    try:
        process.start()
        address = wait_for("gin's address", lambda: log.read_text().strip())
        yield int(address.rpartition(":")[2])
    finally:
        if process.child is not None:
            process.stop()
