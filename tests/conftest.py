"""Shared by all tests: what belongs to which run, and the versions in pytest's header."""

from __future__ import annotations

import platform
from importlib.metadata import version


def pytest_report_header() -> str:
    names = ("flask", "gunicorn", "minio", "sqlalchemy", "msgspec", "pyjwt")
    return f"python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in names)
