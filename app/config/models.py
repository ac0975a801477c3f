"""The settings of a deployment: each key of instances.yaml, its kind, default, bounds and meaning, once and here.

`docs/configuration.md`, `openim-direct config schema` and every fault's text are made from them; the text below a key is its
description. Kinds of values are in `values` and `urls`, rules between keys in `rules`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PrivateAttr, model_validator

from app.config.section import Section
from app.config.urls import URL, Bind, Domain, Listen, Origin, RecordsURL, RedisURL, URLWithPath
from app.config.values import Duration, Flag, SecretText, SecretURL, Text, Whole, matching

#: The Go SDK's resume code fails under an hour left, so that shorter lives would break every upload with it.
MIN_UPLOAD_EXPIRE = 2 * 3600
#: SigV4's own limit for a signed URL.
MAX_UPLOAD_EXPIRE = 7 * 86400
#: A token that v3.4.0 kicked out must be refused within seconds.
MAX_REMEMBER = 5
#: Of nodes and instances: they stand in cookies, URLs and balancer maps.
ID = r"[A-Za-z0-9_-]{1,32}"

CookieName = Annotated[
    Text, matching(r"[A-Za-z_][A-Za-z0-9_]*", "must be letters, digits and _ (nginx reads $cookie_<name>)")
]
FilePath = Annotated[Text, matching(r"[A-Za-z0-9_./@+-]+", "must be a file path of letters, digits and _ . / @ + -")]
Bucket = Annotated[
    Text,
    matching(
        r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "must be 3 to 63 lower-case letters, digits, - and . (S3's rule for bucket names)",
    ),
]
Region = Annotated[Text, matching(r"[A-Za-z0-9-]+", "must be letters, digits and -")]
NodeOrAuto = Annotated[
    Text | None,
    BeforeValidator(lambda node: None if node == "auto" else node),
    PlainSerializer(lambda node: node or "auto", return_type=str),
]
#: 0 is no limit.
Limit = Annotated[Whole | None, AfterValidator(lambda number: number or None)]


class Auth(Section):
    """Who may call, and how tokens and upload IDs are signed."""

    secret: SecretText | None = None
    """Signs tokens, as in v3.4.0 (`secret`); upload IDs are sealed under a key derived from it. Required."""
    secrets: tuple[SecretText, ...] = ()
    """Instead of `secret`, while it is being changed: a list, the newest first, all of which are taken."""
    redis: RedisURL | None = Field(default=None, examples=["redis://:password@host:6379/0"])
    """Redis in which v3.4.0 keeps each token's state (kicked out, gone), which is then checked; `null` checks the signature
    alone. A cluster by several of its servers, `redis://:password@host1:6379,host2:6379/0`, or by one. `rediss://` for TLS,
    with the options `ssl_ca_certs`, `ssl_cert_reqs`, `ssl_certfile`, `ssl_keyfile` and `ssl_check_hostname`."""
    admins: tuple[Text, ...] = ()
    """Users who may write any name (v3.4.0: `manager.userID`)."""
    remember: Duration = Field(default=MAX_REMEMBER, ge=0, le=MAX_REMEMBER)
    """How long a verified token is taken again without being verified; `0` verifies it each time."""


class Cookie(Section):
    """The instance cookie, which keeps a client on one instance."""

    name: CookieName = "OPENIM_INSTANCE"
    """Letters, digits and `_`."""
    max_age: Duration | None = Field(default=None, ge=1, le=400 * 86400)
    """How long browsers keep it; a session by default."""
    secure: Flag | None = None
    """Sent by https alone; by default whether `public_url` is https."""
    same_site: Literal["Lax", "Strict", "None"] = "Lax"
    """As browsers define it; `None` (sent by other sites' pages too) needs `secure`."""
    domain: Domain | None = Field(default=None, examples=["im.example.com"])
    """Host name, for a cookie that its subdomains get too."""


class Balancer(Section):
    """What the rendered nginx and HAProxy need to know beyond nodes and instances."""

    legacy_api: URL | None = Field(default=None, examples=["http://127.0.0.1:10002"])
    """The v3.4.0 API, for all routes but `/object/`; without it they are answered 404."""
    listen: Listen | None = Field(default=None, examples=["127.0.0.1:8080"])
    """Where the balancer listens: a port on IPv4 and IPv6, or one address and port; the port of `public_url` by default, on
    loopback where that is."""
    certificate: FilePath | None = None
    """File of the TLS certificate and its chain; needed for an https `public_url` unless `listen` names a port behind a TLS
    proxy. Goes with `certificate_key`."""
    certificate_key: FilePath | None = None
    """File of the certificate's key."""


class Uploads(Section):
    """Uploads under way."""

    expire: Duration = Field(default=86400, ge=MIN_UPLOAD_EXPIRE, le=MAX_UPLOAD_EXPIRE)
    """How long an unfinished upload and its signed URLs live."""


class Views(Section):
    """Downloads."""

    cache: Duration = Field(default=5, ge=0, le=60)
    """Within how long a name that is uploaded again shows its new content; balancers answer hot views from their cache
    meanwhile; `0` asks at each view."""


class Legacy(Section):
    """What a v3.4.0 deployment left behind."""

    table: Flag = False
    """Whether names that are not in our records are looked for in v3.4.0's table `object` (never altered), v3.4.0's content
    is known, and its multipart upload IDs are honoured; `records` is then v3.4.0's database."""
    node: NodeOrAuto = None
    """The node that holds v3.4.0's objects; `auto` asks each node once for each object, and remembers."""
    mirror: Flag = False
    """Whether new records are written to v3.4.0's table too, so that going back keeps them; what does not fit (191
    characters, a name that it takes for another's) is logged. Needs `table`."""


class Limits(Section):
    """What one user may begin; counted in Redis where there is one, else by each worker for itself."""

    uploads_per_hour: Limit = Field(default=None, ge=0, le=10**9)
    """Uploads that one user may begin in an hour; no limit by default, or by `0`."""
    bytes_per_hour: Limit = Field(default=None, ge=0, le=2**62)
    """Bytes of these uploads; no limit by default, or by `0`."""


class CORS(Section):
    """Pages of other origins in browsers."""

    origins: tuple[Origin, ...] = Field(default=(), examples=["https://web.example.com"])
    """Origins whose pages may send cookies along and read the answers (`credentials: "include"`,
    `crossorigin="use-credentials"`); pages of all others may do the rest, as with v3.4.0. The balancer's file names them
    too: render it again after a change."""


class Server(Section):
    """The processes of an instance."""

    workers: Whole = Field(default=2, ge=1, le=64)
    """Processes of an instance; one for each core that MinIO and nginx leave."""
    connections: Whole = Field(default=1000, ge=10, le=10_000)
    """Connections that one worker holds open at once; more wait in the kernel's queue."""
    views: Whole = Field(default=8, ge=1, le=256)
    """Views that one worker answers at once; more wait, so that a chat list full of thumbnails does not keep an upload
    waiting."""
    threads: Whole | None = Field(default=None, ge=1, le=256, exclude=True, deprecated=True)
    """Has no meaning any more."""


class Entry(Section):
    """One of several, by its ID."""

    _id: str = PrivateAttr("")

    @property
    def id(self) -> str:
        return self._id


class Node(Entry):
    """A MinIO node, or a cluster of several that hold the same objects."""

    endpoint: URL = Field(default="", examples=["http://10.0.0.1:9000"])
    """As instances reach it. Required."""
    endpoints: tuple[URL, ...] = ()
    """Instead of `endpoint`: a list, of one MinIO cluster; calls go to one that answers."""
    sign_endpoint: URLWithPath = Field(default="", examples=["http://host/s3/m1"])
    """As clients reach it; may end in a path that the balancer strips; `endpoint` by default."""
    ca_file: FilePath | None = None
    """Of this node alone, instead of the `ca_file` of all."""
    bucket: Bucket = "openim"
    """A missing one is created."""
    region: Region = "us-east-1"
    """As the node is configured; it stands in every signature."""
    access_key: SecretText | None = None
    """Goes with `secret_key`; a file without both redirects to the node's own instance."""
    secret_key: SecretText | None = None
    """Goes with `access_key`."""
    session_token: SecretText | None = None
    """Of temporary credentials (v3.4.0: `sessionToken`)."""
    public_read: Flag = False
    """Whether everyone may read the bucket, and views are not signed (v3.4.0: `publicRead`)."""
    drain: Flag = False
    """Whether no new uploads come to it: its objects are on their way to another node."""


class Instance(Entry):
    """A server of this program."""

    node: Text = Field(examples=["m1"])
    """ID of its own node."""
    bind: Bind = Field(examples=["127.0.0.1:10011"])
    """Where it listens."""
    url: URL = ""
    """As the balancer and other instances reach it; `http://<bind>` by default, `https://<bind>` with a `certificate`. All
    are http, or all https."""
    certificate: FilePath | None = None
    """File of the TLS certificate and its chain with which it speaks TLS itself; a renewed file is taken within a minute.
    Goes with `certificate_key`."""
    certificate_key: FilePath | None = None
    """File of the certificate's key."""


class Deployment(Section):
    """The same file on every instance."""

    public_url: URLWithPath = Field(examples=["https://im.example.com"])
    """The balancer as clients call it (v3.4.0: `object.apiURL`); may end in a path, which returned URLs keep."""
    urls: Literal["name", "instance"] = "name"
    """`name`: returned URLs are `/object/...`; `instance`: `/i/<instance>/object/...`, for balancers that route by path
    alone; both kinds always resolve."""
    records: RecordsURL = Field(
        default=SecretURL("sqlite:///data/records.db"), examples=["mysql+pymysql://user:password@host:3306/database"]
    )
    """Which object each name means: SQLite (a path relative to this file) for instances on one machine, else MySQL; all
    instances share it. Options follow a `?`, such as `ssl_ca=/etc/ssl/mysql.pem`, or `ssl_verify_identity=true` by
    `ca_file`; without them TLS is used as the server offers it, and not verified."""
    ca_file: FilePath | None = Field(default=None, examples=["/etc/ssl/private-ca.pem"])
    """File of a private authority's certificates (PEM, an absolute path), trusted instead of the system's by instances and
    by rendered balancers: for nodes, instances at https, Redis (`rediss://`) and MySQL (with an option `ssl_...`)."""
    auth: Auth
    cookie: Cookie = Cookie()
    balancer: Balancer = Balancer()
    uploads: Uploads = Uploads()
    views: Views = Views()
    legacy: Legacy = Legacy()
    limits: Limits = Limits()
    cors: CORS = CORS()
    server: Server = Server()
    nodes: dict[str, Node] = Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": f"^{ID}$"}})
    instances: dict[str, Instance] = Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": f"^{ID}$"}})
    _warnings: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _name(self) -> Deployment:
        for entries in (self.nodes, self.instances):
            for entry_id, entry in (entries or {}).items():
                entry._id = entry_id
        return self

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works and should not be left so, for people."""
        return self._warnings

    @property
    def instance_urls(self) -> bool:
        return self.urls == "instance"

    @property
    def cors_origins(self) -> tuple[str, ...]:
        return self.cors.origins

    def instances_of(self, node_id: str) -> list[Instance]:
        return [i for i in self.instances.values() if i.node == node_id]
