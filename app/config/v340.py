"""Turns v3.4.0's config.yaml, one for each third RPC and its MinIO node, into an instances.yaml.

Pure: documents in, document out. v3.4.0 (Go's yaml.v3, into fields of type string) takes a scalar's own text, quoted or not,
and so does this: documents are those of `document.load_yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from app.config.document import NULL
from app.core.errors import ImportFault

#: What Go's yaml.v3 takes for true.
_TRUE = {"true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"}
#: The first instance's port; the next ones count on.
_FIRST_PORT = 10011
_PLACEHOLDER = "external_ip"


class Imported:
    """
    :ivar document: the deployment, as instances.yaml holds it.
    :ivar notes: what could not be carried over, or has to be looked at.
    """

    def __init__(self, document: dict[str, Any], notes: list[str]) -> None:
        self.document = document
        self.notes = notes


class _File:
    """One configuration file; missing keys are noted by their path."""

    def __init__(self, name: str, document: Any, missing: list[str]) -> None:
        self.name, self.missing = name, missing
        self.document = document if isinstance(document, Mapping) else {}
        if not isinstance(document, Mapping):
            missing.append(f"{name}: is no mapping, so not v3.4.0's config.yaml")

    def get(self, path: str, default: Any = None) -> Any:
        value: Any = self.document
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return default if value is NULL or value in (None, "") else value

    def text(self, path: str) -> str:
        """The text of a key that may be missing, or the first of a list."""
        value = self.get(path, "")
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, str):
            return value
        if value is not NULL:
            self.missing.append(f"{self.name}: {path} is no text")
        return ""

    def need(self, path: str) -> str:
        text = self.text(path)
        if not text:
            self.missing.append(f"{self.name}: {path} is missing")
        return text


def convert(files: Sequence[tuple[str, Any]]) -> Imported:
    """
    :param files: name and parsed YAML of each; the first one gives what all share.
    :raises ImportFault: with every key that is missing, and none of the work done.
    """
    missing: list[str] = []
    notes: list[str] = []
    read = [_File(name, document, missing) for name, document in files]
    first = read[0]
    document: dict[str, Any] = {
        "public_url": first.need("object.apiURL").rstrip("/"),
        "auth": {
            "secret": first.need("secret"),
            "redis": _redis(first, notes),
            "admins": [user for user in first.get("manager.userID", []) if isinstance(user, str)],
        },
        "records": _mysql(first),
        "legacy": {"table": True, "node": "auto", "mirror": True},
        "balancer": {"legacy_api": f"http://127.0.0.1:{first.need('api.openImApiPort')}"},
        "nodes": {},
        "instances": {},
    }
    for file in read:
        _add_node(file, document, notes)
        _compare(first, file, notes)
    nodes = document["nodes"]
    if len(nodes) == 1:
        document["legacy"]["node"] = next(iter(nodes))
    else:
        notes.append("legacy.node is auto: each old object is looked for on every node once; name the node if one holds all")
    if missing:
        raise ImportFault("\n".join(dict.fromkeys(missing)))
    _add_warnings(document, notes)
    return Imported(document, notes)


def _add_node(file: _File, document: dict[str, Any], notes: list[str]) -> None:
    if file.get("object.enable", "minio") != "minio":
        file.missing.append(f"{file.name}: object.enable is {file.get('object.enable')}: only minio can be carried over")
        return
    minio = "object.minio"
    node: dict[str, Any] = {
        "endpoint": file.need(f"{minio}.endpoint").rstrip("/"),
        "sign_endpoint": (file.text(f"{minio}.signEndpoint") or file.text(f"{minio}.endpoint")).rstrip("/"),
        "bucket": file.need(f"{minio}.bucket"),
        "access_key": file.need(f"{minio}.accessKeyID"),
        "secret_key": file.need(f"{minio}.secretAccessKey"),
    }
    if file.text(f"{minio}.sessionToken"):
        node["session_token"] = file.text(f"{minio}.sessionToken")
    if file.text(f"{minio}.publicRead") in _TRUE:
        node["public_read"] = True
    nodes, instances = document["nodes"], document["instances"]
    same = [i for i, n in nodes.items() if (n["endpoint"], n["bucket"]) == (node["endpoint"], node["bucket"])]
    node_id = same[0] if same else f"m{len(nodes) + 1}"
    nodes.setdefault(node_id, node)
    number = len(instances) + 1
    instances[f"i{number}"] = {"node": node_id, "bind": f"127.0.0.1:{_FIRST_PORT + number - 1}"}


def _compare(first: _File, file: _File, notes: list[str]) -> None:
    """What all instances share must be the same in all files."""
    for path in ("secret", "object.apiURL", "manager.userID", "redis.address", "mysql.address", "mysql.database"):
        if file.get(path) != first.get(path):
            notes.append(f"{path} differs between {first.name} and {file.name}: taken from {first.name}")


def _redis(file: _File, notes: list[str]) -> str:
    addresses = file.get("redis.address", [])
    addresses = addresses if isinstance(addresses, list) else [addresses]
    if len(addresses) > 1:
        notes.append("redis.address lists several: a Redis cluster is not supported; the first one is taken")
    user, password = file.text("redis.username"), file.text("redis.password")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    return f"redis://{login}{file.need('redis.address')}/0"


def _mysql(file: _File) -> str:
    user, password = quote(file.need("mysql.username"), safe=""), quote(file.text("mysql.password"), safe="")
    return f"mysql+pymysql://{user}:{password}@{file.need('mysql.address')}/{file.need('mysql.database')}"


def _add_warnings(document: dict[str, Any], notes: list[str]) -> None:
    """What is there, and most likely not as it should be."""
    flat = list(_strings(document, ""))
    for path, value in flat:
        if _PLACEHOLDER in value:
            notes.append(f"{path} holds the placeholder {_PLACEHOLDER}: write the address that clients call")
        if "${" in value:
            notes.append(f"{path} holds ${{, which instances.yaml takes for a variable: move it to a file ({path}_file)")
    if urlsplit(document["public_url"]).hostname in ("127.0.0.1", "localhost"):
        notes.append("public_url is a loopback address: clients on other machines cannot call it")
    ports = re.findall(r":(\d+)$", document["public_url"])
    if ports and document["balancer"]["legacy_api"].endswith(f":{ports[0]}"):
        notes.append(
            f"nginx listens where the v3.4.0 API does now (port {ports[0]}): move that API to another port, and set "
            f"balancer.legacy_api to it; or set balancer.listen where TLS ends in front"
        )
    notes.append("instances are given loopback ports on one machine: set bind and url where they run on several")


def _strings(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, str):
        yield path, value
