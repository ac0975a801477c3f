"""Shared by all tests: what belongs to which run, and the versions in pytest's header."""

from __future__ import annotations

import platform
from importlib.metadata import version

from hypothesis import settings

# An example takes as long as the machine and the measuring of coverage let it.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_report_header() -> str:
    names = ("flask", "gunicorn", "minio", "sqlalchemy", "msgspec", "pyjwt")
    return f"python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in names)
