"""v3.4.0's configuration files to an instances.yaml."""

from __future__ import annotations

import copy
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from app.cli.main import main
from app.config.load import load

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


def test_passwords_with_odd_characters_survive(tmp_path: Path) -> None:
    from sqlalchemy.engine import make_url

    document = changed("mysql.password", "p@ss:w/rd#%é")
    document["redis"]["password"] = "r@d:s/%"
    made = yaml.safe_load(run(tmp_path, document).stdout)
    assert make_url(made["records"]).password == "p@ss:w/rd#%é"
    import redis

    client = redis.Redis.from_url(made["auth"]["redis"])
    assert client.connection_pool.connection_kwargs["password"] == "r@d:s/%"


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
