"""The SDK's own multipart methods are protected ones: held on the installed version, and on the lowest allowed."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import minio

from tests.integration import minio_contract
from tests.stack import REPO, MinIONode


def lowest() -> str:
    setup = configparser.ConfigParser()
    setup.read(REPO / "setup.cfg")
    found = re.search(r"^minio>=([\d.]+),", setup["options"]["install_requires"], re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_installed_version(nodes: dict[str, MinIONode]) -> None:
    assert minio_contract.check(nodes["m1"].url) == minio.__version__


def test_the_lowest_version(tmp_path: Path, nodes: dict[str, MinIONode]) -> None:
    version = lowest()
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(tmp_path),
        f"minio=={version}",
    ]
    subprocess.run(install, check=True, timeout=120)
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.minio_contract", nodes["m1"].url],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout.strip()) == (0, version), done.stderr
