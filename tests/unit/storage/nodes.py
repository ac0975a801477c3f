"""Nodes for tests, at servers of their own."""

from __future__ import annotations

from app.config.load import Node as NodeConfig
from app.config.load import Secret
from app.storage.node import Node


def config(*urls: str) -> NodeConfig:
    return NodeConfig(
        id="m1",
        endpoints=urls,
        sign_endpoint=urls[0],
        bucket="openim",
        access_key=Secret("key"),
        secret_key=Secret("secret-key"),
        region="us-east-1",
        session_token=None,
        public_read=False,
    )


def node(*urls: str) -> Node:
    return Node(config(*urls))
