"""What is said of instances.yaml: the JSON Schema, the reference, and a deployment as it was understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from app.config.describe import reference, schema, shown
from app.config.load import ConfigError, load, parse
from tests.unit.config.test_load import good, put

REPO = Path(__file__).resolve().parents[3]
SCHEMA = jsonschema_rs.validator_for(json.loads(schema()))

RICH: dict[str, Any] = {
    "public_url": "${URL:-https://im.example.com}/api",
    "urls": "instance",
    "records_file": "/dev/null",
    "auth": {"secrets": ["new", "${OLD:-old}"], "redis": None, "admins": ["a", 123456], "remember": 3},
    "cookie": {"name": "C", "max_age": "30d", "secure": True, "same_site": "${S:-None}", "domain": ".example.com"},
    "balancer": {"legacy_api": "http://h:1", "listen": 8080, "certificate": "/c.pem", "certificate_key": "/k.pem"},
    "uploads": {"expire": 7200},
    "views": {"cache": "5s"},
    "legacy": {"table": False, "node": "m1", "mirror": "${MIRROR:-false}"},
    "limits": {"uploads_per_hour": 100, "bytes_per_hour": "${BYTES:-1_000_000}"},
    "cors": {"origins": ["https://web.example.com"]},
    "server": {"workers": 4, "connections": "500", "views": "${VIEWS:-4}", "threads": 4},
    "nodes": {
        "m1": {
            "endpoints": ["http://h:1", "http://h:2"],
            "sign_endpoint": "http://h/s3/m1",
            "access_key": 123,
            "secret_key_file": "keys/m1",
            "session_token": "${T:-}",
            "public_read": "on",
            "drain": False,
        },
        "m2": {"endpoint": "${M2}", "bucket": None, "region": "eu"},
    },
    "instances": {"i1": {"node": "m1", "bind": "0.0.0.0:10002", "url": "http://h:10002"}},
}


@pytest.mark.parametrize("document", [yaml.safe_load((REPO / "instances.yaml").read_text()), good(), RICH])
def test_the_schema_takes_what_the_program_takes(document: dict[str, Any]) -> None:
    jsonschema_rs.validate(json.loads(schema()), document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("typo", 1), ("auth.typo", 1), ("nodes.m1.typo", 1), ("instances.i1.threads", 1), ("public_url", "ftp://h"),
        ("public_url", None), ("auth", None), ("auth.secret", {}), ("auth.admins", "a"), ("uploads.expire", "1y"),
        ("uploads.expire", 3600), ("server.workers", 0), ("server.workers", "many"), ("server.connections", 10_001),
        ("cookie.secure", "yes please"), ("cookie.same_site", "lax"), ("urls", "both"), ("nodes", {}),
        ("nodes.m 2", {"endpoint": "http://h"}), ("instances.i2", {"node": "m1"}), ("instances.i1.bind", "10011"),
    ],
)  # fmt: skip
def test_the_schema_refuses_what_the_program_refuses(path: str, value: Any) -> None:
    document = put(good(), path, value)
    assert not SCHEMA.is_valid(document)
    with pytest.raises(ConfigError):
        parse(yaml.safe_dump(document), {}, Path("/"))


def test_a_deployment_is_shown_as_it_was_understood() -> None:
    document = {**RICH, "records": "mysql+pymysql://root:hidden-5@h:3306/db?charset=utf8mb4"}
    del document["records_file"]
    document["auth"] = {"secrets": ["hidden-1", "hidden-2"], "redis": "redis://:hidden-3@h:6379/0"}
    document["nodes"] = {
        "m1": {"endpoint": "http://h:1", "access_key": "hidden-6", "secret_key": "hidden-7", "session_token": "hidden-8"}
    }
    deployment = parse(yaml.safe_dump(document), {}, Path("/"))
    text = shown(deployment)
    assert "hidden" not in text
    found = yaml.safe_load(text)
    assert found["auth"] == {
        "secrets": ["***", "***"], "redis": "redis://:***@h:6379/0", "admins": [], "remember": "5s",
    }  # fmt: skip
    assert found["records"] == "mysql+pymysql://root:***@h:3306/db?charset=utf8mb4"
    assert found["nodes"]["m1"] == {
        "endpoint": "http://h:1", "sign_endpoint": "http://h:1", "bucket": "openim", "region": "us-east-1",
        "access_key": "***", "secret_key": "***", "session_token": "***", "public_read": False, "drain": False,
        "ca_file": None,
    }  # fmt: skip
    assert found["uploads"] == {"expire": "2h"}
    assert found["server"] == {"workers": 4, "connections": 500, "views": 4}
    # It can be read again, as the same but for its secrets.
    jsonschema_rs.validate(json.loads(schema()), found)
    assert shown(parse(text, {}, Path("/"))) == text


def test_the_sample_is_shown() -> None:
    sample = load(REPO / "instances.yaml", {})
    again = parse(shown(sample).replace("'***'", "openIM123"), {}, REPO)
    assert again.model_dump() == sample.model_dump()
    assert again.nodes["m1"].endpoints == sample.nodes["m1"].endpoints


def test_the_reference_is_up_to_date() -> None:
    written = (REPO / "docs/configuration.md").read_text()
    assert written == reference(), "openim-direct config reference > docs/configuration.md"


def test_the_reference_has_every_key_with_its_bounds() -> None:
    text = reference()
    assert text.count("\n| `") > 40
    for row in (
        "| `uploads.expire` |",
        "| duration, 2h to 7d | `1d` |",
        "| `nodes.<id>.drain` |",
        "whole number, 10 to 10000 | `1000`",
    ):
        assert row in text
