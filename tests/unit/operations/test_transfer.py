"""A source that breaks off, over real connections: an error that names the source, and the target is not to blame."""

from __future__ import annotations

import hashlib
import socket
import struct
from pathlib import Path

import pytest
import yaml

from app.config.load import parse
from app.config.models import Node as NodeConfig
from app.core.errors import NetworkError
from app.core.model import ObjectInfo
from app.operations.transfer import Limiter, copy_object, md5_of
from app.storage.node import Node
from tests.sockets import Behaviour, answers, read_request, server, whole

CONTENT = bytes(range(256)) * 1024
SIZE = len(CONTENT)
ETAG = hashlib.md5(CONTENT).hexdigest()
INFO = ObjectInfo(SIZE, ETAG)
UNLIMITED = Limiter(None)


def reset(connection: socket.socket, requests: list[bytes]) -> None:
    """Sends half and then a RST instead of a FIN."""
    if read_request(connection, requests):
        connection.sendall(whole(CONTENT)[: SIZE // 2])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


#: Ways of sending less than was asked for.
SHORT: dict[str, Behaviour] = {
    "cut by FIN": answers(whole(CONTENT)[: SIZE // 2]),
    "cut by RST": reset,
    "last byte missing": answers(whole(CONTENT)[:-1]),
    "length not told": answers(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + CONTENT[:-1]),
    "another length told": answers(whole(CONTENT[:-1])),
    "no byte": answers(whole(b"")),
    "chunk cut": answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s" % (SIZE, CONTENT[:-1])),
    "last chunk missing": answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"),
}


def config(node_id: str, url: str) -> NodeConfig:
    document = {
        "public_url": "http://127.0.0.1:1",
        "auth": {"secret": "s3cr3t-value"},
        "nodes": {node_id: {"endpoint": url, "access_key": "k", "secret_key": "hidden-value"}},
        "instances": {"i1": {"node": node_id, "bind": "127.0.0.1:3"}},
    }
    return parse(yaml.safe_dump(document), {}, Path("/")).nodes[node_id]


class Source(Node):
    """The node m1, of which all but its content is known."""

    def __init__(self, url: str) -> None:
        super().__init__(config("m1", url), own=False)

    def first_part(self, key: str) -> int:
        return SIZE


def target_node(url: str) -> Node:
    return Node(config("m2", url), own=False)


class Target:
    """A node in memory that reads what it is given as the real one does."""

    id = "m2"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.aborted: list[str] = []

    def write(self, key: str, body, length, content_type, part=None) -> str:  # type: ignore[no-untyped-def]
        data = b"".join(iter(lambda: body.read(1 << 16), b""))
        assert len(data) == length
        self.objects[key] = data
        return hashlib.md5(data).hexdigest()

    def create_upload(self, key: str) -> str:
        return "U"

    def complete_upload(self, key: str, upload: str, etags: list[str]) -> None:
        pass

    def abort_upload(self, key: str, upload: str) -> None:
        self.aborted.append(upload)


@pytest.mark.parametrize("short", SHORT.values(), ids=SHORT)
def test_a_short_read_is_never_a_whole_object(short: Behaviour) -> None:
    target = Target()
    with server(short) as s:
        # The node is down after each of these.
        with pytest.raises(NetworkError, match=r"^MinIO node m1 "):
            md5_of(Source(s.url), "k", INFO, UNLIMITED)
        with pytest.raises(NetworkError, match=r"^MinIO node m1 "):
            copy_object(Source(s.url), target, "k", INFO, UNLIMITED, lambda _: None)
        joined = ObjectInfo(SIZE, f"{ETAG}-1")
        with pytest.raises(NetworkError, match=r"^MinIO node m1 "):
            copy_object(Source(s.url), target, "k", joined, UNLIMITED, lambda _: None)
    assert target.objects == {}
    # What the target was given of it is given up there: it is up.
    assert target.aborted == ["U"]


def test_a_whole_object_passes() -> None:
    target, counted = Target(), [0]

    def count(size: int) -> None:
        counted[0] += size

    longer = answers(whole(CONTENT + b"more"))
    with server(answers(whole(CONTENT)), answers(whole(CONTENT)), longer) as s:
        source = Source(s.url)
        assert md5_of(source, "k", INFO, UNLIMITED) == ETAG
        assert copy_object(source, target, "k", INFO, UNLIMITED, count, hashed=True) == (ETAG, ETAG)
        assert (target.objects["k"], counted) == (CONTENT, [SIZE])
        # Never more than the range that was asked for: it would be written into the target's next request.
        assert md5_of(source, "k", INFO, UNLIMITED) == ETAG


@pytest.mark.parametrize("short", SHORT.values(), ids=SHORT)
def test_a_source_that_fails_does_not_mark_the_target_down(short: Behaviour) -> None:
    with server(short) as broken, server(answers(whole(b"", f'ETag: "{ETAG}"'))) as sound:
        target = target_node(sound.url)
        with pytest.raises(NetworkError, match=r"^MinIO node m1 "):
            copy_object(Source(broken.url), target, "k", INFO, UNLIMITED, lambda _: None)
        assert target.availability.down_since is None
        target.close()


def test_a_target_that_cuts_is_the_one_that_is_named() -> None:
    with server(answers(whole(CONTENT))) as sound, server(answers(b"")) as broken:
        target = target_node(broken.url)
        with pytest.raises(NetworkError, match=r"MinIO node m2 .*the connection was cut"):
            copy_object(Source(sound.url), target, "k", INFO, UNLIMITED, lambda _: None)
        target.close()
