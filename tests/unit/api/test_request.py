"""What a view reads of the request line and the headers."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.ctx import RequestContext

from app.api.request import first_value, raw_target, requested_name, requested_query

app = Flask("test")


def reading(raw: str) -> RequestContext:
    return app.test_request_context(environ_overrides={"RAW_URI": raw})


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
    with reading(f"/object/u1/a?{query}"):
        assert requested_query() == read


@pytest.mark.parametrize(
    ("raw", "name", "target"),
    [
        ("/object/u1/a%2Fb", "u1/a/b", "/object/u1/a%2Fb"),
        ("/object/u1/a#b?x=1", "u1/a#b", "/object/u1/a#b?x=1"),
        ("http://host/object/u1/a", "u1/a", "/object/u1/a"),
        # As gunicorn before 27 hands on raw UTF-8.
        ("/object/u1/照.txt".encode().decode("latin-1"), "u1/照.txt", "/object/u1/%E7%85%A7.txt"),
    ],
)
def test_names(raw: str, name: str, target: str) -> None:
    with reading(raw):
        assert (requested_name(), raw_target()) == (name, target)


def test_of_a_header_that_is_there_twice_the_first_counts() -> None:
    with app.test_request_context(headers={"token": "a,b", "operationID": ",x"}):
        assert (first_value("token"), first_value("operationID"), first_value("none")) == ("a", "", "")
