"""gunicorn's settings for an instance. `openim-direct serve` uses them; `deploy/gunicorn.conf.py` shows how to change them.

The environment names the instance and its file: see `app.server.wsgi`.
"""

# First of all, before anything else is imported: sockets and locks then let other greenlets go on while they wait.
from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import importlib  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import shutil  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

from app.config.load import ConfigError  # noqa: E402
from app.server import tls  # noqa: E402
from app.server.requests_in_flight import end_when_idle  # noqa: E402
from app.server.wsgi import deployment_of_environment  # noqa: E402

try:
    _deployment, _instance = deployment_of_environment()
except ConfigError as _error:
    raise SystemExit(f"openim-direct: {_error}") from None

bind = _deployment.instances[_instance].bind
proc_name = f"openim-direct {_instance}"

# TLS at the instance itself, where the file names a certificate for it.
certfile = _deployment.instances[_instance].certificate
keyfile = _deployment.instances[_instance].certificate_key
ssl_context = tls.context

# A greenlet for each connection: a client that is slow or stops in the middle of a request keeps nobody waiting.
# Measured against gthread: docs/benchmarks/report.md, "Workers".
worker_class = "gevent"
worker_connections = _deployment.server.connections
# Processes share the CPU; greenlets wait for MinIO and the database.
workers = _deployment.server.workers

# Longer than nginx keeps an idle connection (60 s): one that the instance closed first is a 502 for the POST that uses it.
keepalive = 75

# SIGTERM: accept no more, finish what runs (a completion of 10,000 parts takes seconds), then end.
graceful_timeout = 30
timeout = 60

# Each worker opens its own connections after the fork.
preload_app = False

# A name of 1,024 bytes is 3 KB when it is percent-encoded. gunicorn takes no more than this, or any length.
limit_request_line = 8190
# Bytes. Cookies of a whole company's domain come along: what the rendered nginx takes (large_client_header_buffers), 32 KiB.
limit_request_field_size = 32768
# What the rendered HAProxy takes (tune.http.maxhdr), and what balancers add.
limit_request_fields = 140

# What proxies say of scheme and path decides nothing here. By default two such headers that contradict each other are a 400
# for clients of a balancer on this machine, and a header SCRIPT_NAME is a 500.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

backlog = 1024
# gunicorn's heartbeat file, and the files in which the workers count; a slow disk would block them.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
control_socket_disable = True

# prometheus_client's name: where the workers count together (see `app.observability.metrics`).
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def on_starting(server: Any) -> None:
    """Make a folder of this instance's own, whatever the environment says: two that share one would count each other's."""
    own = _deployment.instances[_instance]
    if (server.cfg.certfile, server.cfg.keyfile) != (own.certificate, own.certificate_key):
        raise SystemExit(
            "openim-direct: certfile and keyfile are set in gunicorn's settings: name them in instances.yaml instead "
            "(certificate and certificate_key of the instance), so that balancers and other instances know of TLS"
        )
    os.environ[_FOLDER] = tempfile.mkdtemp(prefix="openim-direct-metrics-", dir=worker_tmp_dir)
    # It reads that variable when it is imported; here, so that the workers share what is loaded.
    importlib.import_module("prometheus_client")


def pre_fork(server: Any, worker: Any) -> None:
    """Let workers share what is loaded so far: a full garbage collection in one would otherwise write to all of it, and so
    copy it, 14 MiB for each process, minutes or hours after the start."""
    gc.collect()
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    gevent.spawn(end_when_idle, worker)


def child_exit(server: Any, worker: Any) -> None:
    """Forget what a worker was doing when it ended; what it counted stays."""
    for file in Path(os.environ[_FOLDER]).glob(f"gauge_live*_{worker.pid}.db"):
        file.unlink(missing_ok=True)


def on_exit(server: Any) -> None:
    if _FOLDER in os.environ:
        shutil.rmtree(os.environ[_FOLDER], ignore_errors=True)


# The last word have settings of the operator's own (`openim-direct serve --settings`).
if "OPENIM_DIRECT_SETTINGS" in os.environ:
    globals().update(runpy.run_path(os.environ["OPENIM_DIRECT_SETTINGS"]))
