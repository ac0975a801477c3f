"""Runs a whole deployment on this machine and shows that it works; `quickstart.sh` prepares what it needs and calls it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen, TimeoutExpired, call
from typing import Any
from urllib.parse import urlsplit

import click
import requests
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.auth.tokens import make_token
from app.cli.options import UserError, load_config
from app.config.models import Deployment
from app.core.unreachable import reason
from app.operations.client import Client, ClientError

REPO = Path(__file__).resolve().parent.parent
OPENIM_DIRECT = Path(sys.executable).with_name("openim-direct")
USER, WEB, DAY = "quickstart", 5, 86400
#: Seconds until all answer, and that a program has to end after SIGTERM.
START_LIMIT, STOP_LIMIT = 60, 15
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Programs(contextlib.ExitStack):
    """The programs that were started here, and no others; the end of the `with` block ends them, the last started first."""

    def __init__(self, logs: Path) -> None:
        super().__init__()
        self._logs = logs
        self._running: dict[str, Popen[bytes]] = {}

    def start(self, name: str, what: str, command: list[Any], env: dict[str, str] | None = None) -> None:
        click.echo(f"starting {name:6} {what}")
        # In a session of its own: Ctrl-C in the terminal reaches this process alone, which ends the others in order.
        # Where this process is killed outright, the kernel (Linux) ends them: option 1 of prctl, PR_SET_PDEATHSIG.
        own: Any = {"start_new_session": True, "preexec_fn": LIBC and (lambda: LIBC.prctl(1, signal.SIGTERM))}
        with (self._logs / f"{name}.log").open("wb") as log:
            self._running[name] = Popen(command, stdin=DEVNULL, stdout=log, stderr=STDOUT, env=env, **own)
        self.callback(self._end, name)

    def newly_ended(self) -> list[str]:
        """Describe those that ended by themselves since the last call, with the last lines of their logs."""
        texts = []
        for name in [n for n, program in self._running.items() if program.poll() is not None]:
            code, log = _kill(self._running.pop(name)), self._logs / f"{name}.log"
            lines = [line[:300] for line in log.read_text(errors="replace").strip().splitlines()[-8:]]
            texts.append("\n    ".join([f"{name} has ended with code {code}; the end of {log}:", *lines]))
        return texts

    def _end(self, name: str) -> None:
        for number in SIGNALS:
            # A second Ctrl-C must not cut this short.
            signal.signal(number, signal.SIG_IGN)
        if program := self._running.get(name):
            program.terminate()
            with contextlib.suppress(TimeoutExpired):
                program.wait(STOP_LIMIT)
            click.echo(f"ended {name}" if program.returncode is not None else f"{name} does not end by itself: killed")
            _kill(program)


def _kill(program: Popen[bytes]) -> int:
    """Kill it, and the children that it has or left behind: all are in its own group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    return program.wait()


@click.command()
@click.option("--once", is_flag=True)
@click.option("--config", type=click.Path(path_type=Path, resolve_path=True), default=REPO / "instances.yaml")
def main(once: bool, config: Path) -> None:
    for number in SIGNALS:
        signal.signal(number, lambda n, _: sys.exit(128 + n))
    run, source = Path(os.environ["OPENIM_DIRECT_HOME"]) / "quickstart", config
    try:
        (run / "logs").mkdir(parents=True, exist_ok=True)
        if source == REPO / "instances.yaml":
            # A copy, so that its relative records path lies in the same folder.
            config = Path(shutil.copy(source, run))
        deployment = load_config(str(config))
        check(deployment, source)
        token = make_token(deployment.auth.secrets[0], USER, WEB, DAY)
        with Programs(run / "logs") as programs:
            start(deployment, config, run, programs)
            picture = demonstrate(deployment, token, run)
            if not once:
                stay(deployment.public_url, token, picture, config, run, programs)
    except (UserError, ClientError, OSError) as e:
        raise click.ClickException(f"{e}\nLogs are in {run / 'logs'}") from None


def check(deployment: Deployment, source: Path) -> None:
    """Raises `UserError` with every key that this machine alone cannot serve, and every port that is taken."""
    faults = []
    addresses = {f"instances.{i.id}.bind (and url)": i.bind for i in deployment.instances.values()}
    urls = {f"nodes.{n.id}.endpoint": n.endpoint for n in deployment.nodes.values()}
    for key, url in {**urls, "public_url": deployment.public_url}.items():
        if urlsplit(url).scheme != "http" or urlsplit(url).hostname not in ("127.0.0.1", "localhost"):
            faults.append(f"{key} is {url}: the quickstart runs all on this machine, write http://127.0.0.1:PORT")
        addresses[key] = f"127.0.0.1:{urlsplit(url).port or 80}"
    public = addresses.pop("public_url")
    addresses["balancer.listen, else public_url"] = deployment.balancer.listen or public
    with contextlib.ExitStack() as held:
        # Each is held until all are, so that a port that is wanted twice is found too.
        for key, address in addresses.items():
            host, _, port = address.rpartition(":")
            family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
            try:
                held.enter_context(socket.create_server((host.strip("[]*"), int(port)), family=family))
            except OSError as e:
                faults.append(f"{key}: port {port}: {os.strerror(e.errno or 0)}. Free it, or change the key")
    faults += [f"nodes.{n.id} has no keys: its MinIO gets them" for n in deployment.nodes.values() if not n.access_key]
    if faults:
        raise UserError("\n".join(f"{source}: {fault}" for fault in faults))


def tool(name: str) -> str:
    """The path of a program, found or built by deploy/tools.sh, which says on stderr what it does."""
    with Popen([REPO / "deploy/tools.sh", name], stdout=PIPE, text=True) as search:
        try:
            path = search.communicate()[0].strip()
        finally:
            # After Ctrl-C it clears up before it ends.
            search.terminate()
    if search.returncode != 0:
        raise UserError(f"no {name}: why is said above")
    return path


def start(deployment: Deployment, config: Path, run: Path, programs: Programs) -> None:
    """Raises `UserError` where a program is missing or does not come up."""
    nginx = os.environ["NGINX_BIN"] = tool("nginx")
    folder, nginx_conf = run / "nginx", run / "nginx/nginx.conf"
    folder.mkdir(exist_ok=True)
    with nginx_conf.open("w") as out:
        if call([OPENIM_DIRECT, "nginx", "--full", "--run-dir", folder, "--config", config], stdout=out) != 0:
            raise UserError("no configuration for nginx: why is said above")
    minio = tool("minio")
    # MinIO makes a folder for certificates below HOME; its console would take a port of its own.
    env = {k: v for k, v in os.environ.items() if not k.startswith("MINIO_")}
    env |= {"HOME": str(run), "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
    for node in deployment.nodes.values():
        keys = {"MINIO_ROOT_USER": node.access_key or "", "MINIO_ROOT_PASSWORD": node.secret_key or ""}
        command = [minio, "server", "--address", f"127.0.0.1:{urlsplit(node.endpoint).port or 80}", run / "nodes" / node.id]
        programs.start(node.id, f"MinIO at {node.endpoint}", command, {**env, **keys, "MINIO_SITE_REGION": node.region})
    for instance in deployment.instances.values():
        command = [OPENIM_DIRECT, "serve", instance.id, "--config", config]
        programs.start(instance.id, f"instance at http://{instance.bind}, of node {instance.node}", command)
    programs.start("nginx", f"at {deployment.public_url}", [nginx, "-p", folder, "-c", nginx_conf, "-g", "daemon off;"])
    for instance in deployment.instances.values():
        wait_for(programs, "GET", f"http://{instance.bind}/readyz")
    # Without a token it is refused, with HTTP status 200 as in v3.4.0.
    wait_for(programs, "POST", f"{deployment.public_url}/object/part_limit")
    click.echo("all of them answer\n")


def wait_for(programs: Programs, method: str, url: str) -> None:
    """Raises `UserError` where a program has ended meanwhile, or no answer has status 200 in time."""
    limit = time.monotonic() + START_LIMIT
    while not (ended := programs.newly_ended()):
        try:
            response = requests.request(method, url, timeout=3)
            if response.status_code == 200:
                return
            fault = f"HTTP {response.status_code} {response.text.strip()[:300]}"
        except requests.RequestException as e:
            fault = reason(e)
        if time.monotonic() > limit:
            raise UserError(f"{method} {url}: {fault}, for {START_LIMIT} s")
        time.sleep(0.1)
    raise UserError("\n".join(ended))


def demonstrate(deployment: Deployment, token: str, run: Path) -> str:
    """Uploads a large file and a picture with the cookie kept and without, and reads each back; the picture's URL."""
    click.echo(f"uploads through {deployment.public_url}")
    picture, large = run / "request-path.png", run / "several-parts.bin"
    for label, keep in (("cookie", True), ("no-cookie", False)):
        # Three parts. Other content each time, as a node takes none twice, and other names, as nginx caches views.
        large.write_bytes(os.urandom(12_000_000))
        comment = PngInfo()
        comment.add_text("Comment", os.urandom(16).hex())
        Image.open(REPO / "deploy/sample.png").save(picture, pnginfo=comment)
        client = Client(deployment.public_url, token, keep_cookies=keep)
        for file, content_type in ((large, "application/octet-stream"), (picture, "image/png")):
            url, _ = client.upload(file, f"{USER}/{time.time():.0f}/{label}/{file.name}", content_type)
            if client.download(url) != file.read_bytes():
                raise UserError(f"{url} does not give back the bytes of {file}")
            via = " ".join(dict.fromkeys(client.cookies_seen))
            click.echo(f"  {file.name} {file.stat().st_size:>11,} bytes, {label:9}: sent through {via}, read back, equal")
            file.unlink()
    click.echo("all of it held\n")
    return url


def stay(url: str, token: str, picture: str, config: Path, run: Path, programs: Programs) -> None:
    """Says how to go on, and what has ended, until a signal comes: the exit code is 0 then."""
    click.echo(f"""To try (the token is {USER}'s, for a day):
  TOKEN={token}
  {REPO / "deploy/smoke.sh"} {url} "$TOKEN"
  curl -sL -o picture.png '{picture}'
  {OPENIM_DIRECT} upload FILE --config {config} --verify
Logs: {run / "logs"}/, and nginx's in {run / "nginx"}/
Ctrl-C ends it.""")
    with contextlib.suppress(SystemExit):
        while True:
            # Where one ends the others go on: what they do without it is a reason to try this out.
            for text in programs.newly_ended():
                click.echo(text)
            time.sleep(0.5)


if __name__ == "__main__":
    main()
