"""instances.yaml: every fault in one pass, each by its path."""

from __future__ import annotations

import inspect
import re
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pymysql.connections import Connection
from redis import Redis
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from app.auth.redis_store import RedisStore
from app.config.load import ConfigError, load, parse
from app.config.models import Deployment, Entry
from app.config.section import Section

REPO = Path(__file__).resolve().parents[3]


def good() -> dict[str, Any]:
    return {
        "public_url": "http://127.0.0.1:10002",
        "auth": {"secret": "s3cr3t-value"},
        "nodes": {"m1": {"endpoint": "http://127.0.0.1:9001", "access_key": "k", "secret_key": "hidden-value"}},
        "instances": {"i1": {"node": "m1", "bind": "127.0.0.1:10011"}},
    }


def read(document: Any, **environ: str) -> Deployment:
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    return parse(text, environ, Path("/base"))


def faults(document: Any, **environ: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as e:
        read(document, **environ)
    found: dict[str, str] = {}
    for path, text in e.value.faults:
        found[path] = f"{found[path]}; {text}" if path in found else text
    return found


def put(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *above, last = path.split(".")
    target = document
    for key in above:
        target = target.setdefault(key, {})
    target[last] = value
    return document


def test_the_sample_is_good_and_runs_two_nodes() -> None:
    sample = load(REPO / "instances.yaml", {})
    assert list(sample.nodes) == ["m1", "m2"]
    assert {i.node for i in sample.instances.values()} == {"m1", "m2"}
    assert sample.records == f"sqlite:///{REPO}/data/records.db"


def test_defaults() -> None:
    deployment = read(good())
    assert deployment.uploads.expire == 86400
    assert deployment.cookie.name == "OPENIM_INSTANCE"
    assert deployment.instances["i1"].url == "http://127.0.0.1:10011"
    assert deployment.nodes["m1"].sign_endpoint == "http://127.0.0.1:9001"
    assert deployment.nodes["m1"].bucket == "openim"


def test_urls_may_end_in_a_path_where_clients_call_them() -> None:
    document = put(good(), "public_url", "https://im.example.com/api/")
    put(document, "nodes.m1.sign_endpoint", "https://im.example.com/im-minio-api")
    deployment = read(document)
    assert deployment.public_url == "https://im.example.com/api"
    assert deployment.nodes["m1"].sign_endpoint == "https://im.example.com/im-minio-api"
    assert deployment.cookie.secure


def test_addresses_are_kept_in_one_form() -> None:
    """Whichever key names them, by itself or by a variable."""
    document = put(good(), "public_url", "HTTPS://${HOST}:443/api/")
    document["nodes"] = {
        "m1": {"endpoint": "http://MinIO:80", "sign_endpoint": "https://IM.Example.com:443/s3/m1"},
        "m2": {"endpoints": ["http://[0:0::1]:9000", "http://${IDN}"]},
    }
    document["instances"] = {
        "i1": {"node": "m1", "bind": "[0::0]:10011", "url": "http://App-1:80"},
        "i2": {"node": "m2", "bind": "LocalHost:80"},
    }
    document["balancer"] = {"legacy_api": "http://API:80", "listen": "LocalHost:080"}
    document["cors"] = {
        "origins": [
            "HTTPS://Web.Example.com:443",
            "http://[::0001]:80",
            "https://B\u00fccher.example/",
            "capacitor://localhost",
        ]
    }
    document["cookie"] = {"domain": ".B\u00dcCHER.example"}
    made = read(document, HOST="IM.Example.com", IDN="\u4e2d\u56fd.CN:80")
    assert made.public_url == "https://im.example.com/api"
    assert (made.nodes["m1"].endpoint, made.nodes["m1"].sign_endpoint) == ("http://minio", "https://im.example.com/s3/m1")
    assert made.nodes["m2"].endpoints == ("http://[::1]:9000", "http://xn--fiqs8s.cn")
    assert made.nodes["m2"].sign_endpoint == "http://[::1]:9000"
    assert (made.instances["i1"].bind, made.instances["i1"].url) == ("[::]:10011", "http://app-1")
    assert (made.instances["i2"].bind, made.instances["i2"].url) == ("localhost:80", "http://localhost")
    assert (made.balancer.legacy_api, made.balancer.listen) == ("http://api", "localhost:80")
    assert made.cors_origins == (
        "https://web.example.com",
        "http://[::1]",
        "https://xn--bcher-kva.example",
        "capacitor://localhost",
    )
    assert made.cookie.domain == ".xn--bcher-kva.example"
    assert made.cookie.secure


def test_addresses_that_are_one_in_two_ways_of_writing() -> None:
    document = put(good(), "nodes.m1", {"endpoints": ["http://h", "http://H:80"]})
    put(document, "instances.i2", {"node": "m1", "bind": "127.0.0.1:10012", "url": "HTTP://127.0.0.1:10011"})
    put(document, "instances.i3", {"node": "m1", "bind": "[0::0]:1"})
    found = faults(document)
    assert "twice" in found["nodes.m1.endpoints"]
    assert "i1 too" in found["instances.i2.url"]
    # Every address of the machine, however that is written, says not which others call.
    assert "does not say at which address" in found["instances.i3.url"]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("public_url", "ftp://x", "http://"),
        ("public_url", "http://", "host"),
        ("public_url", "http://im_1.example.com", "underscore"),
        ("public_url", "http://external_ip:10002", "placeholder"),
        ("nodes.m1.endpoint", "http://minio_1:9000", "underscore"),
        ("nodes.m1.endpoints", ["http://minio_1:9000"], "underscore"),
        ("nodes.m1.sign_endpoint", "http://s3_1/s3/m1", "underscore"),
        ("instances.i1.url", "http://app_1:10011", "underscore"),
        ("instances.i1.bind", "app_1:10011", "underscore"),
        ("balancer.legacy_api", "http://api_1:10002", "underscore"),
        ("balancer.listen", "web_1:80", "underscore"),
        ("cors.origins", ["https://web_1.example.com"], "underscore.*origin"),
        ("cors.origins", ["https://web.example.com/app"], "origin"),
        ("cors.origins", ["null"], "origin"),
        ("cookie.domain", "im_1.example.com", "underscore"),
        ("cookie.domain", "im.example.com.", "dot"),
        ("cookie.domain", "[::1]", "host name"),
        ("public_url", "http://h:", "port"),
        ("public_url", "http://u:p@h", "password"),
        ("public_url", "http://h/?a=1", "query"),
        ("public_url", "http://h:99999", "port|Port"),
        ("public_url", "http://h:0", "port"),
        ("public_url", "http://h/a b", "path"),
        ("public_url", "http://h\n;evil", "control"),
        ("public_url", " http://h", "spaces"),
        ("public_url", ["x"], "string"),
        ("auth.secret", "", "missing|empty"),
        ("auth.secret", {"a": 1}, "string"),
        ("auth.admins", "openIMAdmin", "list"),
        ("auth.extra", 1, "unknown key"),
        ("records", "postgres://x/y", "sqlite"),
        ("records", "sqlite:///", "file"),
        ("records", "sqlite:///:memory:", "file"),
        ("cookie.name", "a b", "letters"),
        ("cookie.name", "a-b", "letters"),
        ("cookie.same_site", "None", "secure"),
        ("cookie.same_site", "lax", "Lax"),
        ("cookie.secure", "yes please", "true or false"),
        ("cookie.max_age", "1y", "duration"),
        ("cookie.domain", "a b", "host"),
        ("balancer.legacy_api", "nope", "http://"),
        ("balancer.listen", "0", "port"),
        ("balancer.certificate", "/a/b.pem", "together"),
        ("balancer.certificate", "/a/b; evil", "path"),
        ("uploads.expire", "1h", "2h"),
        ("uploads.expire", "8d", "7d"),
        ("server.workers", 0, "1 to 64"),
        ("server.threads", "many", "whole number"),
        ("server.connections", 9, "10 to 10000"),
        ("server.views", "0x400", "1 to 256"),
        ("server.workers", "010", "whole number"),
        ("nodes", {}, "missing"),
        ("nodes", [], "mapping"),
        ("nodes.m1", None, "missing"),
        ("nodes.m1.endpoint", "http://h/path", "path"),
        ("nodes.m1.bucket", "Bad_Bucket", "lower-case"),
        ("nodes.m1.secret_key", None, "missing"),
        ("nodes.m1.region", "a b", "letters"),
        ("nodes.m 2", {"endpoint": "http://h"}, "ID"),
        ("nodes.M1", {"endpoint": "http://h"}, "case"),
        ("instances", {}, "missing"),
        ("instances.i1.node", "m9", "no such node"),
        ("instances.i1.bind", "10011", "address:port"),
        ("instances.i1.bind", "127.0.0.1:99999", "address:port"),
        ("instances.i1.certificate", "/c.pem", "go together"),
        ("ca_file", "ca.pem", "absolute path"),
        ("nodes.m1.ca_file", "ca.pem", "absolute path"),
        ("instances.i2", {"node": "m1", "bind": "127.0.0.1:10011"}, "i1 too"),
        ("instances.i2", {"node": "m1", "bind": "0.0.0.0:10012"}, "is missing"),
        ("instances.i2", {"node": "m1", "bind": "127.0.0.1:10012", "url": "http://127.0.0.1:10011"}, "i1 too"),
        ("instances.12345678901234567890123456789012x", {"node": "m1", "bind": "127.0.0.1:1"}, "ID"),
        ("typo", 1, "unknown key"),
    ],
)  # fmt: skip
def test_each_fault_is_named_by_its_path(path: str, value: Any, says: str) -> None:
    found = faults(put(good(), path, value))
    # Of two IDs that differ in case, the second in the file is named.
    matching = {where: text for where, text in found.items() if where.lower().startswith(path.lower())}
    assert matching, found
    assert re.search(says, " ".join(matching.values())), matching


def test_all_faults_in_one_pass() -> None:
    document = good()
    for path, value in (
        ("public_url", "x"),
        ("auth.secret", None),
        ("nodes.m1.endpoint", "y"),
        ("instances.i1.node", "m9"),
        ("z", 1),
    ):
        put(document, path, value)
    assert set(faults(document)) == {"public_url", "auth.secret", "nodes.m1.endpoint", "instances.i1.node", "z"}


@pytest.mark.parametrize("text", ["", "[]", "a", "a: [", "\t", "a: 1\na: 2", "{}", "a: &x [*x]"])
def test_texts_that_are_no_deployment(text: str) -> None:
    assert faults(text)


def test_a_key_that_is_there_twice() -> None:
    text = yaml.safe_dump(good()) + "instances:\n  i7: {node: m1, bind: '127.0.0.1:1'}\n"
    assert "there twice" in faults(text)[""]


def test_environment_variables() -> None:
    document = put(good(), "auth.secret", "${SECRET}")
    assert read(document, SECRET="x: [y]").auth.secrets[0] == "x: [y]"
    assert "SECRET is not set" in faults(document)["auth.secret"]
    both = faults(put(good(), "auth.secret", "${SECRET}${OTHER}"))["auth.secret"]
    assert "SECRET is not set" in both
    assert "OTHER is not set" in both
    put(document, "auth.secret", "${SECRET:-def}ault")
    assert read(document).auth.secrets[0] == "default"
    assert read(document, SECRET="").auth.secrets[0] == "default"
    put(document, "server", {"workers": "${N:-3}"})
    assert read(document).server.workers == 3


def test_secrets_do_not_show() -> None:
    document = put(good(), "records", "mysql+pymysql://root:hidden-password@h/db")
    shown = repr(read(document))
    assert "s3cr3t-value" not in shown
    assert "hidden" not in shown
    broken = put(put(document, "public_url", "http://user:hidden-password@h"), "typo", 1)
    assert "hidden" not in str(faults(broken))


def test_relative_records_are_meant_from_the_file() -> None:
    assert read(put(good(), "records", "sqlite:///a/b.db")).records == "sqlite:////base/a/b.db"
    assert read(put(good(), "records", "sqlite:////var/b.db")).records == "sqlite:////var/b.db"


def test_a_fault_of_one_kind_hides_none_of_another() -> None:
    """Kinds of values are found by pydantic, rules between keys by ours; each rule but those that read a faulty key."""
    document = good()
    for path, value in (
        ("uploads.expire", "1y"),
        ("cookie", {"same_site": "None", "max_age": []}),
        ("legacy", {"node": "m8", "mirror": True, "table": "perhaps"}),
        ("limits", "none"),
        ("nodes.m2", "http://h"),
        ("nodes.m3", {"endpoint": "http://h", "endpoints": ["http://h", 1], "drain": {}, "access_key": "k", "x": 1}),
        ("instances.i1.node", "m9"),
        ("instances.i2", {"node": "m2", "bind": ["a"], "url": "http://127.0.0.1:10011"}),
        ("instances.i3", {"node": "m2", "bind": "127.0.0.1:10011"}),
        ("instances.i4", {"node": "${NODE}"}),
    ):
        put(document, path, value)
    assert set(faults(document)) == {
        "uploads.expire", "cookie.max_age", "cookie.same_site", "legacy.table", "legacy.node", "limits", "nodes.m2",
        "nodes.m3.endpoints[1]", "nodes.m3.drain", "nodes.m3.secret_key", "nodes.m3.x", "instances.i1.node",
        "instances.i2.bind", "instances.i3.bind", "instances.i3.url", "instances.i4.node", "instances.i4.bind",
    }  # fmt: skip


def test_each_fault_is_named_once() -> None:
    document = put(
        put(good(), "server", {"workers": "${N}"}), "auth", {"secret": "${S}", "remember": "${R}", "admins": ["${A}"]}
    )
    with pytest.raises(ConfigError) as e:
        read(put(document, "nodes.m1.secret_key_file", "nowhere"))
    paths = [path for path, _ in e.value.faults]
    assert sorted(paths) == sorted(set(paths))
    assert set(paths) == {
        "server.workers", "auth.secret", "auth.remember", "auth.admins[0]", "nodes.m1.secret_key_file",
    }  # fmt: skip


def test_the_known_keys_are_named() -> None:
    document = put(put(good(), "uploads", {"expires": "2h"}), "auth.secret_fil", "x")
    assert faults(document) == {
        "uploads.expires": "unknown key; known here: expire",
        "auth.secret_fil": "unknown key; known here: admins, redis, redis_file, remember, secret, secret_file, secrets",
    }


#: Texts that YAML readers take for numbers, dates, booleans, infinity and other things.
PLAIN = [
    "0123", "1_000", "0x1F", "0o17", "0b11", "1e3", "1.0", "1.50", ".5", "+1", "-0", "1:30:00", "190:20:30", "2024-01-01",
    "2024-01-01T00:00:00Z", "on", "off", "yes", "No", "True", "FALSE", "y", "n", ".inf", "-.INF", ".nan", "=", "<<x", "None",
    "nil", "nullx", "~x", "12345678901234567890", "1,000", "a#b", "a:b", "p@ss", "$1", "\\d", "é中😀",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_a_secret_is_the_text_that_was_written(text: str) -> None:
    raw = yaml.safe_dump(put(good(), "auth", {}))
    auth = read(raw.replace("auth: {}", f"auth:\n  secret: {text}\n  admins:\n  - {text}")).auth
    assert (auth.secrets, auth.admins) == ((text,), (text,))
    if "," not in text:
        auth = read(raw.replace("auth: {}", f"auth: {{secrets: [{text}, {text}]}}")).auth
        assert auth.secrets == (text, text)


@pytest.mark.parametrize("text", ["~", "null", "Null", "NULL"])
def test_a_secret_that_is_null_to_yaml_stands_in_quotes(text: str) -> None:
    raw = yaml.safe_dump(put(good(), "auth.secret", "SECRET"))
    assert "write it in quotes" in faults(raw.replace("SECRET", text))["auth.secret"]
    assert read(raw.replace("SECRET", f"'{text}'")).auth.secrets == (text,)
    several = raw.replace("secret: SECRET", f"secrets: [a, {text}]")
    assert "write it in quotes" in faults(several)["auth.secrets[1]"]
    keys = put(good(), "nodes.m1", {"endpoint": "http://h", "access_key": "SECRET", "secret_key": "x"})
    assert "write it in quotes" in faults(yaml.safe_dump(keys).replace("SECRET", text))["nodes.m1.access_key"]


@pytest.mark.parametrize("nothing", ["~", "null", "", "''", "${UNSET:-}"])
def test_a_key_that_is_nothing_has_its_default(nothing: str) -> None:
    document = yaml.safe_dump(put(good(), "nodes.m1", {"endpoint": "http://h"})) + "".join(
        f"{section}:\n" + "".join(f"  {key}: {nothing}\n" for key in keys)
        for section, keys in {
            "cookie": ("name", "max_age", "secure", "same_site", "domain"),
            "balancer": ("legacy_api", "listen", "certificate", "certificate_key"),
            "uploads": ("expire",),
            "legacy": ("table", "node", "mirror"),
            "limits": ("uploads_per_hour", "bytes_per_hour"),
            "server": ("workers", "connections", "views"),
        }.items()
    )
    document = document.replace("secret: s3cr3t-value", f"secret: s3cr3t-value\n  redis: {nothing}\n  remember: {nothing}")
    plain = read(put(good(), "nodes.m1", {"endpoint": "http://h"}))
    assert read(document + f"records: {nothing}\n") == plain


def test_keys_are_text_too() -> None:
    document = yaml.safe_dump(good()).replace("m1", "0123").replace("i1:", "on:")
    deployment = read(document)
    assert (list(deployment.nodes), list(deployment.instances)) == (["0123"], ["on"])
    assert (deployment.nodes["0123"].id, deployment.instances["on"].node) == ("0123", "0123")
    assert "there twice" in faults("1: a\n'1': b")[""]


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("server.workers", "3", 3), ("server.connections", "1_000", 1000), ("server.views", "0x10", 16),
        ("server.workers", "'3'", 3), ("cookie.secure", "on", True), ("cookie.secure", "YES", True),
        ("cookie.secure", "no", False), ("cookie.secure", "False", False), ("cookie.secure", "'true'", True),
        ("cookie.secure", "${X:-true}", True), ("uploads.expire", "7200", 7200), ("uploads.expire", "86_400", 86400),
        ("uploads.expire", "3 h", 10800), ("uploads.expire", "${X:-3h}", 10800), ("balancer.listen", "8080", "8080"),
        ("limits.bytes_per_hour", "0", None), ("limits.bytes_per_hour", "4611686018427387904", 2**62),
    ],
)  # fmt: skip
def test_numbers_and_flags_as_they_are_written(key: str, written: str, value: object) -> None:
    section, name = key.split(".")
    deployment = read(yaml.safe_dump(good()) + f"{section}:\n  {name}: {written}\n")
    assert getattr(getattr(deployment, section), name) == value


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("server.workers", "1e1"), ("server.workers", "2.0"), ("server.workers", "true"), ("server.workers", "[2]"),
        ("server.workers", "9" * 5000), ("cookie.secure", "1"), ("cookie.secure", "t"), ("cookie.secure", "tRue"),
        ("uploads.expire", "1:30:00"), ("uploads.expire", "-3h"), ("uploads.expire", "9" * 5000 + "h"),
        ("cookie.max_age", "1.5h"), ("limits.bytes_per_hour", str(2**62 + 1)), ("limits.uploads_per_hour", "-1"),
    ],
)  # fmt: skip
def test_what_is_no_number_and_no_flag(key: str, written: str) -> None:
    section, name = key.split(".")
    assert list(faults(yaml.safe_dump(good()) + f"{section}:\n  {name}: {written}\n")) == [key]


CANARY = "cAnArY"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"auth: {{secret: *{CANARY}}}", "in quotes"),
        (f"auth: {{secret: !{CANARY} x}}", "in quotes"),
        (f"auth: {{secret: %{CANARY}}}", "in quotes"),
        (f"auth: {{secret: '{CANARY}}}", "line"),
        (f"auth: {{secret: \"{CANARY}\\q\"}}", "line"),
        (f"auth: {{secret: [{CANARY}}}", "line"),
        (f"auth: {{secret: x: {CANARY}}}", "line"),
        (f"auth: {{secret: !!int {CANARY}}}", "tag"),
        (f"auth: {{secret: !!timestamp {CANARY}}}", "tag"),
        (f"auth: {{secret: !!binary é{CANARY}}}", "line|tag"),
        (f"auth: {{secret: \"{CANARY}\\ud800\"}}", "surrogate"),
        (f"auth: {{secret: \x00{CANARY}}}", "character"),
        (f"auth: {{? [{CANARY}] : x}}", "line"),
    ],
)  # fmt: skip
def test_what_is_not_yaml_is_named_by_its_line_and_without_its_text(line: str, says: str) -> None:
    found = faults(line)
    assert list(found) == [""]
    assert re.search(says, found[""]), found
    assert CANARY.lower() not in str(found).lower()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://:{}#x@h:6379/0", "%23"), ("redis://:x@{}@h:6379/0", "%40"), ("redis://:{}[x@h:6379/0", "%5B"),
        ("redis://:x]{}@h:6379/0", "%5D"), ("redis://:x/{}@h:6379/0", "%2F"), ("redis://:x?{}@h:6379/0", "%3F"),
        ("redis://:{}\tx@h", "control"), ("redis://:{}@h:port/0", "port"), ("redis://:{}@h:99999/0", "port"),
        ("redis://:{}@h:0/0", "port"), ("redis://:{}", "port"), ("redis://:{}@h:6379/zero", "redis://"),
        ("redis://:{}@h:6379/0/1", "redis://"), ("redis://:{}@[::1/0", "host"), ("redis://:{}@a b/0", "host"),
        ("redis://:{}@[::g]/0", "host"), ("redis:///0", "redis://"), ("unix://:{}@/tmp/redis.sock", "redis://"),
        ("{}", "redis://"), ("redis://:{}@h?password=x", "known are"), ("redis://:{}@h?{}=1", "known are"),
        ("redis://:{}@h?db={}", "db"), ("redis://:{}@h?db=1&db=2", "twice"), ("redis://:{}@h?ssl_cert_reqs=none", "rediss://"),
        ("rediss://:{}@h?ssl_cert_reqs={}", "none or optional or required"), ("redis://:{}@h/0#1", "%23"),
        ("redis://:{}@h1:6379,h2:port/0", "port"), ("redis://:{}@h1,,h2/0", "each comma"), ("redis://:{}@h1,/0", "comma"),
        ("redis://:{}@h1:6379,x@h2:6379", "%40"), ("redis://:{}@h1,h2/1", "redis://"), ("redis://:{}@h1,h2?db=2", "cluster"),
        ("redis://:{}@h1,[::g]/0", "host"), ("redis://:{}#x@h1,h2/0", "%23"), ("redis://:{}@h1,redis://h2/0", "redis://"),
    ],
)  # fmt: skip
def test_redis_urls_that_would_be_read_otherwise(url: str, says: str) -> None:
    found = faults(put(good(), "auth.redis", url.replace("{}", CANARY)))
    assert list(found) == ["auth.redis"]
    assert says in found["auth.redis"]
    assert CANARY.lower() not in str(found).lower()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql+pymysql://u:{}#x@h/db", "%23"), ("mysql+pymysql://u:x@{}@h/db", "%40"),
        ("mysql+pymysql://u:{}[x@h/db", "%5B"),
        ("mysql+pymysql://u:x/{}@h/db", "%2F"), ("mysql+pymysql://u:x?{}@h/db", "%3F"),
        ("mysql+pymysql://u:{}@h:port/db", "port"),
        ("mysql+pymysql://u:{}@h:99999/db", "port"), ("mysql+pymysql://u:{}@h", "database"),
        ("mysql+pymysql://u:{}@h/", "database"),
        ("mysql+pymysql://u:{}@h/db?charset=utf8mb4&unix_socket=/x", "known are charset"),
        ("mysql+pymysql://u:{}@h/db?{}=1", "known are charset"), ("mysql+pymysql://u:{}@h/db?charset={}", "utf8mb4"),
        ("mysql+pymysql://u:{}@h/db?connect_timeout=x", "connect_timeout"), ("mysql+pymysql://u:{}@h/db#x", "%23"),
        ("mysql+pymysql://u:{}中@h/db", "Latin-1"), ("mysql://u:{}@h/db", "mysql+pymysql"),
        ("postgres://u:{}@h/db", "sqlite"),
        ("sqlite:///a.db?timeout=5", "no options"), ("sqlite:///a%20b.db", "without"), ("{}", "sqlite"),
    ],
)  # fmt: skip
def test_records_urls_that_would_be_read_otherwise(url: str, says: str) -> None:
    found = faults(put(good(), "records", url.replace("{}", CANARY)))
    assert list(found) == ["records"]
    assert says in found["records"]
    assert CANARY.lower() not in str(found).lower()


passwords = st.text(st.characters(max_codepoint=255), min_size=1, max_size=20)


@settings(deadline=None)
@given(passwords, passwords)
def test_percent_encoded_passwords_reach_redis_and_mysql(user: str, password: str) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    urls = {
        "redis": f"rediss://{login}@redis_1:6379/3?ssl_cert_reqs=none&ssl_ca_certs=/etc/a@b.pem",
        "mysql": f"mysql+pymysql://{login}@[::1]:3307/openIM_v3?charset=utf8mb4&ssl_ca=/etc/a@b.pem&connect_timeout=5",
    }
    deployment = read(put(put(good(), "auth.redis", urls["redis"]), "records", urls["mysql"]))
    arguments = Redis.from_url(deployment.auth.redis).connection_pool.connection_kwargs
    assert (arguments["username"], arguments["password"], arguments["host"]) == (user, password, "redis_1")
    assert (arguments["port"], arguments["db"]) == (6379, 3)
    url = make_url(deployment.records)
    assert (url.username, url.password, url.host, url.port, url.database) == (user, password, "::1", 3307, "openIM_v3")
    shown = repr(deployment)
    assert login not in shown


@pytest.mark.parametrize("url", ["redis://h", "redis://h:6379", "redis://:6379/0", "redis://u@h/15", "redis://:p@[::1]:6379/0",
                                 "redis://h:6379?db=1", "redis://h/0?socket_timeout=0.5", "rediss://:p%23@h",
                                 "redis://:p,q@h1:6379,h2:6379/0", "rediss://u:p@[::1]:6379,[::2]:63,h3?db=0"])  # fmt: skip
def test_redis_urls_that_worked(url: str) -> None:
    assert read(put(good(), "auth.redis", url)).auth.redis == url
    RedisStore(url)


@pytest.mark.parametrize("option", ["charset=utf8mb4", "connect_timeout=5&read_timeout=9&write_timeout=9", "program_name=x",
                                    "init_command=SET%20a%3D1", "sql_mode=ANSI", "ssl_ca=/c.pem&ssl_check_hostname=false",
                                    "ssl_cert=/c&ssl_key=/k&ssl_capath=/d&ssl_cipher=AES", "ssl_verify_cert=true",
                                    "ssl_verify_identity=true"])  # fmt: skip
def test_options_of_mysql_are_those_of_pymysql(option: str) -> None:
    url = f"mysql+pymysql://u:p@h/db?{option}"
    assert read(put(good(), "records", url)).records == url
    engine = create_engine(url)
    _, arguments = engine.dialect.create_connect_args(engine.url)
    assert set(arguments) <= set(inspect.signature(Connection.__init__).parameters)
    engine.dispose()


def test_secrets_in_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0123 ${X}\n")
    (tmp_path / "key").chmod(0o644)
    (tmp_path / "db").write_text("mysql+pymysql://u:p@ss@h/db")
    (tmp_path / "empty").write_text("")
    document = put(good(), "auth", {"secret_file": "${NAME:-key}"})
    deployment = parse(yaml.safe_dump(document), {}, tmp_path)
    assert deployment.auth.secrets == ("0123 ${X}",)
    assert any("chmod o-r" in warning for warning in deployment.warnings)
    # Either may come from the environment.
    for secret, file in (("x", ""), ("", "key")):
        put(document, "auth", {"secret": "${S:-}", "secret_file": "${F:-}"})
        assert parse(yaml.safe_dump(document), {"S": secret, "F": file}, tmp_path).auth.secrets == (secret or "0123 ${X}",)
    put(document, "auth", {"secret_file": "key", "secret": "x", "redis_file": "empty"})
    put(document, "records_file", "db")
    put(document, "nodes.m1", {"endpoint": "http://h", "secret_key_file": "nowhere", "access_key_file": ["x"]})
    with pytest.raises(ConfigError) as e:
        parse(yaml.safe_dump(document), {}, tmp_path)
    found = dict(e.value.faults)
    assert {"auth.secret_file", "auth.redis_file", "nodes.m1.secret_key_file", "nodes.m1.access_key_file"} < set(found)
    assert "%40" in found["records"]
    assert len(found) == 5


@pytest.mark.parametrize(
    ("change", "warns"),
    [
        ({}, True),
        ({"auth": {"secret": "${S:-x}"}, "nodes": {"m1": {"endpoint": "http://h"}}}, False),
        ({"auth": {"secrets": ["${S:-x}", "y"]}, "nodes": {"m1": {"endpoint": "http://h"}}}, True),
        ({"auth": {"secret": "${S:-x}", "redis": "redis://:p@h"}, "nodes": {"m1": {"endpoint": "http://h"}}}, True),
        ({"auth": {"secret": "${S:-x}", "redis": "redis://h"}, "nodes": {"m1": {"endpoint": "http://h"}}}, False),
    ],
)
def test_a_file_with_secrets_that_everybody_may_read(tmp_path: Path, change: dict[str, Any], warns: bool) -> None:
    file = tmp_path / "instances.yaml"
    file.write_text(yaml.safe_dump({**good(), **change}))
    for mode in (0o600, 0o604):
        file.chmod(mode)
        assert any("chmod o-r" in warning for warning in load(file, {}).warnings) == (warns and mode == 0o604)


def test_threads_have_no_meaning_any_more() -> None:
    deployment = read(put(good(), "server", {"threads": 4, "views": 6}))
    assert (deployment.server.connections, deployment.server.views) == (1000, 6)
    assert ["server.threads has no meaning any more" in warning for warning in deployment.warnings] == [True]
    assert read(good()).warnings == ()


def test_a_faulty_file_shows_nothing_of_its_values_in_a_traceback() -> None:
    with pytest.raises(ConfigError) as e:
        read(put(good(), "nodes.m1.secret_key", {"a": CANARY}))
    assert CANARY not in "".join(traceback.format_exception(e.value))


def test_instances_with_tls() -> None:
    document = good()
    files = {"certificate": "/c.pem", "certificate_key": "/k.pem"}
    document["instances"] = {f"i{n}": {"node": "m1", "bind": f"127.0.0.1:{n}", **files} for n in (1, 2, 3)}
    assert {i.url for i in read(document).instances.values()} == {f"https://127.0.0.1:{n}" for n in (1, 2, 3)}
    document["instances"]["i2"] = {"node": "m1", "bind": "127.0.0.1:2"}
    document["instances"]["i3"]["url"] = "http://127.0.0.1:3"
    found = faults(document)
    assert set(found) == {"instances.i2.url", "instances.i3.url"}
    assert "all are one of them" in found["instances.i2.url"]
    # Behind a TLS proxy of its own.
    document["instances"] = {"i1": {"node": "m1", "bind": "127.0.0.1:1", "url": "https://h"}}
    assert read(document).instances["i1"].url == "https://h"


def test_the_readme_names_every_key() -> None:
    section = (REPO / "README.md").read_text().split("## instances.yaml", 1)[1].split("\n## ", 1)[0]
    documented = set(re.findall(r"`([^`]+)`", section))
    keys = {
        key
        for model in (*Section.__subclasses__(), *Entry.__subclasses__())
        for key, field in model.model_fields.items()
        if not field.deprecated
    }
    missing = {key for key in keys if not any(re.search(rf"\b{key}\b", span) for span in documented)}
    assert len(keys) > 25
    assert missing == set()
