"""`openim-direct policy`: what a node's keys must be allowed."""

from __future__ import annotations

import json

import click

from app.cli.options import config_option, load_config, node_config
from app.storage.policy import policy as policy_of


@click.command()
@click.argument("node")
@config_option
@click.option("--make-bucket", is_flag=True, help="With the right to make the bucket, where it is not there yet.")
def policy(node: str, config_file: str, make_bucket: bool) -> None:
    """Print the MinIO policy that the keys of NODE need, and no more.

    \b
    openim-direct policy m1 > m1.json
    mc admin policy create m1 openim-direct m1.json
    mc admin user add m1 KEY SECRET
    mc admin policy attach m1 openim-direct --user KEY
    """
    click.echo(json.dumps(policy_of(node_config(load_config(config_file), node), make_bucket), indent=2))
