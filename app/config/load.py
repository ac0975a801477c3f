"""instances.yaml to frozen structures. The only reader of settings, and of the variables that they name.

Every fault of a file is found in one pass and named by its path in the file (`nodes.m1.endpoint`). `${VAR}` and
`${VAR:-default}` are replaced inside strings, after YAML was parsed, so that a value never becomes structure.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import yaml

from app.config.reader import Loader, Secret, Section

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET_LINE = re.compile(r"(?:secret|secret_key|session_token)\s*:\s*([^\s,}#]+)|://[^\s/@]*:([^\s/@]+)@")

#: The Go SDK's resume code fails under an hour left, so that shorter lives would break every upload with it.
MIN_UPLOAD_EXPIRE = 2 * 3600
#: A token that v3.4.0 kicked out must be refused within seconds.
MAX_REMEMBER = 5
#: SigV4's own limit for a signed URL.
MAX_UPLOAD_EXPIRE = 7 * 86400


class ConfigError(Exception):
    """A file that cannot be used; `faults` are (path in the file, what is wrong and what to write instead)."""

    def __init__(self, source: str, faults: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{source}: {path}: {text}" if path else f"{source}: {text}" for path, text in faults))
        self.faults = faults


class Auth(msgspec.Struct, frozen=True):
    #: The newest first; the others are taken too, while a secret is being changed.
    secrets: tuple[Secret, ...]
    #: URL of the Redis in which v3.4.0 keeps each token's state; None checks the signature alone.
    redis: Secret | None
    admins: tuple[str, ...]
    #: Seconds that a verified token is taken again without a look.
    remember: int


class Cookie(msgspec.Struct, frozen=True):
    name: str
    max_age: int | None
    secure: bool
    same_site: str | None
    domain: str | None


class Balancer(msgspec.Struct, frozen=True):
    legacy_api: str | None
    listen: str | None
    certificate: str | None
    certificate_key: str | None


class Uploads(msgspec.Struct, frozen=True):
    #: Seconds until an unfinished upload is given up; its signed URLs die with it.
    expire: int


class Views(msgspec.Struct, frozen=True):
    #: Seconds within which a name that is uploaded again shows its new content; balancers keep redirects that long.
    cache: int


class Legacy(msgspec.Struct, frozen=True):
    """What a v3.4.0 deployment left behind."""

    #: Whether names are also looked for in v3.4.0's table `object`, in the records' own database.
    table: bool
    #: The node that holds its objects; None asks each node once and remembers the answer.
    node: str | None
    #: Whether new records are written to that table too, so that going back to v3.4.0 keeps them.
    mirror: bool


class Limits(msgspec.Struct, frozen=True):
    """What one user may begin; None is without limit."""

    uploads_per_hour: int | None
    #: Bytes.
    bytes_per_hour: int | None


class Server(msgspec.Struct, frozen=True):
    workers: int
    threads: int
    connections: int = 1000
    views: int = 8


class Node(msgspec.Struct, frozen=True):
    id: str
    #: As instances reach it: scheme and authority only; several of one MinIO cluster.
    endpoints: tuple[str, ...]
    #: As clients reach it; may end in a path that the balancer strips.
    sign_endpoint: str
    bucket: str
    #: None where this file holds no keys for the node.
    access_key: Secret | None
    secret_key: Secret | None
    region: str
    #: v3.4.0's sessionToken: temporary credentials of S3.
    session_token: Secret | None
    #: v3.4.0's publicRead: everyone may read the bucket, and views are not signed.
    public_read: bool
    #: Takes no new uploads: its objects are on their way to another node.
    drain: bool = False

    @property
    def endpoint(self) -> str:
        return self.endpoints[0]


class Instance(msgspec.Struct, frozen=True):
    id: str
    node: str
    bind: str
    url: str


class Deployment(msgspec.Struct, frozen=True):
    public_url: str
    #: Whether returned URLs name the instance (`/i/<instance>/object/...`), for balancers that route by path alone.
    instance_urls: bool
    auth: Auth
    records: Secret
    cookie: Cookie
    balancer: Balancer
    uploads: Uploads
    views: Views
    legacy: Legacy
    limits: Limits
    #: Origins whose scripts may send cookies along (CORS with credentials).
    cors_origins: tuple[str, ...]
    server: Server
    nodes: dict[str, Node]
    instances: dict[str, Instance]
    #: What works and should not be left so, for people.
    warnings: tuple[str, ...] = ()

    def instances_of(self, node_id: str) -> list[Instance]:
        return [i for i in self.instances.values() if i.node == node_id]


def load(path: str | Path, environ: Mapping[str, str] = os.environ) -> Deployment:
    """Read a deployment file.

    :raises ConfigError: with every fault of the file.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(str(path), [("", "no such file; name it with --config or OPENIM_DIRECT_CONFIG")]) from None
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(str(path), [("", f"cannot be read: {e}")]) from None
    deployment = parse(text, environ, base=path.resolve().parent, source=str(path))
    if path.stat().st_mode & stat.S_IROTH and _holds_secrets(text):
        warning = f"{path} holds secrets and every user of this machine may read it: chmod o-r {path}"
        deployment = msgspec.structs.replace(deployment, warnings=(warning, *deployment.warnings))
    return deployment


def parse(text: str, environ: Mapping[str, str], base: Path, source: str = "instances.yaml") -> Deployment:
    """Read a deployment from its text; relative SQLite paths are meant from `base`.

    :raises ConfigError: with every fault of the text.
    """
    try:
        document = yaml.load(text, Loader=Loader)  # noqa: S506 (a SafeLoader that refuses duplicate keys)
    except yaml.YAMLError as e:
        raise ConfigError(source, [("", f"not YAML: {' '.join(str(e).split())}")]) from None
    except RecursionError:
        raise ConfigError(source, [("", "not YAML: nested too deeply")]) from None
    if not isinstance(document, dict):
        raise ConfigError(source, [("", "must be a mapping with public_url, auth, nodes and instances")])
    faults: list[tuple[str, str]] = []
    deployment = _deployment(Section(document, "", faults, environ), base)
    if faults:
        raise ConfigError(source, faults)
    return deployment


def _holds_secrets(text: str) -> bool:
    """Whether a secret stands in the text itself, and not in the environment or a file of its own."""
    return any("${" not in (key or url) for key, url in _SECRET_LINE.findall(text))


def _deployment(top: Section, base: Path) -> Deployment:
    public_url = top.url("public_url", required=True, path_allowed=True) or "http://unset.invalid"

    urls = top.string("urls", default="name")
    if urls not in ("name", "instance"):
        top.fault("urls", f"must be name (/object/...) or instance (/i/<instance>/object/...), not {urls!r}")

    s = top.section("auth", required=True)
    secret = s.secret("secret", base)
    several = tuple(Secret(text) for text in s.strings("secrets") if text)
    if secret is not None and several:
        s.fault("secrets", "stands beside secret: write one of the two, the newest secret first")
    elif secret is None and not several and s.values:
        s.fault("secret", "is missing, or empty")
    auth = Auth(
        secrets=several or (secret or Secret(""),),
        redis=s.secret("redis", base),
        admins=s.strings("admins"),
        remember=_seconds(s.duration("remember", default=MAX_REMEMBER, low=0, high=MAX_REMEMBER), MAX_REMEMBER),
    )
    if auth.redis is not None and not re.match(r"rediss?://[^/]+(/\d+)?$", auth.redis):
        s.fault("redis", "must be redis://:password@host:6379/0, or rediss:// for TLS")
    s.done()

    records = str(top.secret("records", base) or "sqlite:///data/records.db")
    records = _records_url(top, records, base)

    s = top.section("cookie")
    cookie = Cookie(
        name=s.string("name", default="OPENIM_INSTANCE") or "OPENIM_INSTANCE",
        max_age=s.duration("max_age", default=None, low=1, high=400 * 86400),
        secure=s.boolean("secure", default=public_url.startswith("https:")),
        same_site=s.string("same_site", default="Lax"),
        domain=s.string("domain"),
    )
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", cookie.name):
        hint = " (nginx reads it as $cookie_<name>)" if _COOKIE_NAME.fullmatch(cookie.name) else ""
        s.fault("name", f"must be letters, digits and _, not {cookie.name!r}{hint}")
    if cookie.same_site not in ("Lax", "Strict", "None"):
        s.fault("same_site", "must be Lax, Strict or None (in quotes)")
    elif cookie.same_site == "None" and not cookie.secure:
        s.fault("same_site", "None needs `secure: true`: browsers drop such a cookie otherwise")
    if cookie.domain is not None and not re.fullmatch(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", cookie.domain):
        s.fault("domain", f"must be a host name, not {cookie.domain!r}")
    s.done()

    s = top.section("balancer")
    balancer = Balancer(
        legacy_api=s.url("legacy_api"),
        listen=s.string("listen"),
        certificate=s.string("certificate"),
        certificate_key=s.string("certificate_key"),
    )
    if balancer.listen is not None and not _listen_ok(balancer.listen):
        s.fault("listen", f"must be a port or address:port, not {balancer.listen!r}")
    for key, text in (("certificate", balancer.certificate), ("certificate_key", balancer.certificate_key)):
        if text is not None and not re.fullmatch(r"[A-Za-z0-9_./@+-]+", text):
            s.fault(key, "must be a file path of letters, digits and _ . / @ + -")
    if (balancer.certificate is None) != (balancer.certificate_key is None):
        s.fault("certificate", "certificate and certificate_key go together")
    s.done()

    s = top.section("uploads")
    uploads = Uploads(expire=s.duration("expire", default=86400, low=MIN_UPLOAD_EXPIRE, high=MAX_UPLOAD_EXPIRE) or 86400)
    s.done()

    s = top.section("server")
    server = Server(
        workers=s.integer("workers", 2, 1, 64), threads=s.integer("threads", 8, 1, 256), views=s.integer("views", 8, 1, 256)
    )
    s.done()

    s = top.section("views")
    views = Views(cache=_seconds(s.duration("cache", default=5, low=0, high=60), 5))
    s.done()

    s = top.section("limits")
    limits = Limits(
        uploads_per_hour=s.integer("uploads_per_hour", 0, 0, 10**9) or None,
        bytes_per_hour=s.integer("bytes_per_hour", 0, 0, 2**62) or None,
    )
    s.done()

    s = top.section("cors")
    cors_origins = s.strings("origins")
    for origin in cors_origins:
        if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", origin):
            s.fault("origins", f"{origin!r} is no origin: write scheme, host and port, such as https://web.example.com")
    s.done()

    legacy_section = top.section("legacy")
    legacy_node = legacy_section.string("node", default="auto")
    legacy = Legacy(
        table=legacy_section.boolean("table", default=False),
        node=None if legacy_node == "auto" else legacy_node,
        mirror=legacy_section.boolean("mirror", default=False),
    )
    if legacy.mirror and not legacy.table:
        legacy_section.fault("mirror", "needs `table: true`: it writes to the table that names are looked for in")
    if legacy.table and not records.startswith("mysql"):
        legacy_section.fault("table", "needs `records` in v3.4.0's own MySQL database: its table is read there")
    legacy_section.done()

    nodes = _nodes(top.section("nodes", required=True), base)
    if legacy.node is not None and legacy.node not in {n.id for n in nodes}:
        known = ", ".join(n.id for n in nodes)
        legacy_section.fault("node", f"no such node: {legacy.node}; nodes are {known}, or write auto")
    if nodes and all(n.drain for n in nodes):
        top.fault("nodes", "all of them are drained: at least one must take new uploads")
    instances = _instances(top.section("instances", required=True), nodes)
    taking = {n.id for n in nodes if not n.drain}
    if len(taking) < len(nodes) and not any(i.node in taking for i in instances.values()):
        top.fault("instances", "none serves a node that takes new uploads (without drain)")
    top.done()
    return Deployment(
        public_url=public_url,
        instance_urls=urls == "instance",
        auth=auth,
        records=Secret(records),
        cookie=cookie,
        balancer=balancer,
        uploads=uploads,
        views=views,
        legacy=legacy,
        limits=limits,
        cors_origins=cors_origins,
        server=server,
        nodes={n.id: n for n in nodes if n.endpoints},
        instances=instances,
        warnings=tuple(top.warnings),
    )


def _nodes(section: Section, base: Path) -> list[Node]:
    nodes: list[Node] = []
    for node_id, s in section.ids():
        endpoints = s.urls("endpoints")
        endpoint = s.url("endpoint", required=not endpoints)
        if endpoint is not None and endpoints:
            s.fault("endpoints", "stands beside endpoint: write one of the two")
        endpoints = endpoints or ((endpoint,) if endpoint is not None else ())
        if len({urlsplit(e).scheme for e in endpoints}) > 1:
            s.fault("endpoints", "mixes http and https: the nodes of a cluster all use one of them")
        node = Node(
            id=node_id,
            endpoints=endpoints,
            sign_endpoint=s.url("sign_endpoint", path_allowed=True) or next(iter(endpoints), ""),
            bucket=s.string("bucket", default="openim") or "openim",
            access_key=s.secret("access_key", base),
            secret_key=s.secret("secret_key", base),
            region=s.string("region", default="us-east-1") or "us-east-1",
            session_token=s.secret("session_token", base),
            public_read=s.boolean("public_read", default=False),
            drain=s.boolean("drain", default=False),
        )
        if not _BUCKET.fullmatch(node.bucket) or ".." in node.bucket:
            s.fault("bucket", "must be 3 to 63 lower-case letters, digits, - and . (S3's rule for bucket names)")
        if (node.access_key is None) != (node.secret_key is None):
            missing = "access_key" if node.access_key is None else "secret_key"
            s.fault(missing, "is missing: a node has both keys, or neither where this machine shall hold none")
        if not re.fullmatch(r"[A-Za-z0-9-]+", node.region):
            s.fault("region", f"must be letters, digits and -, not {node.region!r}")
        s.done()
        nodes.append(node)
    return nodes


def _instances(section: Section, nodes: list[Node]) -> dict[str, Instance]:
    instances: dict[str, Instance] = {}
    binds: dict[str, str] = {}
    urls: dict[str, str] = {}
    known = {n.id for n in nodes}
    for instance_id, s in section.ids():
        node_id = s.string("node", required=True)
        bind = s.string("bind", required=True)
        url = s.url("url")
        if url is not None and not url.startswith("http://"):
            s.fault("url", "must begin with http://: instances speak plain HTTP, TLS is the balancer's")
        if node_id is not None and node_id not in known:
            s.fault("node", f"no such node: {node_id}; nodes are {', '.join(sorted(known)) or 'missing'}")
        if bind is not None:
            if not _bind_ok(bind):
                s.fault("bind", f"must be address:port, such as 127.0.0.1:10011, not {bind!r}")
            else:
                # Instances on two machines may share a bind such as 0.0.0.0:10002; then their URLs tell them apart.
                where = f"{bind} {urlsplit(url).hostname if url else ''}"
                if where in binds:
                    s.fault("bind", f"{bind} is the bind of {binds[where]} too")
                binds.setdefault(where, instance_id)
                if url is None and "url" not in s.values:
                    host = bind.rpartition(":")[0]
                    if host in ("0.0.0.0", "[::]", "*", ""):  # noqa: S104 (compared, not bound)
                        s.fault("url", f"is missing: {bind} does not say at which address others reach this instance")
                    else:
                        url = f"http://{bind}"
        if url is not None:
            if url in urls:
                s.fault("url", f"{url} is the URL of {urls[url]} too")
            urls.setdefault(url, instance_id)
        s.done()
        instances[instance_id] = Instance(instance_id, node_id or "", bind or "", url or "")
    return instances


def _records_url(section: Section, url: str, base: Path) -> str:
    """The records' URL with a relative SQLite path made absolute: instances are started from anywhere."""
    if url.startswith("sqlite:///"):
        file = url.removeprefix("sqlite:///")
        if not file or file.startswith(":memory:"):
            section.fault("records", "must name a file: workers and instances share it")
            return url
        return f"sqlite:///{base / file}"
    if re.match(r"mysql\+pymysql://[^/]+/.+", url):
        return url
    section.fault("records", "must be sqlite:///path/records.db or mysql+pymysql://user:password@host:3306/database")
    return url


def _bind_ok(bind: str) -> bool:
    host, _, port = bind.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 65536 and _host_ok(host)


def _listen_ok(listen: str) -> bool:
    host, _, port = listen.rpartition(":")
    return port.isdigit() and 0 < int(port) < 65536 and (not host or host == "*" or _host_ok(host))


def _host_ok(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return re.fullmatch(r"[A-Za-z0-9.-]+", host) is not None


def _seconds(value: int | None, default: int) -> int:
    return default if value is None else value
