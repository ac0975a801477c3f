"""What a view reads of the request line and the headers, as they came."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from flask import Flask

from app.api.request import first_value, raw_target, requested_name, requested_query
from app.core.errors import RecordNotFoundError


@pytest.mark.parametrize(
    ("raw", "target", "name"),
    [
        ("/object/u1/x", "/object/u1/x", "u1/x"),
        ("/object/u1/x?a=/object/u2/y", "/object/u1/x?a=/object/u2/y", "u1/x"),
        ("/object/u1/object/x.png", "/object/u1/object/x.png", "u1/object/x.png"),
        ("/object/object/x", "/object/object/x", "object/x"),
        ("/object//object/x", "/object//object/x", "/object/x"),
        ("/object/", "/object/", ""),
        ("/object/%2Fu1%2F%E5%9B%BE%25", "/object/%2Fu1%2F%E5%9B%BE%25", "/u1/图%"),
        ("/i/i1/object/u1/x", "/object/u1/x", "u1/x"),
        ("/i/i1/object/i/i1/object/x?q", "/object/i/i1/object/x?q", "i/i1/object/x"),
        # Instances may be called so.
        ("/i/object/object/u1/x", "/object/u1/x", "u1/x"),
        ("/i/i/object/u1/object/x", "/object/u1/object/x", "u1/object/x"),
        # Go's client of the absolute form, and hosts of any name.
        ("http://h/object/u1/x?y", "/object/u1/x?y", "u1/x"),
        ("http://object/object/u1/x", "/object/u1/x", "u1/x"),
        ("HTTP://object/i/object/object/u1/x", "/object/u1/x", "u1/x"),
        # v3.4.0 looks for routes in the decoded path.
        ("/%6Fbject/u1/x", "/object/u1/x", "u1/x"),
        ("/object%2Fu1/%2Fx", "/object/u1/%2Fx", "u1//x"),
        ("/i%2F%69%31/%6fbject/u1/%object/", "/object/u1/%object/", "u1/%object/"),
        # Bytes, as WSGI gives them.
        ("/object/\xe5\x9b\xbe%41\xbe?x=\xbe", "/object/%E5%9B%BE%41%BE?x=%BE", None),
        ("/i/i1/object/\xe5\x9b\xbe", "/object/%E5%9B%BE", "图"),
    ],
)
def test_the_target_begins_with_the_routes_object(raw: str, target: str, name: str | None) -> None:
    path = raw.partition("?")[0]
    if "://" in path:
        path = "/" + path.split("/", 3)[3]
    environ = {"RAW_URI": raw, "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1")}
    with Flask(__name__).test_request_context(environ_overrides=environ):
        assert raw_target() == target
        if name is None:
            # No name has bytes that are not UTF-8.
            with pytest.raises(RecordNotFoundError):
                requested_name()
        else:
            assert requested_name() == name


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("", {}),
        ("type=image&width=1", {"type": "image", "width": "1"}),
        ("type=&type=video", {"type": ""}),
        ("type", {"type": ""}),
        ("&&type=a+b&", {"type": "a b"}),
        ("%74ype=%E7%85%A7", {"type": "照"}),
        # Go leaves out what it cannot read, and what it takes for a separator that is none any more.
        ("type=video;width=1&height=2", {"height": "2"}),
        ("type=%zz&%=1&width=1%", {}),
        ("type=video#top", {"type": "video#top"}),
    ],
)
def test_a_query_is_read_as_go_reads_it(query: str, read: dict[str, str]) -> None:
    with Flask(__name__).test_request_context(environ_overrides={"RAW_URI": f"/object/u1/a?{query}"}):
        assert requested_query() == read


def test_of_a_header_that_is_there_twice_the_first_counts() -> None:
    with Flask(__name__).test_request_context(headers={"token": "a,b", "operationID": ",x"}):
        assert (first_value("token"), first_value("operationID"), first_value("none")) == ("a", "", "")
    with Flask(__name__).test_request_context(environ_overrides={"HTTP_TOKEN": "\t a\xa0 "}):
        # Blanks as HTTP has them (RFC 9110, 5.6.3): no other is taken off a token.
        assert first_value("token") == "a\xa0"
