"""v3.4.0's configuration files to an instances.yaml."""

from __future__ import annotations

import copy
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from sqlalchemy.engine import make_url

from app.cli.main import main
from app.config.document import dump_yaml, load_yaml
from app.config.load import ConfigError, load, parse
from app.config.v340 import convert
from app.core.errors import ImportFault

SAMPLE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "v3.4.0-config.yaml").read_text())


def run(tmp_path: Path, *documents: Any, options: tuple[str, ...] = ()) -> Result:
    files = []
    for n, document in enumerate(documents):
        file = tmp_path / f"config{n + 1}.yaml"
        file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
        files.append(str(file))
    return CliRunner().invoke(main, ["import-config", *files, *options])


def changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(SAMPLE)
    *above, last = path.split(".")
    target = document
    for key in above:
        target = target[key]
    if value is KeyError:
        del target[last]
    else:
        target[last] = value
    return document


def test_two_third_rpcs_with_a_node_each(tmp_path: Path) -> None:
    second = changed("object.minio.endpoint", "http://172.28.0.2:10005")
    second["object"]["minio"].update(publicRead=True, sessionToken="t")
    output = tmp_path / "instances.yaml"
    done = run(tmp_path, SAMPLE, second, options=("-o", str(output)))
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    made = load(output, {})
    assert made.public_url == "http://127.0.0.1:10002"
    assert made.auth.secrets == ("openIM123",)
    assert made.auth.redis == "redis://:openIM123@172.28.0.1:16379/0"
    assert made.auth.admins == ("openIM123456", "openIM654321", "openIMAdmin")
    assert made.records == "mysql+pymysql://root:openIM123@172.28.0.1:13306/openIM_v3"
    assert (made.legacy.table, made.legacy.node, made.legacy.mirror) == (True, None, True)
    assert [n.endpoint for n in made.nodes.values()] == ["http://172.28.0.1:10005", "http://172.28.0.2:10005"]
    assert made.nodes["m1"].sign_endpoint == "http://127.0.0.1:10005"
    assert made.nodes["m1"].secret_key == "openIM123"
    assert (made.nodes["m2"].public_read, made.nodes["m2"].session_token) == (True, "t")
    assert {i.node for i in made.instances.values()} == {"m1", "m2"}
    assert made.balancer.legacy_api == "http://127.0.0.1:10002"
    # What an operator must look at is said.
    for word in ("loopback", "move that API to another port", "legacy.node is auto"):
        assert word in done.stderr


def test_two_third_rpcs_on_one_node(tmp_path: Path) -> None:
    done = run(tmp_path, SAMPLE, SAMPLE)
    made = yaml.safe_load(done.stdout)
    assert list(made["nodes"]) == ["m1"]
    assert list(made["instances"]) == ["i1", "i2"]
    assert made["legacy"]["node"] == "m1"


def test_addresses_come_in_one_form(tmp_path: Path) -> None:
    """Two files that write one node differently have one node; what is no address is said, and the rest is made."""
    first, second = changed("object.apiURL", "HTTP://IM.Example.com:80/api/"), copy.deepcopy(SAMPLE)
    first["object"]["minio"].update(endpoint="http://MinIO:80/", signEndpoint="https://IM.Example.com:443/minio")
    second["object"]["minio"]["endpoint"] = "http://minio"
    first["api"]["openImApiPort"] = [80]
    done = run(tmp_path, first, second)
    made = yaml.safe_load(done.stdout)
    assert list(made["nodes"]) == ["m1"]
    assert made["public_url"] == "http://im.example.com/api"
    assert made["nodes"]["m1"]["endpoint"] == "http://minio"
    assert made["nodes"]["m1"]["sign_endpoint"] == "https://im.example.com/minio"
    # Also where neither says its port.
    assert "(port 80): move that API to another port" in done.stderr
    faults = {"http://external_ip:10002": "placeholder", "http://im_1:10002": "underscore", "http://h:port": "port"}
    for url, says in faults.items():
        done = run(tmp_path, changed("object.apiURL", url))
        assert done.exit_code == 0, done.output
        assert yaml.safe_load(done.stdout)["public_url"] == url
        assert re.search(rf"still to be mended in the result:\n.*public_url: .*{says}", done.stderr), done.stderr


def test_passwords_with_odd_characters_survive(tmp_path: Path) -> None:
    document = changed("mysql.password", "p@ss:w/rd#%é")
    document["redis"]["password"] = "r@d:s/%"
    made = yaml.safe_load(run(tmp_path, document).stdout)
    assert make_url(made["records"]).password == "p@ss:w/rd#%é"
    client = Redis.from_url(made["auth"]["redis"])
    assert client.connection_pool.connection_kwargs["password"] == "r@d:s/%"


@pytest.mark.parametrize(
    ("address", "mode", "url"),
    [
        (["h1:6379", "h2:6380", "h3:6381"], None, "redis://:openIM123@h1:6379,h2:6380,h3:6381/0"),
        (["h1:6379", "h2:6380"], False, "redis://:openIM123@h1:6379,h2:6380/0"),
        (["h1:6379"], True, "redis://:openIM123@h1:6379/0"),
        (["[::1]:6379", "[::1]:6380", "[::1]:6379"], True, "redis://:openIM123@[::1]:6379,[::1]:6380/0"),
        ("h1:6379", "yes", "redis://:openIM123@h1:6379/0"),
    ],
)
def test_a_redis_cluster_is_carried_over(tmp_path: Path, address: Any, mode: Any, url: str) -> None:
    document = changed("redis.address", address)
    document["redis"]["clusterMode"] = mode
    output = tmp_path / "instances.yaml"
    done = run(tmp_path, document, options=("-o", str(output)))
    assert load(output, {}).auth.redis == url
    assert "not supported" not in done.stderr
    assert ("found through it" in done.stderr) == (url.count(",") == 0)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("object.minio.endpoint", KeyError, "object.minio.endpoint is missing"),
        ("object.minio", KeyError, "object.minio.accessKeyID is missing"),
        ("object.enable", "cos", "only minio"),
        ("secret", "", "secret is missing"),
        ("mysql.address", [], "mysql.address is missing"),
        ("redis", KeyError, "redis.address is missing"),
        ("api", None, "api.openImApiPort is missing"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(tmp_path: Path, path: str, value: Any, says: str) -> None:
    output = tmp_path / "instances.yaml"
    done = run(tmp_path, changed(path, value), options=("-o", str(output)))
    assert done.exit_code == 2
    assert says in done.output
    assert not output.exists()


@pytest.mark.parametrize("text", ["a: [", "", "[]", "just text", "mongodb: {uri: x}\nminio: {bucket: b}", "\x00"])
def test_files_of_another_kind(tmp_path: Path, text: str) -> None:
    """Also those of later versions, which keep the same settings in several files."""
    done = run(tmp_path, text)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert "config1.yaml" in done.output


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "instances.yaml"
    output.write_text("mine")
    assert "there already" in run(tmp_path, SAMPLE, options=("-o", str(output))).output
    assert output.read_text() == "mine"
    assert run(tmp_path, SAMPLE, options=("-o", str(output), "--force")).exit_code == 0


def test_the_placeholder_and_variables_are_named(tmp_path: Path) -> None:
    document = changed("object.apiURL", "http://external_ip:10002")
    document["secret"] = "a${b}"
    done = run(tmp_path, document)
    assert "public_url holds the placeholder external_ip" in done.stderr
    assert "auth.secret holds ${" in done.stderr


#: As v3.4.0 read them: Go's yaml.v3 takes a scalar's own text into a field of type string.
PASSWORDS = [
    "0123", "1_000", "0x1F", "0o17", "0b1", "1e3", "1.50", ".5", "+1", "1:30:00", "2024-01-01",
    "2001-12-14t21:59:43.10-05:00", "on", "no", "Yes", "true", "FALSE", "y",
    ".inf", ".NaN", "=", "<<", "a#b", "a:b", "12345678901234567890", "é中😀",
]  # fmt: skip
_TEMPLATE = yaml.safe_dump(
    {
        **SAMPLE,
        "secret": "PASSWORD",
        "mysql": {**SAMPLE["mysql"], "username": "PASSWORD", "password": "PASSWORD"},
        "redis": {**SAMPLE["redis"], "username": "PASSWORD", "password": "PASSWORD"},
        "manager": {**SAMPLE["manager"], "userID": ["PASSWORD"]},
        "object": {
            **SAMPLE["object"],
            "minio": {
                **SAMPLE["object"]["minio"],
                "accessKeyID": "PASSWORD",
                "secretAccessKey": "PASSWORD",
                "sessionToken": "PASSWORD",
            },
        },
    }
)


def carried_over(written: str) -> list[str]:
    """Every place of a file of v3.4.0 in which a password or key stands, read, written and read again."""
    imported = convert([("config.yaml", load_yaml(_TEMPLATE.replace("PASSWORD", written)))])
    deployment = parse(dump_yaml(imported.document), {}, Path("/"))
    node = deployment.nodes["m1"]
    redis = Redis.from_url(str(deployment.auth.redis)).connection_pool.connection_kwargs
    mysql = make_url(deployment.records)
    found = [*deployment.auth.secrets, *deployment.auth.admins, node.access_key, node.secret_key, node.session_token]
    return [str(text) for text in (*found, redis["username"], redis["password"], mysql.username, mysql.password)]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_passwords_are_the_text_that_v340_used(password: str, quote: str) -> None:
    if any(ord(c) > 255 for c in password):
        with pytest.raises(ConfigError, match="records: has a password that PyMySQL cannot send"):
            carried_over(f"{quote}{password}{quote}")
    else:
        assert carried_over(f"{quote}{password}{quote}") == [password] * 9


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=255), min_size=1, max_size=30).filter(lambda text: "${" not in text))
def test_any_password_is_carried_over(password: str) -> None:
    # JSON's strings are YAML's; its writer escapes what YAML would not take as it is.
    assert carried_over(json.dumps(password)) == [password] * 9


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_what_is_written_is_read_back_and_is_text_to_other_readers(text: str) -> None:
    document = {"a": text, "b": [text], "c": {"d": text}}
    written = dump_yaml(document)
    assert load_yaml(written) == document
    assert yaml.safe_load(written) == document


@pytest.mark.parametrize("text", PASSWORDS)
def test_numbers_of_other_versions_of_yaml_are_quoted(text: str) -> None:
    if text[0] in "+-.0123456789":
        assert dump_yaml({"a": text}) == f"a: '{text}'\n"


@pytest.mark.parametrize("nothing", ["", "~", "null", "''"])
def test_a_password_that_is_nothing(nothing: str) -> None:
    text = _TEMPLATE.replace("password: PASSWORD", f"password: {nothing}").replace("username: PASSWORD", "username: root")
    made = convert([("config.yaml", load_yaml(text.replace("sessionToken: PASSWORD", f"sessionToken: {nothing}")))]).document
    assert made["records"].startswith("mysql+pymysql://root:@")
    assert made["auth"]["redis"].startswith("redis://root:@")
    assert "session_token" not in made["nodes"]["m1"]
    with pytest.raises(ImportFault, match="secret is missing"):
        convert([("config.yaml", load_yaml(_TEMPLATE.replace("secret: PASSWORD", f"secret: {nothing}")))])


@pytest.mark.parametrize(
    ("written", "public"), [("true", True), ("on", True), ("Y", True), ("false", False), ("tRue", False)]
)
def test_flags_as_go_reads_them(written: str, public: bool) -> None:
    text = _TEMPLATE.replace("publicRead: false", f"publicRead: {written}")
    assert written in text
    made = convert([("config.yaml", load_yaml(text))]).document
    assert made["nodes"]["m1"].get("public_read", False) == public


@pytest.mark.parametrize("line", ["secret: *cAnArY", "secret: 'cAnArY", "redis: {password: !cAnArY x}", "mysql: [cAnArY}"])
def test_a_file_that_is_not_yaml_shows_nothing_of_itself(tmp_path: Path, line: str) -> None:
    done = run(tmp_path, line)
    assert done.exit_code == 2
    assert "config1.yaml: not YAML: line 1" in done.output
    assert "anar" not in done.output.lower()
