"""Which names are taken, and how they stand in URLs."""

from __future__ import annotations

import pytest

from app.core.errors import ArgsError, NoPermissionError
from app.core.names import check_name, object_url


def test_names() -> None:
    for name in ("u1/a", "u1/", "u1//", "u1/a..b", "u1/..."):
        check_name(name, "u1", False)
    check_name("any/thing", "admin", True)
    for name in ("", "/u1/a", "u1/a/..", "u1/../a", "u1/./a", "u1/a\x00"):
        with pytest.raises(ArgsError):
            check_name(name, "u1", False)
    # Also for an admin: those are not about rights.
    with pytest.raises(ArgsError):
        check_name("x/../y", "admin", True)
    for name in ("u2/a", "u1", "u11/a"):
        with pytest.raises(NoPermissionError):
            check_name(name, "u1", False)


def test_urls_of_names() -> None:
    assert object_url("http://h/api", "u1/图 a") == "http://h/api/object/u1/图 a"
    assert object_url("http://h", "%#?\\\"'\n\x7f") == "http://h/object/%25%23%3F%5C%22%27%0A%7F"
