"""Turns v3.4.0's config.yaml, one for each third RPC and its MinIO node, into an instances.yaml.

Pure: documents in, document out. v3.4.0 (Go's yaml.v3, into fields of type string) takes a scalar's own text, quoted or not,
and so does this: documents are those of `document.load_yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from app.config.document import NULL
from app.core.addresses import canonical_url, endpoint, is_loopback
from app.core.errors import ImportFault

#: What Go's yaml.v3 takes for true.
_TRUE = {"true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"}
#: The first instance's port; the next ones count on.
_FIRST_PORT = 10011
_PLACEHOLDER = "external_ip"
#: What must be the same in all files.
_SHARED = (
    "secret",
    "object.apiURL",
    "manager.userID",
    "redis.address",
    "redis.clusterMode",
    "mysql.address",
    "mysql.database",
)


class Imported(NamedTuple):
    """
    :ivar document: the deployment, as instances.yaml holds it.
    :ivar notes: what could not be carried over, or has to be looked at.
    """

    document: dict[str, Any]
    notes: list[str]


class _File:
    """One configuration file; missing keys are noted by their path."""

    def __init__(self, name: str, document: Any, missing: list[str]) -> None:
        self.name, self.document, self.missing = name, document, missing
        if not isinstance(document, Mapping):
            missing.append(f"{name}: is no mapping, so not v3.4.0's config.yaml")

    def get(self, path: str) -> Any:
        """None where the key is missing, or nothing."""
        value = self.document
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return None if value in (NULL, "") else value

    def all(self, path: str) -> list[Any]:
        value = self.get(path)
        return value if isinstance(value, list) else [] if value is None else [value]

    def text(self, path: str) -> str:
        """The text of a key that may be missing, or the first of a list."""
        value = next(iter(self.all(path)), "")
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
    nodes: dict[str, dict[str, Any]] = {}
    instances: dict[str, dict[str, str]] = {}
    for number, file in enumerate(read):
        node = _node(file)
        same = (i for i, n in nodes.items() if (n["endpoint"], n["bucket"]) == (node["endpoint"], node["bucket"]))
        node_id = next(same, f"m{len(nodes) + 1}")
        nodes.setdefault(node_id, node)
        instances[f"i{number + 1}"] = {"node": node_id, "bind": f"127.0.0.1:{_FIRST_PORT + number}"}
        for path in _SHARED:
            if file.get(path) != first.get(path):
                notes.append(f"{path} differs between {first.name} and {file.name}: taken from {first.name}")
    document = {
        "public_url": _one_form(first.need("object.apiURL")),
        "auth": {
            "secret": first.need("secret"),
            "redis": _redis(first, notes),
            "admins": [user for user in first.all("manager.userID") if isinstance(user, str)],
        },
        "records": _mysql(first),
        "legacy": {"table": True, "node": "auto" if len(nodes) > 1 else "m1", "mirror": True},
        "balancer": {"legacy_api": _one_form(f"http://127.0.0.1:{first.need('api.openImApiPort')}")},
        "nodes": nodes,
        "instances": instances,
    }
    if missing:
        raise ImportFault("\n".join(dict.fromkeys(missing)))
    if len(nodes) > 1:
        notes.append("legacy.node is auto: each old object is looked for on every node once; name the node if one holds all")
    _add_warnings(document, notes)
    return Imported(document, notes)


def _node(file: _File) -> dict[str, Any]:
    engine = file.get("object.enable")
    if engine not in (None, "minio"):
        file.missing.append(f"{file.name}: object.enable is {engine}: only minio can be carried over")
    node: dict[str, Any] = {
        "endpoint": _one_form(file.need("object.minio.endpoint")),
        "sign_endpoint": _one_form(file.text("object.minio.signEndpoint") or file.text("object.minio.endpoint")),
        "bucket": file.need("object.minio.bucket"),
        "access_key": file.need("object.minio.accessKeyID"),
        "secret_key": file.need("object.minio.secretAccessKey"),
    }
    if token := file.text("object.minio.sessionToken"):
        node["session_token"] = token
    if file.text("object.minio.publicRead") in _TRUE:
        node["public_read"] = True
    return node


def _one_form(url: str) -> str:
    """As instances.yaml keeps addresses, so that a node that two files write differently is one; what is none stays as it is
    written, and is named as a fault of the result."""
    try:
        return canonical_url(url)
    except ValueError:
        return url.rstrip("/")


def _redis(file: _File, notes: list[str]) -> str:
    """v3.4.0 takes several addresses, or `clusterMode: true`, for a Redis cluster, and uses database 0 of one server."""
    file.need("redis.address")
    addresses = [address for address in file.all("redis.address") if isinstance(address, str)]
    if len(addresses) == 1 and file.text("redis.clusterMode") in _TRUE:
        notes.append(
            "redis.clusterMode is true, and redis.address names one server of the cluster: the others are found through it; "
            "list some in auth.redis (host1:6379,host2:6379), so that the cluster is found without that one too"
        )
    user, password = file.text("redis.username"), file.text("redis.password")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    return f"redis://{login}{','.join(dict.fromkeys(addresses))}/0"


def _mysql(file: _File) -> str:
    user, password = quote(file.need("mysql.username"), safe=""), quote(file.text("mysql.password"), safe="")
    return f"mysql+pymysql://{user}:{password}@{file.need('mysql.address')}/{file.need('mysql.database')}"


def _add_warnings(document: dict[str, Any], notes: list[str]) -> None:
    """What is there, and most likely not as it should be."""
    for path, value in _strings(document, ""):
        if _PLACEHOLDER in value:
            notes.append(f"{path} holds the placeholder {_PLACEHOLDER}: write the address that clients call")
        if "${" in value:
            notes.append(f"{path} holds ${{, which instances.yaml takes for a variable: move it to a file ({path}_file)")
    public, legacy_api = (_endpoint(url) for url in (document["public_url"], document["balancer"]["legacy_api"]))
    if public and is_loopback(public[0]):
        notes.append("public_url is a loopback address: clients on other machines cannot call it")
    if public and legacy_api and public[1] == legacy_api[1]:
        notes.append(
            f"nginx listens where the v3.4.0 API does now (port {public[1]}): move that API to another port, and set "
            f"balancer.legacy_api to it; or set balancer.listen where TLS ends in front"
        )
    notes.append("instances are given loopback ports on one machine: set bind and url where they run on several")


def _endpoint(url: str) -> tuple[str, int] | None:
    """Host and port of a URL that is one."""
    try:
        return endpoint(canonical_url(url))
    except ValueError:
        return None


def _strings(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, str):
        yield path, value
