"""`openim-direct nginx` and `openim-direct haproxy`: the balancer's configuration."""

from __future__ import annotations

import grp
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import click

from app.cli.options import UserError, config_option, load_config
from app.routing.balancer import render
from app.routing.balancer.context import Machine


@click.command()
@config_option
@click.option("--full", is_flag=True, help="A complete nginx.conf; else an include for an existing http block.")
@click.option("--run-dir", metavar="DIR", help="With --full: where pid, logs and spool files go.")
@click.option(
    "--sticky",
    type=click.Choice(["map", "native"]),
    help="Pin by maps (any nginx since 1.15.3) or by `sticky route` (since 1.29.6). By default what `nginx -v` here can do.",
)
def nginx(config_file: str, full: bool, run_dir: str | None, sticky: str | None) -> None:
    """Print nginx's configuration for the deployment."""
    if run_dir is not None and not full:
        raise UserError("--run-dir goes with --full: an include has the places of the file that includes it")
    if run_dir is not None and not re.fullmatch(r"[A-Za-z0-9_./@+-]+", run_dir):
        raise UserError("--run-dir: a path of letters, digits and _ . / @ + - only, since it goes into nginx's syntax")
    group = grp.getgrgid(0).gr_name if os.geteuid() == 0 else None
    native = (sticky or _sticky()) == "native"
    click.echo(render.nginx(load_config(config_file), full, run_dir, group, native, _machine()), nl=False)


#: The first open-source version with `sticky`.
_NATIVE_SINCE = (1, 29, 6)


def _sticky() -> str:
    """What the nginx of this machine can do; maps where there is none to ask."""
    binary = os.environ.get("NGINX_BIN") or shutil.which("nginx") or "/usr/sbin/nginx"
    try:
        said = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=5, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return "map"
    version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    return "native" if version and tuple(map(int, version.groups())) >= _NATIVE_SINCE else "map"


@click.command()
@config_option
def haproxy(config_file: str) -> None:
    """Print HAProxy's configuration for the deployment (2.4 and later)."""
    click.echo(render.haproxy(load_config(config_file), _machine()), nl=False)


#: Where systems keep the certificates that they trust in one file: Debian, Ubuntu, Alpine and Arch; Red Hat; SUSE.
_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")


def _machine() -> Machine:
    """This one: nginx and HAProxy do not start where they are to listen on IPv6 and there is none."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
        ipv6 = True
    except OSError:
        ipv6 = False
    return Machine(ipv6, next((file for file in _AUTHORITIES if Path(file).is_file()), None))
