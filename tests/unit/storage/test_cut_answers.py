"""An answer that ends within its header is never taken for a whole one: the object would look empty, gone or changed."""

from __future__ import annotations

import pytest

from app.core.errors import NetworkError
from app.core.model import ObjectInfo
from tests.sockets import answers, server
from tests.unit.storage.nodes import node

#: As MinIO answers, which orders its headers by name, and as nginx in front of it passes that on.
HEADERS = {
    "MinIO": (
        "Accept-Ranges: bytes", "Content-Length: 5242", "Content-Type: image/png",
        'ETag: "2f249230a8e7c2bf6005ccd2679259ec"', "Last-Modified: Sat, 28 Nov 2026 14:05:09 GMT", "Server: MinIO",
        "X-Amz-Request-Id: 18A", "x-amz-meta-writer: openim-direct", "Date: Sat, 28 Nov 2026 14:05:10 GMT",
    ),
    "nginx": (
        "Server: nginx", "Date: Sat, 28 Nov 2026 14:05:10 GMT", "Content-Type: image/png", "Content-Length: 5242",
        "Connection: keep-alive", "Accept-Ranges: bytes", 'ETag: "2f249230a8e7c2bf6005ccd2679259ec"',
        "Last-Modified: Sat, 28 Nov 2026 14:05:09 GMT", "x-amz-meta-writer: openim-direct",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADERS)
def test_a_head_that_is_cut_anywhere(kind: str) -> None:
    whole = "\r\n".join(["HTTP/1.1 200 OK", *HEADERS[kind], "", ""]).encode()
    told = 0
    for length in range(0, len(whole) + 1, 3):
        with server(answers(whole[:length])) as s:
            m1 = node(s.url)
            try:
                found = m1.stat("k")
            except NetworkError:
                told += 1
            else:
                # What came after the ETag nobody asks for; the type is said before it.
                assert found == ObjectInfo(5242, "2f249230a8e7c2bf6005ccd2679259ec", "image/png"), whole[:length]
            m1.close()
    assert told * 3 > whole.index(b"ETag")


def test_who_wrote_it_needs_all_of_the_answer() -> None:
    whole = "\r\n".join(["HTTP/1.1 200 OK", *HEADERS["MinIO"], "", ""]).encode()
    for end, right in ((b"openim-dir", False), (b"Date: Sat, 28", False), (b"\r\n\r\n", True)):
        with server(answers(whole[: whole.index(end) + len(end)])) as s:
            m1 = node(s.url)
            if right:
                written = m1.written("k")
                assert written is not None
                assert (written.age, written.ours) == (1, True)
            else:
                with pytest.raises(NetworkError):
                    m1.written("k")
            m1.close()


@pytest.mark.parametrize("cut", [b"", b"Content-Le", b'ETag: "2f2492'])
def test_a_listing_or_a_content_without_a_length(cut: bytes) -> None:
    with server(answers(b"HTTP/1.1 200 OK\r\nServer: MinIO\r\n" + cut)) as s:
        for ask in (lambda n: n.list_page("openim/"), lambda n: n.read("k", 10), lambda n: n.remove_many(["k"])):
            m1 = node(s.url)
            with pytest.raises(NetworkError, match="the connection was cut"):
                ask(m1)
            m1.close()
