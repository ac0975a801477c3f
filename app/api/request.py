"""Reads what a view needs of the request: the JSON body, the name in the path, the path as the client sent it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_to_bytes

from flask import current_app, request
from werkzeug.exceptions import ClientDisconnected
from werkzeug.routing import BaseConverter

from app.api.services import Services
from app.core import wire
from app.core.errors import BodyIncomplete, RecordNotFoundError
from app.core.names import api_address, encoded_target, instance_url
from app.core.wire import RequestT

#: Bytes; 10,000 part hashes take 350 KB.
MAX_BODY = 1 << 20
#: Where the services lie in `Flask.extensions`.
EXTENSION = "openim-direct"
_OBJECT = "/object/"
#: What Go leaves a pair of a query out for.
_UNREADABLE = re.compile(r";|%(?![0-9A-Fa-f]{2})")
#: What stands before the path in the absolute form of a request (RFC 9112, 3.2.2), and a character that is encoded.
_ORIGIN, _ENCODED = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*"), re.compile("%[0-9A-Fa-f]{2}")


class NameConverter(BaseConverter):
    """Matches an object's name in a path: anything, empty and with slashes at any place, as v3.4.0's `/*name`."""

    regex = r"[\s\S]*"
    part_isolating = False


def current_services() -> Services:
    """Return the parts that this instance was composed of."""
    services: Services = current_app.extensions[EXTENSION]
    return services


def read_body() -> bytes:
    """Read the request's whole body.

    :raises RequestEntityTooLarge: over `MAX_BODY` bytes (Flask's MAX_CONTENT_LENGTH).
    :raises BodyIncomplete: the rest of it did not come; a body that ends early is none.
    :raises BodyError: its chunks are malformed (from the stream itself).
    """
    try:
        body = request.get_data()
    except TimeoutError:
        raise BodyIncomplete("the rest of the body did not come in time") from None
    except ClientDisconnected:
        raise BodyIncomplete("the connection ended in the middle of the body") from None
    if request.content_length is not None and len(body) < request.content_length:
        raise BodyIncomplete(f"the body ended after {len(body)} of {request.content_length} bytes")
    return body


def read_json(shape: type[RequestT]) -> RequestT:
    """Read the body as the JSON that a route takes.

    :raises BodyError: it is not; and as `read_body`.
    """
    return wire.decode(read_body(), shape)


def raw_target() -> str:
    """Return path and query as the client sent them, without what stands before the `/object/` that the route begins with.

    gunicorn keeps them in RAW_URI: WSGI's own path is decoded, and so loses `%2F` and bytes that are not UTF-8.
    """
    raw = str(request.environ["RAW_URI"])
    if not raw.isascii():
        # As it should have been sent. gunicorn before 27 takes raw bytes, which are Latin-1 here.
        raw = encoded_target(raw)
    if raw.startswith(_OBJECT):
        return raw
    raw, path = _ORIGIN.sub("", raw), str(request.environ["PATH_INFO"])
    # `/i/<instance>/object/`, or one of the two with characters percent-encoded. A name may hold the same once more.
    before = 0 if path.startswith(_OBJECT) else path.index("/", len("/i/"))
    end = 0
    for _ in range(before + len(_OBJECT)):
        end += 3 if _ENCODED.match(raw, end) else 1
    return _OBJECT + raw[end:]


def requested_name() -> str:
    """Return the object's name in the path of a view, decoded once.

    A URL that names an instance, perhaps one that is gone, shows its object at any other that it reaches unstripped.

    :raises RecordNotFoundError: no UTF-8; no such name can have been uploaded.
    """
    try:
        return unquote_to_bytes(raw_target().partition("?")[0][len(_OBJECT) :]).decode()
    except UnicodeDecodeError:
        raise RecordNotFoundError from None


def requested_query() -> Mapping[str, str]:
    """Return the query of a view as Go reads it: of each key the first value, and without pairs that it cannot read."""
    query = raw_target().partition("?")[2]
    pairs = [pair for pair in query.split("&") if pair and not _UNREADABLE.search(pair)]
    return dict(reversed(parse_qsl("&".join(pairs), keep_blank_values=True)))


def first_value(header: str) -> str:
    """Return the value of a header of the request, of the first where it is there several times, as Go does.

    WSGI joins them by commas, which no value has that is asked for so.
    """
    return request.headers.get(header, "").partition(",")[0].strip(" \t")


def returned_api() -> str:
    """Return what URLs in the answer begin with: what the client asks for in X-Request-Api, else public_url."""
    services = current_services()
    asked = request.headers.get("X-Request-Api")
    address = (asked and api_address(asked)) or services.deployment.public_url
    return instance_url(address, services.instance.id) if services.deployment.instance_urls else address
