"""Real MinIO nodes, instances under gunicorn and nginx, on free ports of the loopback interface.

Every process is started and ended here, by its own handle. A program that is missing fails the test that needs it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
import urllib3
import yaml
from minio import Minio

from app.auth.tokens import make_token

REPO = Path(__file__).resolve().parent.parent
SECRET = "openIM123"
ACCESS_KEY, SECRET_KEY = "root", "openIM123"
PART = 5 << 20
#: Each process of pytest-xdist has ports of its own, and all lie below those that the kernel gives to connections, so that
#: neither another process nor a client's connection takes one before the server that it is meant for.
_PORTS_EACH = 4000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = range(12_000 + _worker * _PORTS_EACH, 12_000 + (_worker + 1) * _PORTS_EACH)
#: Two runs on one machine begin at different places.
_next_ports = itertools.cycle([*_ports[os.getpid() % _PORTS_EACH :], *_ports[: os.getpid() % _PORTS_EACH]])


def free_port() -> int:
    """A port that nobody listens on, and that was not given out before in this run."""
    for port in itertools.islice(_next_ports, _PORTS_EACH):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port from {_ports.start} to {_ports.stop} is free")


def program(name: str) -> str:
    """The path of a program, by the same script that operators use."""
    found = subprocess.run([REPO / "deploy/tools.sh", name], stdout=subprocess.PIPE, text=True, check=False)
    assert found.returncode == 0, f"deploy/tools.sh {name} failed: this test needs the real program"
    return found.stdout.strip().splitlines()[-1]


def wait_for(what: str, condition: Callable[[], Any], timeout: float = 60, log: Path | None = None) -> Any:
    """Poll until `condition` gives something true; connection errors count as false.

    :param timeout: seconds; by default enough for a program to start on a machine that does much else.
    """
    deadline = time.monotonic() + timeout
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = condition()
        except requests.RequestException as e:
            last = e
        else:
            if last:
                return last
        time.sleep(0.05)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log is not None and log.exists() else ""
    raise AssertionError(f"{what}: not within {timeout} s; last: {last!r}\n{tail}")


class Process:
    """A child with its log; ended by SIGTERM, then SIGKILL."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None, folder: Path | None = None) -> None:
        self.command, self.log, self.env, self.folder = command, log, env, folder
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                self.command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(self.env or {})},
                cwd=self.folder,
                # A group of its own, so that a kill of the parent can take its workers with it.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def signal(self, number: int, group: bool = False) -> None:
        assert self.child is not None
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.child.pid, number)

    def stop(self, timeout: float = 15) -> int:
        assert self.child is not None
        if self.child.poll() is None:
            self.signal(signal.SIGCONT, group=True)
            self.signal(signal.SIGTERM)
            try:
                self.child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.child.wait()

    def kill(self) -> None:
        """SIGKILL to the process and all it started."""
        assert self.child is not None
        self.signal(signal.SIGKILL, group=True)
        self.child.wait()


@dataclass
class MinIONode:
    """
    :ivar certs: folder of its certificate, key and CA's file (`public.crt`, `private.key`, `ca.pem`); it then speaks TLS.
    :ivar env: more of MinIO's settings.
    """

    id: str
    folder: Path
    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    certs: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = Process(
            [
                program("minio"),
                "server",
                "--address",
                f"{self.host}:{self.port}",
                "--console-address",
                f"{self.host}:{free_port()}",
                *([] if self.certs is None else ["--certs-dir", str(self.certs)]),
                str(self.folder / "data"),
            ],
            self.folder / "minio.log",
            {
                "MINIO_ROOT_USER": ACCESS_KEY,
                "MINIO_ROOT_PASSWORD": SECRET_KEY,
                "MINIO_BROWSER": "off",
                "MINIO_PROMETHEUS_AUTH_TYPE": "public",
                **self.env,
            },
        )

    @property
    def url(self) -> str:
        # Certificates are verified by name.
        return f"http://{self.host}:{self.port}" if self.certs is None else f"https://localhost:{self.port}"

    @property
    def ca_file(self) -> str | None:
        return None if self.certs is None else str(self.certs / "ca.pem")

    def start(self) -> None:
        self.process.start()

    def wait(self) -> None:
        wait_for(
            f"MinIO {self.id}",
            lambda: requests.get(f"{self.url}/minio/health/live", timeout=1, verify=self.ca_file).ok,
            log=self.process.log,
        )

    def stop(self) -> None:
        if self.process.child is not None:
            self.process.stop()

    def client(self) -> Minio:
        return Minio(
            endpoint=self.url.partition("://")[2],
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            secure=self.certs is not None,
            region="us-east-1",
            http_client=urllib3.PoolManager(ca_certs=self.ca_file),
        )

    def keys(self, prefix: str = "", bucket: str = "openim") -> list[str]:
        """Keys of all objects, without those of the start-up probe."""
        listed = self.client().list_objects(bucket_name=bucket, prefix=prefix, recursive=True)
        return sorted(str(o.object_name) for o in listed if not str(o.object_name).startswith("openim/probe/"))


class MinIOCluster(MinIONode):
    """Four processes of one erasure-coded cluster."""

    def __init__(self, id: str, folder: Path) -> None:
        self.id, self.folder = id, folder
        self.ports = [free_port() for _ in range(4)]
        self.port = self.ports[0]
        self.processes = []
        drives = [f"http://127.0.0.1:{port}{folder}/d{n}" for n, port in enumerate(self.ports)]
        for n, port in enumerate(self.ports):
            (folder / f"d{n}").mkdir(parents=True)
            command = [program("minio"), "server", "--address", f"127.0.0.1:{port}"]
            command += ["--console-address", f"127.0.0.1:{free_port()}", *drives]
            env = {
                "MINIO_ROOT_USER": ACCESS_KEY,
                "MINIO_ROOT_PASSWORD": SECRET_KEY,
                "MINIO_BROWSER": "off",
                "MINIO_PROMETHEUS_AUTH_TYPE": "public",
                # Otherwise MinIO refuses loopback addresses where it believes to be in a container.
                "_MINIO_SERVER_LOCAL": f"127.0.0.1:{port}",
                "MINIO_CI_CD": "1",
            }
            self.processes.append(Process(command, folder / f"minio{n}.log", env))
        self.process = self.processes[0]

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def start(self) -> None:
        for process in self.processes:
            process.start()

    def wait(self) -> None:
        for url, process in zip(self.urls, self.processes, strict=True):
            wait_for(
                f"MinIO at {url}",
                lambda url=url: requests.get(f"{url}/minio/health/cluster", timeout=2).ok,  # type: ignore[misc]
                log=process.log,
            )

    def stop(self) -> None:
        for process in self.processes:
            if process.child is not None:
                process.stop()


class Stack:
    """A deployment.

    :param instances: instance ID to node ID.
    :param change: edits the document of instances.yaml before it is written.
    :param balancer: edits the text of the balancer's configuration before it is written; None leaves it out.
    :param kind: nginx (pinning by maps), nginx-native (by `sticky route`) or haproxy.
    """

    def __init__(
        self,
        folder: Path,
        nodes: Mapping[str, MinIONode],
        instances: dict[str, str],
        change: Callable[[dict[str, Any]], None] = lambda _: None,
        balancer: Callable[[str], str] | None = lambda text: text,
        kind: str = "nginx",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.nodes, self.kind = folder, nodes, kind
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ports = {i: free_port() for i in instances}
        self.config = folder / "instances.yaml"
        self.document: dict[str, Any] = {
            "public_url": self.url,
            "auth": {"secret": SECRET, "admins": ["openIMAdmin"]},
            "records": "sqlite:///data/records.db",
            "nodes": {
                n.id: {
                    **({"endpoints": n.urls} if isinstance(n, MinIOCluster) else {"endpoint": n.url}),
                    "sign_endpoint": f"{self.url}/s3/{n.id}" if balancer is not None else n.url,
                    "bucket": "openim",
                    "access_key": ACCESS_KEY,
                    "secret_key": SECRET_KEY,
                }
                for n in nodes.values()
            },
            "instances": {i: {"node": node, "bind": f"127.0.0.1:{self.ports[i]}"} for i, node in instances.items()},
        }
        change(self.document)
        self.config.write_text(yaml.safe_dump(self.document))
        self.instances = {i: self._instance(i) for i in instances}
        self.balancer: Process | None = None
        if balancer is not None:
            self.balancer = self.haproxy(balancer) if kind == "haproxy" else self._nginx(balancer, kind)

    def _instance(self, instance: str) -> Process:
        command = [sys.executable, "-m", "app", "serve", instance, "--config", str(self.config)]
        # A warning of ours is a defect; those of libraries at start-up are theirs.
        return Process(command, self.folder / f"{instance}.log", {"PYTHONPATH": str(REPO)})

    def _nginx(self, edit: Callable[[str], str], flavour: str) -> Process:
        run_dir = self.folder / "nginx"
        run_dir.mkdir(exist_ok=True)
        sticky = "native" if flavour == "nginx-native" else "map"
        rendered = self.cli("nginx", "--full", "--run-dir", str(run_dir), "--sticky", sticky)
        file = run_dir / "nginx.conf"
        file.write_text(edit(rendered))
        binary = program(flavour)
        tested = subprocess.run(
            [binary, "-t", "-c", str(file), "-p", str(run_dir)], capture_output=True, text=True, check=False
        )
        assert tested.returncode == 0, tested.stderr
        return Process([binary, "-c", str(file), "-p", str(run_dir), "-g", "daemon off;"], run_dir / "stderr.log")

    def haproxy(self, edit: Callable[[str], str]) -> Process:
        """HAProxy with the rendered configuration; not started yet."""
        file = self.folder / "haproxy.cfg"
        file.write_text(edit(self.cli("haproxy")))
        binary = program("haproxy")
        tested = subprocess.run([binary, "-c", "-f", str(file)], capture_output=True, text=True, check=False)
        assert tested.returncode == 0, tested.stderr
        assert "WARNING" not in tested.stderr, tested.stderr
        return Process([binary, "-db", "-f", str(file)], self.folder / "haproxy.log")

    def cli(self, *arguments: str) -> str:
        """Output of an `openim-direct` command, which must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "app", *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            check=False,
            cwd=REPO,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def instance_url(self, instance: str) -> str:
        return str(self.document["instances"][instance].get("url") or f"http://127.0.0.1:{self.ports[instance]}")

    def start(self) -> None:
        for process in self.instances.values():
            process.start()
        if self.balancer is not None:
            self.balancer.start()
        for instance in self.instances:
            self.wait_ready(instance)
        if self.balancer is not None:
            wait_for("the balancer", lambda: requests.get(self.url, timeout=1).status_code, log=self.balancer.log)

    def wait_ready(self, instance: str) -> None:
        """Until enough probes in a row say so: each worker has a probe of its own, and any of them may answer."""
        url = f"{self.instance_url(instance)}/readyz"
        row = 0

        def ready() -> bool:
            nonlocal row
            row = row + 1 if requests.get(url, timeout=2, verify=self.document.get("ca_file")).status_code == 200 else 0
            return row >= 8

        wait_for(f"instance {instance}", ready, log=self.instances[instance].log)

    def stop(self) -> None:
        if self.balancer is not None and self.balancer.child is not None:
            self.balancer.stop()
        for process in self.instances.values():
            if process.child is not None:
                process.stop()

    def process_titles(self) -> list[str]:
        """What `ps` shows of the instances and of all that they started."""
        running = [psutil.Process(p.pid) for p in self.instances.values()]
        running += [child for process in running for child in process.children(recursive=True)]
        return [" ".join(process.cmdline()) for process in running]

    def token(self, user: str = "u1", platform: int = 1, lifetime: int = 3600) -> str:
        return make_token(SECRET, user, platform, lifetime)

    def api(self, url: str | None = None, user: str = "u1", **session: Any) -> API:
        return API(url or self.url, self.token(user), user, **session)


@contextlib.contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@contextlib.contextmanager
def started(nodes: Mapping[str, MinIONode]) -> Iterator[Mapping[str, MinIONode]]:
    """Nodes that answer, until the end."""
    try:
        for node in nodes.values():
            node.start()
        for node in nodes.values():
            node.wait()
        yield nodes
    finally:
        for node in nodes.values():
            node.stop()


class API:
    """The object API as a client without cookies calls it, answer by answer."""

    def __init__(self, url: str, token: str, user: str, keep_cookies: bool = False) -> None:
        self.url, self.token, self.user, self.keep_cookies = url, token, user, keep_cookies
        self.session = requests.Session()
        self.session.trust_env = False

    def post(self, route: str, body: Any = None, headers: dict[str, str] | None = None, data: bytes | None = None) -> Any:
        if not self.keep_cookies:
            self.session.cookies.clear()
        sent: dict[str, Any] = {"data": data} if data is not None else {"json": body if body is not None else {}}
        return self.session.post(
            f"{self.url}/object/{route}",
            headers={"token": self.token, "operationID": "test", **(headers or {})},
            timeout=90,
            **sent,
        )

    def ok(self, route: str, body: Any) -> Any:
        """The `data` of an answer that must be a success."""
        response = self.post(route, body)
        envelope = response.json()
        assert (response.status_code, envelope["errCode"]) == (200, 0), envelope
        return envelope.get("data")

    def initiate(self, content: bytes, name: str, **more: Any) -> Any:
        return self.ok("initiate_multipart_upload", initiate_body(content, name, **more))

    def put(self, content: bytes, begun: Any, part_size: int = PART) -> list[requests.Response]:
        return [
            put_part(part, content[(part["partNumber"] - 1) * part_size :][:part_size])
            for part in begun["upload"]["sign"]["parts"]
        ]

    def complete_body(self, content: bytes, upload_id: str, name: str, content_type: str = "") -> dict[str, Any]:
        return {
            "uploadID": upload_id,
            "parts": part_hashes(content),
            "name": name,
            "contentType": content_type,
            "cause": "",
        }

    def upload(self, content: bytes, name: str, content_type: str = "application/octet-stream") -> str:
        """A whole upload; its URL."""
        name = name if "/" in name else f"{self.user}/{name}"
        begun = self.initiate(content, name, contentType=content_type)
        if begun["upload"] is None:
            return str(begun["url"])
        for response in self.put(content, begun):
            assert response.status_code == 200, response.text
        done = self.ok(
            "complete_multipart_upload", self.complete_body(content, begun["upload"]["uploadID"], name, content_type)
        )
        return str(done["url"])

    def shows(self, url: str, content: bytes) -> bool:
        """Whether a view gives this content, within the seconds that a balancer may keep the redirect of older content."""
        return bool(wait_for(f"{url} to show it", lambda: self.get(url).content == content, timeout=7))

    def get(self, url: str, **more: Any) -> requests.Response:
        return self.session.get(url, timeout=90, **more)


def put_part(part: dict[str, Any], content: bytes) -> requests.Response:
    headers = {h["key"]: h["values"][0] for h in part["header"] or []}
    return requests.put(part["url"], data=content, headers=headers, timeout=60)


def same(got: bytes, wanted: bytes) -> bool:
    """Whether two contents are equal. Not by `==` in an assert: on a failure pytest's diff of megabytes takes hours."""
    if got != wanted:
        told = [f"{len(c)} bytes, MD5 {hashlib.md5(c).hexdigest()}, {c[:60]!r}" for c in (got, wanted)]
        raise AssertionError(f"other content: {told[0]} where there should be {told[1]}")
    return True


def part_hashes(content: bytes, part_size: int = PART) -> list[str]:
    return [hashlib.md5(content[o : o + part_size]).hexdigest() for o in range(0, len(content), part_size)]


def content_hash(content: bytes, part_size: int = PART) -> str:
    return hashlib.md5(",".join(part_hashes(content, part_size)).encode()).hexdigest()


def initiate_body(content: bytes, name: str, **more: Any) -> dict[str, Any]:
    return {
        "hash": content_hash(content),
        "size": len(content),
        "partSize": PART,
        "maxParts": -1,
        "cause": "",
        "name": name,
        "contentType": "application/octet-stream",
        **more,
    }


def assert_envelope(response: requests.Response, code: int, status: int = 200) -> str:
    """An error in v3.4.0's envelope, with its CORS headers and a cause; the cause."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    body = response.json()
    assert body["errCode"] == code, body
    assert set(body) == {"errCode", "errMsg", "errDlt"}
    assert body["errDlt"].strip(": ")
    assert "Traceback" not in body["errDlt"]
    return str(body["errDlt"])
