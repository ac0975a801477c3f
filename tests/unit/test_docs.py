"""What the documents say is there."""

from __future__ import annotations

import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def test_every_test_that_the_threat_model_names_exists() -> None:
    text = (REPO / "docs/security.md").read_text()
    named = set(re.findall(r"\btest_\w+(?!\.py)\b", text)) - {m[:-3] for m in re.findall(r"\btest_\w+\.py", text)}
    written = set()
    for file in (REPO / "tests").rglob("test_*.py"):
        written |= set(re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE))
    assert len(named) > 20
    assert named - written == set()


def test_files_that_the_readme_names_exist() -> None:
    text = (REPO / "README.md").read_text()
    paths = re.findall(r"`((?:deploy|tests|docs|app)/[\w./-]+)`", text) + re.findall(r"\]\(([\w./-]+)\)", text)
    assert len(paths) > 10
    assert [path for path in paths if not (REPO / path).exists()] == []
