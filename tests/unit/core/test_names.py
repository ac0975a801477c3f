"""Which names are taken, and how they stand in URLs."""

from __future__ import annotations

import pytest

from app.core.errors import ArgsError, NoPermissionError
from app.core.names import api_address, check_name, encoded_target, object_url


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


@pytest.mark.parametrize(
    ("name", "path"),
    [
        # v3.4.0's own form, of what may stand in a path (RFC 3986, 3.3).
        ("u1/hello.txt", "u1/hello.txt"),
        ("u1/~a-b_c.d/e!$&()*+,;=:@2x.png", "u1/~a-b_c.d/e!$&()*+,;=:@2x.png"),
        ("u1/ ", "u1/%20"),
        ("u1/图 a", "u1/%E5%9B%BE%20a"),
        ("u1/\U0001f600e\u0301", "u1/%F0%9F%98%80e%CC%81"),
        ("%#?\\\"'<>|^`{}[]\n\x7f", "%25%23%3F%5C%22%27%3C%3E%7C%5E%60%7B%7D%5B%5D%0A%7F"),
        ("u1//a/", "u1//a/"),
        ("u1/%2e%2e/x", "u1/%252e%252e/x"),
    ],
)
def test_urls_of_names(name: str, path: str) -> None:
    assert object_url("http://h/api", name) == f"http://h/api/object/{path}"


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("https://im.example.com:8443/api/", "https://im.example.com:8443/api"),
        ("HTTPS://IM.Example.com:443", "https://im.example.com"),
        ("http://[0:0::1]:80/x", "http://[::1]/x"),
        ("http://a_b", None),
        ("http://h/?a=b", None),
        ("http://u:p@h", None),
        ("ftp://h", None),
        # Headers are Latin-1 in WSGI: no telling what was meant.
        ("http://b\xfccher.example", None),
        ("http://" + "h" * 300, None),
        ("", None),
    ],
)
def test_what_x_request_api_may_ask_for(header: str, address: str | None) -> None:
    assert api_address(header) == address


def test_targets_arrive_as_they_came_but_for_what_none_may_hold() -> None:
    assert encoded_target("/object/a//%2F..;+'?x=%41") == "/object/a//%2F..;+'?x=%41"
    assert encoded_target("/object/\xe7\x85\xa7 100%") == "/object/%E7%85%A7%20100%25"
