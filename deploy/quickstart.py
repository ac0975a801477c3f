"""Runs a whole deployment on this machine and shows that it works; `quickstart.sh` prepares what it needs and calls it."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import datetime
import hashlib
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from app.auth.tokens import make_token
from app.config.load import ConfigError, Deployment, load
from app.operations.client import Client, ClientError

REPO = Path(__file__).resolve().parent.parent
USER = "quickstart"
#: Three parts of at most 5 MiB.
FILE_SIZE = 12_000_000
START_LIMIT = 60.0
#: Seconds that a process has to end after SIGTERM.
STOP_LIMIT = 15.0
WEB = 5
DAY = 86400


class Failed(Exception):
    """Something did not hold; the text is for the user."""


class Stopped(BaseException):
    """A signal asks to end. No Exception: nothing on the way may take it for a fault of its own."""


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into `Stopped`, and holds them back while a process is started or ended."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._held = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: Any) -> None:
        first = self.received is None
        self.received = number
        if first and not self._held:
            raise Stopped

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        before, self._held = self.received, True
        try:
            yield
        finally:
            self._held = False
        if self.received != before:
            raise Stopped

    def hold_for_good(self) -> None:
        self._held = True


@dataclass
class Process:
    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    reported: bool = False

    def last_lines(self, count: int = 8) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()[-count:]
        return "\n".join(f"    {line[:300]}" for line in lines) or "    (its log is empty)"


class Processes:
    """The processes that were started here, and no others."""

    def __init__(self, signals: Signals, logs: Path) -> None:
        self._signals = signals
        self._logs = logs
        self._started: list[Process] = []
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def start(self, name: str, command: list[str], environ: dict[str, str] | None = None) -> None:
        log = self._logs / f"{name}.log"
        with self._signals.held(), log.open("wb") as out:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environ,
                # Ctrl-C in the terminal reaches this process alone, which then ends the others in order.
                start_new_session=True,
                preexec_fn=self._die_with_parent,
            )
            self._started.append(Process(name, popen, log))

    def _die_with_parent(self) -> None:
        # Where this process is killed outright, the kernel (Linux) ends the others.
        if self._libc is not None:
            pr_set_pdeathsig = 1
            self._libc.prctl(pr_set_pdeathsig, signal.SIGTERM)

    def named(self, name: str) -> Process:
        return next(p for p in self._started if p.name == name)

    def check(self) -> None:
        """
        :raises Failed: one has ended by itself; with the end of its log.
        """
        for process in self._started:
            code = process.popen.poll()
            if code is not None:
                raise Failed(f"{process.name} has ended with code {code}; the end of {process.log}:\n{process.last_lines()}")

    def newly_ended(self) -> list[Process]:
        ended = [p for p in self._started if p.popen.poll() is not None and not p.reported]
        for process in ended:
            process.reported = True
        return ended

    def stop(self) -> None:
        """End them, the last started first."""
        begun, count = time.monotonic(), len(self._started)
        while self._started:
            process = self._started.pop()
            popen = process.popen
            with contextlib.suppress(ProcessLookupError):
                popen.terminate()
            try:
                popen.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                print(f"{process.name} does not end by itself; killing it")
            if popen.returncode != 0:
                # It may have left children, all in its own group.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(popen.pid, signal.SIGKILL)
                popen.wait()
        if count:
            print(f"ended the {count} programs that were started, in {time.monotonic() - begun:.1f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description="Called by deploy/quickstart.sh.")
    parser.add_argument("--minio", required=True)
    parser.add_argument("--nginx", required=True)
    parser.add_argument("--home", required=True, type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--once", action="store_true")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signals = Signals()
    run = args.home / "quickstart"
    logs = run / "logs"
    processes = Processes(signals, logs)
    try:
        logs.mkdir(parents=True, exist_ok=True)
        config, source = _config(args.config, run)
        deployment = load(config)
        _check_local(deployment, source)
        _check_ports(deployment, source)
        begun = time.monotonic()
        _start(deployment, config, args.minio, args.nginx, run, processes)
        print(f"up after {time.monotonic() - begun:.1f} s\n")
        _demonstrate(deployment, run)
        if args.once:
            return 0
        _explain(deployment, config, logs)
        _stay(processes)
    except ConfigError as e:
        print(f"quickstart: the configuration has faults\n{e}", file=sys.stderr)
        return 1
    except (Failed, ClientError) as e:
        print(f"quickstart: {e}\nLogs are in {logs}", file=sys.stderr)
        return 1
    except Stopped:
        pass
    finally:
        signals.hold_for_good()
        processes.stop()
    # Ending was what it was waiting for; before that, it was cut short.
    return 0 if _staying else 128 + (signals.received or signal.SIGINT)


_staying = False


def _config(given: Path | None, run: Path) -> tuple[Path, Path]:
    """The file to run, and the file to change."""
    if given is not None:
        return given.resolve(), given
    # A copy, so that its relative records path lies here too.
    source = REPO / "instances.yaml"
    shutil.copyfile(source, run / "instances.yaml")
    return run / "instances.yaml", source


def _check_local(deployment: Deployment, source: Path) -> None:
    """Everything is started here, so everything must be meant to be here."""
    faults = []
    for key, url in [("public_url", deployment.public_url)] + [
        (f"nodes.{n.id}.endpoint", n.endpoint) for n in deployment.nodes.values()
    ]:
        if urlsplit(url).scheme != "http" or urlsplit(url).hostname not in ("127.0.0.1", "localhost"):
            faults.append(f"{key} is {url}: the quickstart runs all on this machine, write http://127.0.0.1:PORT")
    faults += [
        f"nodes.{n.id} has no access_key and secret_key: the MinIO that is started here gets them"
        for n in deployment.nodes.values()
        if n.access_key is None
    ]
    if deployment.balancer.certificate is not None:
        faults.append("balancer.certificate is set: the quickstart speaks plain HTTP")
    if faults:
        raise Failed("\n".join(f"{source}: {f}" for f in faults))


def _check_ports(deployment: Deployment, source: Path) -> None:
    """
    :raises Failed: names each port that is taken, or wanted twice, and the key to change.
    """
    listen = deployment.balancer.listen
    wanted = [(f"nodes.{n.id}.endpoint", "127.0.0.1", _port(n.endpoint)) for n in deployment.nodes.values()]
    wanted += [
        (f"instances.{i.id}.bind (and url)", i.bind.rpartition(":")[0], int(i.bind.rpartition(":")[2]))
        for i in deployment.instances.values()
    ]
    if listen is None:
        wanted.append(
            ("public_url (and each sign_endpoint that goes through it)", "127.0.0.1", _port(deployment.public_url))
        )
    else:
        wanted.append(("balancer.listen", listen.rpartition(":")[0].replace("*", ""), int(listen.rpartition(":")[2])))
    faults = []
    holders: dict[int, str] = {}
    for key, host, port in wanted:
        if port in holders:
            faults.append(f"port {port} is wanted by {holders[port]} and by {key}: change one of them in {source}")
        elif not _free(host, port):
            faults.append(f"port {port} is taken: end what uses it, or change {key} in {source}")
        holders.setdefault(port, key)
    if faults:
        raise Failed("\n".join(faults))


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: a port whose connections are only lingering is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except PermissionError:
            # Below 1024; the server itself says so better.
            return True
        except OSError:
            return False
    return True


def _start(deployment: Deployment, config: Path, minio: str, nginx: str, run: Path, processes: Processes) -> None:
    command = [str(Path(sys.executable).with_name("openim-direct"))]
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MINIO_")}
    for node in deployment.nodes.values():
        data = run / "nodes" / node.id
        data.mkdir(parents=True, exist_ok=True)
        address = f"127.0.0.1:{_port(node.endpoint)}"
        print(f"starting MinIO {node.id:8} http://{address}")
        processes.start(
            node.id,
            [minio, "server", "--address", address, str(data)],
            {
                **plain,
                # MinIO makes a folder for certificates there.
                "HOME": str(run),
                "MINIO_ROOT_USER": node.access_key or "",
                "MINIO_ROOT_PASSWORD": node.secret_key or "",
                "MINIO_SITE_REGION": node.region,
                # The console would take a port of its own.
                "MINIO_BROWSER": "off",
                "MINIO_UPDATE": "off",
            },
        )
    for instance in deployment.instances.values():
        print(f"starting instance {instance.id:5} http://{instance.bind}, with node {instance.node}")
        processes.start(instance.id, [*command, "serve", instance.id, "--config", str(config)])
    _start_nginx(deployment, config, nginx, command, run, processes)
    _wait(deployment, processes)


def _start_nginx(
    deployment: Deployment, config: Path, nginx: str, command: list[str], run: Path, processes: Processes
) -> None:
    place = run / "nginx"
    place.mkdir(exist_ok=True)
    rendered = subprocess.run(
        [*command, "nginx", "--config", str(config), "--full", "--run-dir", str(place)], capture_output=True, text=True
    )
    if rendered.returncode != 0:
        raise Failed(f"no configuration for nginx: {rendered.stderr.strip()}")
    file = place / "nginx.conf"
    file.write_text(rendered.stdout)
    print(f"starting nginx          {deployment.public_url}")
    processes.start("nginx", [nginx, "-p", str(place), "-c", str(file), "-g", "daemon off;"])


def _wait(deployment: Deployment, processes: Processes) -> None:
    """
    :raises Failed: something is not up in time; says what, with the end of the log that tells why.
    """
    limit = time.monotonic() + START_LIMIT
    token = make_token(deployment.auth.secrets[0], USER, WEB, DAY)
    for instance in deployment.instances.values():
        while (reason := _not_ready(f"http://{instance.bind}")) is not None:
            processes.check()
            if time.monotonic() > limit:
                logs = "\n".join(
                    f"the end of {p.log}:\n{p.last_lines()}"
                    for p in (processes.named(instance.id), processes.named(instance.node))
                )
                raise Failed(f"instance {instance.id} is not ready after {START_LIMIT:.0f} s: {reason}\n{logs}")
            time.sleep(0.1)
    while True:
        processes.check()
        try:
            Client(deployment.public_url, token).call("part_limit", {})
            return
        except ClientError as e:
            if time.monotonic() > limit:
                log = processes.named("nginx")
                raise Failed(f"nothing comes through nginx: {e}\nthe end of {log.log}:\n{log.last_lines()}") from None
        time.sleep(0.1)


def _not_ready(url: str) -> str | None:
    """Why an instance is not ready; None when it is."""
    try:
        response = requests.get(f"{url}/readyz", timeout=3)
    except requests.RequestException as e:
        return f"it does not answer ({type(e).__name__})"
    if response.status_code == 200:
        return None
    try:
        return str(response.json()["reason"])
    except (ValueError, KeyError, TypeError):
        return f"/readyz answers {response.status_code}"


_uploaded: list[str] = []


def _demonstrate(deployment: Deployment, run: Path) -> None:
    """Both files with the cookie kept and without, each read back.

    :raises Failed: a difference.
    :raises ClientError: a step that was refused.
    """
    print(f"uploads through {deployment.public_url}")
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    files = run / "files"
    files.mkdir(exist_ok=True)
    for label, keep in (("with the cookie", True), ("no cookies kept", False)):
        client = Client(deployment.public_url, make_token(deployment.auth.secrets[0], USER, WEB, DAY), keep_cookies=keep)
        seed = f"{now} {label}"
        # Other content each time: what a node has already is not sent again.
        for name, content_type, content in (
            ("request-path.png", "image/png", _with_comment((REPO / "deploy" / "sample.png").read_bytes(), seed)),
            ("several-parts.bin", "application/octet-stream", random.Random(seed).randbytes(FILE_SIZE)),
        ):
            file = files / name
            file.write_bytes(content)
            parts = -(-len(content) // client.call("part_size", {"size": len(content)})["size"])
            folder = "cookie" if keep else "plain"
            url, was_there = client.upload(file, f"{USER}/{folder}/{name}", content_type)
            back = client.download(url)
            if back != content:
                got, expected = (f"{len(b)} bytes with MD5 {_md5(b)}" for b in (back, content))
                raise Failed(f"{url} gives back {got}; sent were {expected}")
            via = " ".join(dict.fromkeys(client.cookies_seen)) or "?"
            how = f"{deployment.cookie.name}={via}" if keep else f"token's hash: {via}"
            sent = "was there already" if was_there else "sent"
            in_parts = f"in {parts} part{'s' if parts > 1 else ''}"
            print(f"  {name:17}  {_size(len(content)):>8} {in_parts:10}  {label}, {how}: {sent}, read back, equal")
            _uploaded.append(url)
    for file in files.iterdir():
        file.unlink()
    print("all of it held\n")


def _with_comment(png: bytes, text: str) -> bytes:
    """The same picture as other bytes: a text chunk before its last chunk, IEND."""
    chunk = b"tEXtComment\0" + text.encode("latin-1")
    return png[:-12] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[-12:]


def _explain(deployment: Deployment, config: Path, logs: Path) -> None:
    url = deployment.public_url
    token = make_token(deployment.auth.secrets[0], USER, WEB, DAY)
    home = Path(sys.executable).parent
    picture = quote(_uploaded[0], safe="/:?&=%")
    print(
        f"To try (the token is {USER}'s, for a day):\n"
        f"  TOKEN={token}\n"
        f"  curl -si -X POST {url}/object/part_limit -H \"token: $TOKEN\" -H 'operationID: try' -d '{{}}'\n"
        f"  curl -sL -o picture.png '{picture}'\n"
        f'  deploy/smoke.sh {url} "$TOKEN"\n'
        f"  {home / 'openim-direct'} upload FILE --config {config} --verify\n"
        f"Logs: {logs}/, and nginx's in {logs.parent / 'nginx'}/\n"
        f"Ctrl-C ends it."
    )


def _stay(processes: Processes) -> None:
    global _staying
    _staying = True
    while True:
        time.sleep(0.5)
        # Not the end: seeing what the others do without it is a reason to try this out.
        for process in processes.newly_ended():
            print(f"{process.name} has ended with code {process.popen.returncode}; the end of {process.log}:")
            print(process.last_lines(4))


def _port(url: str) -> int:
    return urlsplit(url).port or 80


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB"


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
