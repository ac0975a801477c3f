"""Streams: what is cut is never taken for whole, and a source that fails is not the target's fault."""

from __future__ import annotations

import gzip
import io
import socket
from typing import IO, cast

import pytest

from app.core.errors import NetworkError
from app.core.model import SourceFailed
from tests.servers import ANSWER, Behaviour, answers, read_request, server
from tests.unit.storage.nodes import node


def content(data: bytes, length: int | None = None, more: str = "") -> bytes:
    said = len(data) if length is None else length
    return f"HTTP/1.1 206 Partial Content\r\nContent-Length: {said}\r\nContent-Type: a/b\r\n{more}\r\n".encode() + data


def closing(text: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(text)

    return behave


def test_a_stream_is_read_in_pieces_and_whole() -> None:
    seen: list[bytes] = []
    with server(answers(content(b"0123456789"), seen=seen)) as storage:
        m1 = node(storage.url)
        with m1.reading("k", "abc", 5, 10) as stream:
            assert stream.content_type == "a/b"
            assert [stream.read(4), stream.read(4), stream.read(4), stream.read(4)] == [b"0123", b"4567", b"89", b""]
        with m1.reading("k", "abc", 0, 10) as stream:
            assert (stream.read(), stream.read()) == (b"0123456789", b"")
        m1.close()
    assert b'if-match: "abc"' in seen[0].lower()
    assert b"range: bytes=5-14" in seen[0].lower()


@pytest.mark.parametrize(
    "answer",
    [
        content(b"01234", 10),
        # By its end alone; and of another length than was requested.
        b"HTTP/1.1 206 Partial Content\r\n\r\n01234",
        b"HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
        content(b"01234"),
    ],
)
@pytest.mark.parametrize("count", [3, -1, 1000])
def test_a_body_that_ends_early_is_an_error(answer: bytes, count: int) -> None:
    with server(closing(answer)) as storage:
        m1 = node(storage.url)
        with pytest.raises(NetworkError, match="m1 does not answer"), m1.reading("k", "e", 0, 10) as stream:
            while stream.read(count):
                pass
        m1.close()


def test_a_read_that_ends_early_is_an_error() -> None:
    with server(closing(content(b"01234", 10))) as storage:
        m1 = node(storage.url)
        with pytest.raises(NetworkError, match="cut"):
            m1.read("k", 10)
        m1.close()


def test_content_is_not_decoded() -> None:
    packed = gzip.compress(b"x" * 100)
    with server(answers(content(packed, more="Content-Encoding: gzip\r\n"))) as storage:
        m1 = node(storage.url)
        assert m1.read("k", 1000) == packed
        with m1.reading("k", "e", 0, len(packed)) as stream:
            assert stream.read() == packed
        m1.close()


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 20) + 5])
def test_a_write_is_sent_with_its_length_and_not_in_chunks(size: int) -> None:
    seen: list[bytes] = []
    with server(answers(ANSWER, seen=seen)) as storage:
        m1 = node(storage.url)
        assert m1.write("k", io.BytesIO(b"x" * size), size, "a/b") == "e"
        assert m1.write("k", io.BytesIO(b"x" * size), size, "a/b", ("u", 7)) == "e"
        m1.close()
    for request in seen:
        head, _, body = request.partition(b"\r\n\r\n")
        assert f"content-length: {size}\r\n".encode() in head.lower() + b"\r\n"
        assert b"transfer-encoding" not in head.lower()
        assert body == b"x" * size
    assert b"if-none-match: *" in seen[0].lower()
    assert b"if-none-match" not in seen[1].lower()
    assert b"partNumber=7&uploadId=u&" in seen[1]


class Failing:
    """A source that breaks off after some bytes."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.left = 3

    def read(self, count: int) -> bytes:
        self.left -= 1
        if self.left:
            return b"x" * min(count, 1000)
        raise self.error


def test_a_source_that_fails_passes_through_and_does_not_mark_the_target() -> None:
    cause = SourceFailed(NetworkError("MinIO node m2 does not answer"))
    with server(answers(ANSWER)) as storage:
        m1 = node(storage.url)
        with pytest.raises(SourceFailed) as e:
            m1.write("k", cast("IO[bytes]", Failing(cause)), 1 << 20, "")
        assert e.value is cause
        assert m1.availability.down_since is None
        # Nor is its half-sent request's connection used again.
        assert m1.write("k", io.BytesIO(b"ok"), 2, "") == "e"
        assert storage.connections == 2
        m1.close()


def test_a_source_that_is_shorter_than_was_said_is_the_source_s_failure() -> None:
    with server(answers(ANSWER)) as storage:
        m1 = node(storage.url)
        with pytest.raises(SourceFailed, match="ended 2 bytes early"):
            m1.write("k", io.BytesIO(b"x" * 8), 10, "")
        assert m1.availability.down_since is None
        m1.close()


def test_a_refused_write_leaves_what_is_there() -> None:
    refused = b"HTTP/1.1 412 Precondition Failed\r\nContent-Type: application/xml\r\n"
    body = b"<Error><Code>PreconditionFailed</Code></Error>"
    with server(answers(refused + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)) as storage:
        m1 = node(storage.url)
        assert m1.write("k", io.BytesIO(b"12"), 2, "") == ""
        m1.close()
