"""The commands as a person calls them: help, faults without tracebacks, defaults from the machine."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from app.cli.main import main

REPO = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("version", "native"),
    [
        ("1.11.0", False),
        ("1.22.1", False),
        ("1.29.5", False),
        ("1.29.6", True),
        ("1.30.0", True),
        ("2.0.0", True),
        ("?", False),
    ],
)
def test_the_kind_of_pinning_follows_from_the_nginx_of_the_machine(
    version: str, native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "nginx"
    fake.write_text(f"#!/bin/sh\necho 'nginx version: nginx/{version}' >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("NGINX_BIN", str(fake))
    done = CliRunner().invoke(main, ["nginx", "--config", str(REPO / "instances.yaml")])
    assert done.exit_code == 0, done.output
    assert ("sticky route" in done.output) == native
    # What is asked for beats what is there.
    for sticky in ("map", "native"):
        done = CliRunner().invoke(main, ["nginx", "--config", str(REPO / "instances.yaml"), "--sticky", sticky])
        assert ("sticky route" in done.output) == (sticky == "native")


def test_without_an_nginx_to_ask_maps_serve_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGINX_BIN", "/nowhere/nginx")
    done = CliRunner().invoke(main, ["nginx", "--config", str(REPO / "instances.yaml")])
    assert "map $cookie_OPENIM_INSTANCE" in done.output
    assert "sticky" not in done.output


#: Every command that reads the deployment's file.
COMMANDS = [
    ["serve", "i1"], ["check"], ["status"], ["nginx"], ["haproxy"], ["policy", "m1"], ["config", "show"],
    ["migrate", "m1", "m2"],
    ["expire", "--older-than", "1d"], ["gc"], ["purge", "m1"], ["upload", "README.md"], ["token", "u1"],
]  # fmt: skip


def test_no_command_is_forgotten() -> None:
    without = {"import-config"}
    assert {command[0] for command in COMMANDS} == set(main.commands) - without


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_faulty_file_is_told_without_a_traceback(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "instances.yaml"
    for text, says in (("a: [", "not YAML"), ("x: 1", "nodes: is missing"), (None, "no such file")):
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        done = CliRunner().invoke(main, [*command, "--config", str(file)])
        assert done.exit_code == 2, done.output
        assert says in done.output
        assert "Traceback" not in done.output


#: Of values with a password in them, and the path of the fault; the password is shown in no piece of three characters.
PASSWORD = "qZxWvKjY"
FAULTY = [
    ("auth.redis", f"redis://:{PASSWORD}#{PASSWORD}@h:6379/0"),
    ("auth.redis", f"redis://:x@h:{PASSWORD}"),
    ("auth.redis", f"redis://:{PASSWORD}[@h:6379/0"),
    ("auth.redis", f"redis://:{PASSWORD}@h:99999/0"),
    ("auth.redis", f"redis://h?{PASSWORD}={PASSWORD}"),
    ("records", f"mysql+pymysql://u:{PASSWORD}@{PASSWORD}@h/db"),
    ("records", f"mysql+pymysql://u:{PASSWORD}/{PASSWORD}@h/db"),
    ("records", f"mysql+pymysql://u:p@h:{PASSWORD}/db"),
    ("records", f"mysql+pymysql://u:p@h/db?{PASSWORD}=1"),
    ("records", f"postgres://u:{PASSWORD}@h/db"),
    ("public_url", f"http://u:{PASSWORD}@h"),
    ("public_url", f"http://h:{PASSWORD}"),
    ("balancer.legacy_api", f"http://u:{PASSWORD}/{PASSWORD}@h"),
    ("cookie.name", f"{PASSWORD} x"),
    ("cors.origins[0]", f"https://u:{PASSWORD}@h"),
    ("nodes.m1.region", f"{PASSWORD}!"),
    ("nodes.m1.public_read", PASSWORD),
    ("server.workers", PASSWORD),
    ("uploads.expire", PASSWORD),
    ("urls", PASSWORD),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_fault_shows_a_password(command: list[str], tmp_path: Path) -> None:
    document = yaml.safe_load((REPO / "instances.yaml").read_text())
    document["auth"]["secret"] = document["nodes"]["m1"]["secret_key"] = document["nodes"]["m2"]["access_key"] = PASSWORD
    file = tmp_path / "instances.yaml"
    pieces = {PASSWORD[n : n + 3] for n in range(len(PASSWORD) - 2)}
    for path, value in FAULTY:
        changed = copy.deepcopy(document)
        target = changed
        *above, last = path.removesuffix("[0]").split(".")
        for part in above:
            target = target.setdefault(part, {})
        target[last] = [value] if path.endswith("]") else value
        file.write_text(yaml.safe_dump(changed))
        done = CliRunner().invoke(main, [*command, "--config", str(file)])
        assert done.exit_code == 2, done.output
        assert f"{file}: {path}: " in done.output
        assert not [piece for piece in pieces if piece.lower() in done.output.lower()], done.output
        assert "Traceback" not in done.output


def test_config_describes_the_file() -> None:
    shown = CliRunner().invoke(main, ["config", "show", "--config", str(REPO / "instances.yaml")])
    assert shown.exit_code == 0
    assert yaml.safe_load(shown.stdout)["auth"]["secret"] == "***"
    assert json.loads(CliRunner().invoke(main, ["config", "schema"]).stdout)["properties"]["public_url"]
    assert CliRunner().invoke(main, ["config", "reference"]).stdout == (REPO / "docs/configuration.md").read_text()


def test_every_command_is_in_the_readme() -> None:
    readme = (REPO / "README.md").read_text()
    for name, command in main.commands.items():
        assert f"openim-direct {name}" in readme, name
        assert command.help
