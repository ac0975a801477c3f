"""Rules between the keys of a deployment, and defaults that follow from other keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from app.config.models import ID, Deployment, Instance, Node
from app.config.section import Section
from app.config.values import SecretURL
from app.core.addresses import canonical_url

#: Path in the file, what is wrong, and paths of other keys that the rule has read.
Breach = tuple[str, ...]


def complete(deployment: Deployment, base: Path) -> Deployment:
    """With the defaults that follow from other keys.

    :param base: folder from which the records' relative SQLite path is meant: instances are started from anywhere.
    """
    auth, records = deployment.auth, deployment.records
    if records.startswith("sqlite:///"):
        records = SecretURL(f"sqlite:///{base / records.removeprefix('sqlite:///')}")
    return deployment.model_copy(
        update={
            "records": records,
            "auth": auth.model_copy(update={"secrets": tuple(secret for secret in (*auth.secrets, auth.secret) if secret)}),
            "cookie": deployment.cookie.model_copy(update={"secure": _secure(deployment)}),
            "nodes": {node_id: _complete_node(node, deployment.ca_file) for node_id, node in deployment.nodes.items()},
            "instances": {
                i: instance.model_copy(update={"url": _url(instance)}) for i, instance in deployment.instances.items()
            },
        }
    )


def _complete_node(node: Node, ca_file: str | None) -> Node:
    endpoints = node.endpoints or (node.endpoint,)
    update = {
        "endpoint": endpoints[0],
        "endpoints": endpoints,
        "sign_endpoint": node.sign_endpoint or endpoints[0],
        "ca_file": node.ca_file or ca_file,
    }
    return node.model_copy(update=update)


def _secure(d: Deployment) -> bool:
    return (d.public_url or "").startswith("https:") if d.cookie.secure is None else d.cookie.secure


def _url(instance: Instance) -> str:
    """Empty where the file does not tell at which address others reach it."""
    everywhere = instance.bind.rpartition(":")[0] in ("0.0.0.0", "[::]", "*", "")  # noqa: S104 (compared, not bound)
    scheme = "https" if instance.certificate else "http"
    return instance.url or ("" if everywhere else canonical_url(f"{scheme}://{instance.bind}"))


def breaches(deployment: Deployment, base: Path, faulty: list[str]) -> Iterator[tuple[str, str]]:
    """Path and text of each rule that a deployment breaks, as far as it could be read.

    :param deployment: as it was given, so not yet complete; None for what could not be read.
    :param faulty: paths that have a fault already; a rule that has read one of them says nothing more.
    """
    for check in (_auth, _cookie, _ca_files, _balancer, _nodes, _instances, _legacy):
        for path, text, *read in check(deployment):
            if not any(_touches(other, fault) for other in (path, *read) for fault in faulty):
                yield path, text
    if (deployment.records or "").startswith("sqlite:") and re.search(r"[?%]", str(base)):
        yield "records", f"cannot lie in {base}: a path with ? or % is none that SQLAlchemy can be given"


def _touches(path: str, fault: str) -> bool:
    """Whether a fault is of this key, of a section around it, or of an entry of its list."""
    return path == fault or path.startswith(f"{fault}.") or fault.startswith(f"{path}[")


def _together(section: Section, at: str, keys: tuple[str, str], why: str) -> Iterator[Breach]:
    for key, other in (keys, keys[::-1]):
        if getattr(section, other) and not getattr(section, key):
            yield f"{at}.{key}", f"is missing: {why}", f"{at}.{other}"


def _auth(d: Deployment) -> Iterator[Breach]:
    several = any(d.auth.secrets or ())
    if d.auth.secret and several:
        yield "auth.secrets", "stands beside secret: write one of the two, the newest secret first"
    if not d.auth.secret and not several:
        yield "auth.secret", "is missing, or empty", "auth.secrets"


def _cookie(d: Deployment) -> Iterator[Breach]:
    if d.cookie.same_site == "None" and not _secure(d):
        text = "None needs `secure: true`: browsers drop such a cookie otherwise"
        yield "cookie.same_site", text, "cookie.secure", "public_url"


def _ca_files(d: Deployment) -> Iterator[Breach]:
    files = {"ca_file": d.ca_file} | {f"nodes.{node_id}.ca_file": node.ca_file for node_id, node in (d.nodes or {}).items()}
    for path, file in files.items():
        # The balancers read it too, from other folders.
        if file and not file.startswith("/"):
            yield path, "must be an absolute path: the balancers read it as well"


def _balancer(d: Deployment) -> Iterator[Breach]:
    keys = "certificate", "certificate_key"
    yield from _together(d.balancer, "balancer", keys, "certificate and certificate_key go together")


def _ids(section: str, entries: Mapping[str, object]) -> Iterator[Breach]:
    folded: dict[str, str] = {}
    for key in entries:
        if not re.fullmatch(ID, key):
            yield f"{section}.{key}", "an ID is 1 to 32 letters, digits, - and _"
        other = folded.setdefault(key.lower(), key)
        if other != key:
            # nginx compares the values of a map without case.
            yield f"{section}.{key}", f"differs from {other} only in case, and balancers compare without it"


def _nodes(d: Deployment) -> Iterator[Breach]:
    nodes = d.nodes or {}
    yield from _ids("nodes", nodes)
    for node_id, node in nodes.items():
        at, endpoints = f"nodes.{node_id}", node.endpoints or ()
        if not node.endpoint and not endpoints:
            yield f"{at}.endpoint", "is missing, or empty", f"{at}.endpoints"
        if node.endpoint and endpoints:
            yield f"{at}.endpoints", "stands beside endpoint: write one of the two"
        if len(set(endpoints)) < len(endpoints):
            yield f"{at}.endpoints", "names one of them twice"
        if len({urlsplit(e).scheme for e in endpoints}) > 1:
            yield f"{at}.endpoints", "mixes http and https: the nodes of a cluster all use one of them"
        why = "a node has both keys, or neither where this machine shall hold none"
        yield from _together(node, at, ("access_key", "secret_key"), why)
    drains = [f"nodes.{node_id}.drain" for node_id in nodes]
    drained = {node_id for node_id, node in nodes.items() if node.drain}
    if nodes and len(drained) == len(nodes):
        yield "nodes", "all of them are drained: at least one must take new uploads", *drains
    instances = d.instances or {}
    if drained and instances and all(i.node in drained for i in instances.values()):
        text = "none serves a node that takes new uploads (without drain)"
        yield "instances", text, *drains, *(f"instances.{i}.node" for i in instances)


def _no_such_node(d: Deployment, node: str) -> str:
    return f"no such node: {node}; nodes are {', '.join(d.nodes)}"


def _instances(d: Deployment) -> Iterator[Breach]:
    instances = d.instances or {}
    yield from _ids("instances", instances)
    binds: dict[tuple[str, str | None], str] = {}
    urls: dict[str, str] = {}
    for instance_id, instance in instances.items():
        at = f"instances.{instance_id}"
        if d.nodes and instance.node not in d.nodes:
            yield f"{at}.node", _no_such_node(d, instance.node)
        why = "certificate and certificate_key go together"
        yield from _together(instance, at, ("certificate", "certificate_key"), why)
        if instance.certificate and (instance.url or "").startswith("http:"):
            yield f"{at}.url", "must begin with https://, since it has a certificate", f"{at}.certificate"
        if not instance.bind:
            continue
        url = _url(instance)
        if not url:
            yield f"{at}.url", f"is missing: {instance.bind} does not say at which address others reach this instance"
        # Instances on two machines may share a bind such as 0.0.0.0:10002; then their URLs tell them apart.
        other = binds.setdefault((instance.bind, urlsplit(instance.url or "").hostname), instance_id)
        if other != instance_id:
            yield f"{at}.bind", f"{instance.bind} is the bind of {other} too", f"instances.{other}.url", f"{at}.url"
        first = next(iter(urls), url)
        if url and first.startswith("http") and urlsplit(url).scheme != urlsplit(first).scheme:
            yield (
                f"{at}.url",
                f"is {urlsplit(url).scheme}, and that of {urls[first]} is not: all are one of them",
                f"instances.{urls[first]}.url",
            )
        other = urls.setdefault(url or at, instance_id)
        if other != instance_id:
            yield f"{at}.url", f"{url} is the URL of {other} too", f"instances.{other}.url"


def _legacy(d: Deployment) -> Iterator[Breach]:
    if d.legacy.mirror and not d.legacy.table:
        yield "legacy.mirror", "needs `table: true`: it writes to the table that names are looked for in", "legacy.table"
    if d.legacy.table and not (d.records or "").startswith("mysql"):
        yield "legacy.table", "needs `records` in v3.4.0's own MySQL database: its table is read there", "records"
    if d.legacy.node and d.nodes and d.legacy.node not in d.nodes:
        yield "legacy.node", f"{_no_such_node(d, d.legacy.node)}, or write auto"
