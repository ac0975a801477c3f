"""What S3's error codes come to, as a real answer on a socket and by the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.core.errors import InternalError, NetworkError
from app.core.model import ChangedObject, InvalidParts, NoSuchUpload
from app.storage.node import Node
from app.storage.s3_errors import TABLE, EmptyRange, NoSuchObject, PreconditionFailed, StorageFull, by_code
from tests.servers import answers, error, server, xml
from tests.unit.storage.nodes import node

BUSY = [
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "ServiceUnavailable",
    "RequestTimeout",
    "XMinioServerNotInitialized",
    "XMinioReadQuorum",
    "XMinioWriteQuorum",
]
FULL = {
    "XMinioStorageFull": "its disk is full",
    "XMinioAdminBucketQuotaExceeded": "the bucket's quota is reached",
}
CURES = {
    "InvalidAccessKeyId": "the node does not know this access_key",
    "SignatureDoesNotMatch": "the secret_key of the node is wrong",
    "RequestTimeTooSkewed": "the clocks of this machine and of the node differ by over 15 minutes",
    "AccessDenied": "the node's keys lack the right to do this",
    "NoSuchBucket": "the bucket of the node is not there",
}
FACTS: dict[str, type[Exception]] = {
    "NoSuchKey": NoSuchObject,
    "PreconditionFailed": PreconditionFailed,
    "InvalidRange": EmptyRange,
    "NoSuchUpload": NoSuchUpload,
    "InvalidPart": InvalidParts,
    "InvalidPartOrder": InvalidParts,
    "EntityTooSmall": InvalidParts,
}


def test_the_table_has_these_codes() -> None:
    assert set(TABLE) == {*BUSY, *FULL, *CURES, *FACTS}


@pytest.mark.parametrize("code", BUSY)
def test_passing_troubles_are_for_another_instance(code: str) -> None:
    found = by_code("m1", code, "words")
    assert type(found) is NetworkError
    assert str(found) == f"MinIO node m1 is busy or short of drives ({code})"


@pytest.mark.parametrize("code", FULL)
def test_a_node_without_room_is_for_another_instance_too(code: str) -> None:
    found = by_code("m1", code, "words")
    assert type(found) is StorageFull
    assert str(found) == f"MinIO node m1 takes no new objects: {FULL[code]} ({code}); what is there can be read"
    full = by_code("m1", "InternalError", "We encountered an internal error: cause(no space left on device)")
    assert type(full) is StorageFull and "its disk is full (InternalError)" in str(full)


@pytest.mark.parametrize("code", CURES)
def test_what_the_owner_has_to_mend_is_said(code: str) -> None:
    found = by_code("m1", code, "words")
    assert type(found) is InternalError
    assert str(found) == f"MinIO node m1: {CURES[code]} ({code})"


@pytest.mark.parametrize("code", FACTS)
def test_what_the_caller_asked_to_know(code: str) -> None:
    assert type(by_code("m1", code, "words")) is FACTS[code]


def test_any_other_code_is_a_refusal_in_s3s_words() -> None:
    assert str(by_code("m1", "Odd", "words")) == "MinIO node m1: words (Odd)"
    assert str(by_code("m1", "Odd")) == "MinIO node m1: refused (Odd)"
    assert type(by_code("m1", "Odd")) is InternalError


EMPTY = b"Content-Length: 0\r\n\r\n"
HTML = b"Content-Type: text/html\r\nContent-Length: 4\r\n\r\noops"


@pytest.mark.parametrize(
    ("answer", "call", "expected"),
    [
        # The answer to a HEAD has no body.
        (b"HTTP/1.1 404 Not Found\r\n" + EMPTY, lambda n: n.stat("k"), None),
        (b"HTTP/1.1 403 Forbidden\r\n" + EMPTY, lambda n: n.stat("k"), (InternalError, "lack the right")),
        (b"HTTP/1.1 503 Service Unavailable\r\n" + EMPTY, lambda n: n.stat("k"), (NetworkError, "busy")),
        (b"HTTP/1.1 500 Oops\r\n" + EMPTY, lambda n: n.stat("k"), (InternalError, "HTTP 500")),
        (b"HTTP/1.1 502 Bad Gateway\r\n" + HTML, lambda n: n.read("k", 5), (NetworkError, "does not answer as S3 does")),
        (b"HTTP/1.1 502 Bad Gateway\r\n" + HTML, lambda n: n.put("k", b"x"), (NetworkError, "does not answer as S3 does")),
        (
            b"HTTP/1.1 502 Bad Gateway\r\n" + HTML,
            lambda n: n.put_once("k", b"x", "a/b"),
            (NetworkError, "does not answer as S3 does"),
        ),
        (b"HTTP/1.1 200 OK\r\n" + HTML, lambda n: n.create_upload("k"), (InternalError, "not S3's")),
        (xml("<Error><Code>"), lambda n: n.create_upload("k"), (InternalError, "not S3's")),
        (error("NoSuchKey", "404 Not Found"), lambda n: n.read("k", 5), b""),
        (error("InvalidRange", "416 Range Not Satisfiable"), lambda n: n.read("k", 5), b""),
        (error("PreconditionFailed", "412 Precondition Failed"), lambda n: n.put_once("k", b"x", "a/b"), None),
        (error("NoSuchUpload", "404 Not Found"), lambda n: n.abort_upload("k", "u"), None),
        (
            error("PreconditionFailed", "412 Precondition Failed"),
            lambda n: n.reading("k", "e", 0, 5).__enter__(),
            ChangedObject,
        ),
        (error("NoSuchKey", "404 Not Found"), lambda n: n.reading("k", "e", 0, 5).__enter__(), ChangedObject),
    ],
)
def test_calls_by_answers(answer: bytes, call: Callable[[Node], Any], expected: Any) -> None:
    with server(answers(answer)) as storage:
        m1 = node(storage.url)
        if isinstance(expected, tuple):
            with pytest.raises(expected[0], match=expected[1]) as e:
                call(m1)
            assert type(e.value) is expected[0]
        elif isinstance(expected, type):
            with pytest.raises(expected):
                call(m1)
        else:
            assert call(m1) == expected
        # It did answer.
        assert m1.availability.down_since is None
        m1.close()
