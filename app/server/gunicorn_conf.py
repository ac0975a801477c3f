"""gunicorn's settings for an instance. `openim-direct serve` uses them; `deploy/gunicorn.conf.py` shows how to change them.

Number of workers and threads come from instances.yaml (`server`) or the command line.
"""

import gc
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

# Threads wait for MinIO and the database most of the time; processes share the CPU.
worker_class = "app.server.worker.Worker"

# Longer than nginx keeps an idle connection (60 s): one that the instance closed first is a 502 for the POST that uses it.
keepalive = 75

# SIGTERM: accept no more, finish what runs (a completion of 10,000 parts takes seconds), then end.
graceful_timeout = 30
timeout = 60

# Each worker opens its own connections after the fork.
preload_app = False

# A name of 1,024 bytes is 3 KB when it is percent-encoded.
limit_request_line = 8190
limit_request_field_size = 8190
backlog = 1024
# gunicorn's heartbeat file, and the files in which the workers count; a slow disk would block them.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
control_socket_disable = True

# prometheus_client's name: where the workers count together (see `app.observability.metrics`).
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def on_starting(server: Any) -> None:
    """A folder of this instance's own, whatever the environment says: two that share one would count each other's."""
    os.environ[_FOLDER] = server.openim_direct_metrics = tempfile.mkdtemp(
        prefix="openim-direct-metrics-", dir=worker_tmp_dir
    )


def pre_fork(server: Any, worker: Any) -> None:
    """Let workers share what is loaded so far: a full garbage collection in one would otherwise write to all of it, and so
    copy it, 14 MiB for each process, minutes or hours after the start."""
    gc.freeze()


def child_exit(server: Any, worker: Any) -> None:
    """What a worker was doing ends with it; what it counted stays."""
    folder = getattr(server, "openim_direct_metrics", None)
    if folder is not None:
        for file in Path(folder).glob(f"gauge_live*_{worker.pid}.db"):
            file.unlink(missing_ok=True)


def on_exit(server: Any) -> None:
    folder = getattr(server, "openim_direct_metrics", None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
