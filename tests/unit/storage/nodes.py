"""Nodes for tests, at servers of their own."""

from __future__ import annotations

from pathlib import Path

import yaml

from app.config.load import parse
from app.config.models import Node as NodeConfig
from app.storage.node import Node


def config(*urls: str) -> NodeConfig:
    """The configuration of a node m1 with these endpoints."""
    document = {
        "public_url": "http://127.0.0.1:1",
        "auth": {"secret": "s3cr3t"},
        "nodes": {"m1": {"endpoints": list(urls), "access_key": "key", "secret_key": "secret-key"}},
        "instances": {"i1": {"node": "m1", "bind": "127.0.0.1:2"}},
    }
    return parse(yaml.safe_dump(document), {}, Path("/base")).nodes["m1"]


def node(*urls: str) -> Node:
    return Node(config(*urls))
