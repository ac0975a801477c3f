"""`openim-direct nginx`: the balancer's configuration."""

from __future__ import annotations

import grp
import os
import re

import click

from app.balancer.nginx import RenderError, render
from app.cli.options import UserError, config_option, load_config


@click.command()
@config_option
@click.option("--full", is_flag=True, help="A complete nginx.conf; else an include for an existing http block.")
@click.option("--run-dir", metavar="DIR", help="With --full: where pid, logs and spool files go.")
def nginx(config_file: str, full: bool, run_dir: str | None) -> None:
    """Print nginx's configuration for the deployment (any nginx since 1.11)."""
    if run_dir is not None and not full:
        raise UserError("--run-dir goes with --full: an include has the places of the file that includes it")
    if run_dir is not None and not re.fullmatch(r"[A-Za-z0-9_./@+-]+", run_dir):
        raise UserError("--run-dir: a path of letters, digits and _ . / @ + - only, since it goes into nginx's syntax")
    # With its group, since not every system has one called root.
    user = f"root {grp.getgrgid(0).gr_name}" if os.geteuid() == 0 else None
    try:
        click.echo(render(load_config(config_file), full, run_dir, user), nl=False)
    except RenderError as e:
        raise UserError(str(e)) from None
