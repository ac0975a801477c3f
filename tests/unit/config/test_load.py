"""instances.yaml: every fault in one pass, each by its path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config.load import ConfigError, Deployment, load, parse

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


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("public_url", "ftp://x", "http://"),
        ("public_url", "http://", "host"),
        ("public_url", "http://u:p@h", "password"),
        ("public_url", "http://h/?a=1", "query"),
        ("public_url", "http://h:99999", "port|Port"),
        ("public_url", "http://h:0", "port"),
        ("public_url", "http://h/a b", "path"),
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
        ("cookie.domain", "a b", "host name"),
        ("balancer.legacy_api", "nope", "http://"),
        ("balancer.listen", "0", "port"),
        ("balancer.certificate", "/a/b.pem", "together"),
        ("balancer.certificate", "/a/b; evil", "path"),
        ("uploads.expire", "1h", "2h"),
        ("uploads.expire", "8d", "7d"),
        ("server.workers", 0, "1 to 64"),
        ("server.threads", "many", "whole number"),
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
        ("instances.i1.url", "https://h:1", "plain HTTP"),
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


def test_the_readme_explains_every_key() -> None:
    """Keys are found where the reader looks for them: each in a code span of the README's section."""
    source = (REPO / "app/config/load.py").read_text()
    getters = "string|strings|secret|url|boolean|integer|duration|section"
    keys = set(re.findall(rf"\b(?:s|top|legacy_section)\.(?:{getters})\(\s*\"(\w+)\"", source))
    section = (REPO / "README.md").read_text().split("## instances.yaml", 1)[1].split("\n## ", 1)[0]
    documented = set(re.findall(r"`([^`]+)`", section))
    missing = {key for key in keys if not any(re.search(rf"\b{key}\b", span) for span in documented)}
    assert len(keys) > 25
    assert missing == set()
