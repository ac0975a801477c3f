"""The SDK's protected methods stay in one file; of urllib3's, nothing is used."""

from __future__ import annotations

import ast

from minio import Minio
from urllib3 import PoolManager

from app.storage.client import CALL_TIMEOUT, ConnectionPool, NodeClient
from tests.unit.storage.nodes import config
from tests.unit.test_layers import modules


def protected(*objects: object) -> set[str]:
    names = {name for found in objects for name in [*dir(found), *getattr(found, "__annotations__", ())]}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def users(names: set[str]) -> set[str]:
    """Modules of app/storage that use an attribute of one of these names."""
    return {
        module
        for module, tree in modules().items()
        if module.startswith("storage.")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in names
    }


def test_protected_names_of_the_sdk_are_in_one_file() -> None:
    sdk = protected(Minio, Minio(endpoint="h"))
    assert {"_http", "_execute", "_complete_multipart_upload"} <= sdk
    assert users(sdk) == {"storage.multipart"}


def test_none_of_urllib3_is_used() -> None:
    pool = protected(PoolManager, PoolManager()) | protected(PoolManager().connection_from_url("http://h"))
    assert "_get_conn" in pool
    assert users(pool) == set()


def test_no_attribute_of_ours_hides_one_of_theirs() -> None:
    ours = {name for name in vars(ConnectionPool) if not name.startswith("__")} | {"_node_id", "_pool"}
    assert ours & set(dir(PoolManager())) == {"clear", "urlopen"}
    ours = {name for name in vars(NodeClient(config("http://h"), "http://h", CALL_TIMEOUT)) if not name.startswith("_")}
    assert ours >= {"connections", "signer"}
    assert ours & set(dir(Minio(endpoint="h"))) == set()
    methods = {name for name in vars(NodeClient) if not name.startswith("__")}
    assert "send" in methods
    assert methods & set(dir(Minio)) == set()
