"""gunicorn's settings for an instance. `openim-direct serve` uses them; `deploy/gunicorn.conf.py` shows how to change them.

Number of workers and threads come from instances.yaml (`server`) or the command line.
"""

from pathlib import Path

# Threads wait for MinIO and the database most of the time; processes share the CPU.
worker_class = "app.worker.Worker"

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
# gunicorn's heartbeat file; on a slow disk it can block a worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
control_socket_disable = True
