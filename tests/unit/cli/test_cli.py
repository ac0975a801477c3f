"""The commands as a person calls them: help, faults without tracebacks, defaults from the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
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


@pytest.mark.parametrize("command", [["nginx"], ["haproxy"], ["serve", "i1"], ["token", "u1"], ["upload", "README.md"]])
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


def test_every_command_is_in_the_readme() -> None:
    readme = (REPO / "README.md").read_text()
    for name, command in main.commands.items():
        assert f"openim-direct {name}" in readme, name
        assert command.help
