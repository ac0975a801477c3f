"""The dedicated client's connections, against servers that cut and keep silent."""

from __future__ import annotations

import io
import time

import pytest
import urllib3

from app import __version__
from app.core.errors import InternalError, NetworkError
from app.core.model import InvalidParts, NoSuchUpload
from app.observability import trail
from app.storage import client as client_module
from app.storage.client import NodeClient
from tests.servers import ANSWER, answers, cut, error, once, server, silent, xml
from tests.stack import wait_for
from tests.unit.storage.nodes import config, node

HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Type: image/png\r\nETag: "e"\r\n\r\n'
QUICK = urllib3.Timeout(connect=1, read=0.3)


def test_a_connection_is_kept_and_the_region_is_not_asked_for() -> None:
    seen: list[bytes] = []
    with server(answers(HEAD, seen=seen)) as storage:
        m1 = node(storage.url)
        for _ in range(3):
            found = m1.stat("openim/k")
            assert found is not None
            assert (found.size, found.etag, found.content_type) == (12, "e", "image/png")
        assert storage.connections == 1
        m1.close()
        wait_for("the connection to be closed", lambda: storage.closed == 1)
    assert [request.split(b" HTTP")[0] for request in seen] == [b"HEAD /openim/openim/k"] * 3


def test_a_kept_connection_that_was_closed_is_replaced_once() -> None:
    """As after a restart of MinIO: the next call does not fail."""
    with server(once(HEAD), answers(HEAD)) as storage:
        m1 = node(storage.url)
        assert m1.stat("k") is not None
        assert m1.stat("k") is not None
        assert storage.connections == 2
        assert m1.availability.down_since is None
        m1.close()


def test_a_body_is_sent_again_whole() -> None:
    seen: list[bytes] = []
    with server(once(ANSWER), answers(ANSWER, seen=seen)) as storage:
        m1 = node(storage.url)
        m1.put("k", b"first")
        m1.put("k", b"second")
        m1.close()
    assert [request.rpartition(b"\r\n\r\n")[2] for request in seen] == [b"second"]


def test_a_server_that_always_cuts_is_asked_twice_and_no_more() -> None:
    with server(cut) as storage:
        m1 = node(storage.url)
        with pytest.raises(NetworkError, match=r"m1 does not answer \(the connection was cut\)"):
            m1.stat("k")
        assert storage.connections == 2
        m1.close()


def test_a_stream_is_not_sent_twice() -> None:
    with server(cut) as storage:
        m1 = node(storage.url)
        with pytest.raises(NetworkError, match="cut"):
            m1.write("k", io.BytesIO(b"12345"), 5, "")
        assert storage.connections == 1
        m1.close()


def test_silence_ends_in_time_and_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.storage.endpoints.CALL_TIMEOUT", QUICK)
    with server(silent) as storage:
        m1 = node(storage.url)
        start = time.monotonic()
        with pytest.raises(NetworkError, match="no answer in time"):
            m1.stat("k")
        assert time.monotonic() - start < 1.5
        assert storage.connections == 1
        m1.close()


def test_the_operation_is_named_to_the_storage() -> None:
    seen: list[bytes] = []
    with server(answers(HEAD, seen=seen)) as storage:
        m1 = node(storage.url)
        try:
            trail.begin("op-1")
            m1.stat("k")
        finally:
            trail.end()
        m1.stat("k")
        m1.close()
    first, second = (request.decode().replace("user-agent", "User-Agent") for request in seen)
    assert f"User-Agent: openim-direct/{__version__} operationID/op-1\r\n" in first
    assert "operationID" not in second


def test_the_call_is_counted_by_its_name_and_status(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[str, str, str]] = []
    monkeypatch.setattr(client_module.metrics, "storage_called", lambda *call: counted.append(call[:3]))
    begun = xml("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
    with server(answers(HEAD, begun, error("NoSuchUpload", "404 Not Found"))) as storage:
        m1 = node(storage.url)
        m1.stat("k")
        assert m1.create_upload("k") == "u"
        with pytest.raises(NoSuchUpload):
            m1.list_parts("k", "u")
    with pytest.raises(NetworkError):
        m1.stat("k")
    # A probe every second would drown the calls.
    with pytest.raises(NetworkError):
        m1.probe()
    m1.close()
    assert counted == [
        ("m1", "HEAD", "200"),
        ("m1", "POST uploads", "200"),
        ("m1", "GET uploadId", "404"),
        ("m1", "HEAD", "unreachable"),
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [("InvalidPart", InvalidParts), ("NoSuchUpload", NoSuchUpload), ("SlowDownWrite", NetworkError), ("Odd", InternalError)],
)
def test_a_completion_that_fails_after_its_200(code: str, expected: type[Exception]) -> None:
    """MinIO answers 200 when joining takes over 10 s, sends blanks meanwhile, and then tells how it ended."""
    late = xml(f"          <Error><Code>{code}</Code><Message>m</Message></Error>")
    with server(answers(late)) as storage:
        m1 = node(storage.url)
        with pytest.raises(expected):
            m1.complete_upload("k", "u", ["e1", "e2"])
        m1.close()


def test_a_copy_that_fails_after_its_200() -> None:
    with server(answers(HEAD, error("SlowDown", "200 OK"))) as storage:
        m1 = node(storage.url)
        with pytest.raises(NetworkError, match="busy"):
            m1.copy("a", "b", "e")
        m1.close()


@pytest.mark.parametrize("body", ["<CompleteMultipartUploadResult/>", "<CompleteMultipartUploadResult>", "ok"])
def test_a_completion_without_an_etag_is_none(body: str) -> None:
    with server(answers(xml(body))) as storage:
        m1 = node(storage.url)
        with pytest.raises(InternalError, match="not S3's"):
            m1.complete_upload("k", "u", ["e1"])
        m1.close()


def test_a_redirect_is_not_followed() -> None:
    """A signature would go to whoever the answer names."""
    with server(answers(ANSWER)) as other:
        away = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {other.url}/x\r\nContent-Length: 0\r\n\r\n".encode()
        with server(answers(away)) as storage:
            m1 = node(storage.url)
            with pytest.raises((InternalError, NetworkError)):
                m1.stat("k")
            with pytest.raises((InternalError, NetworkError)):
                m1.put_once("k", b"x", "text/plain")
            m1.close()
        assert other.connections == 0


def test_keys_are_needed() -> None:
    with pytest.raises(ValueError, match=r"nodes\.m1 has no access_key"):
        NodeClient(config("http://h").model_copy(update={"access_key": None}), "http://h", QUICK)
