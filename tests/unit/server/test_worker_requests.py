"""One connection's requests, as the worker reads and answers them: its code, gunicorn's parser, and real sockets."""

from __future__ import annotations

import errno
import json
import logging
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from app.api.call import MAX_BODY, Call, Reply, before, view_at
from app.core.errors import ArgsError
from app.server import gunicorn_io
from app.server.worker import Worker

Answers = Callable[..., tuple[socket.socket, "gunicorn_io.Connection", Worker]]


def echo(call: Call) -> Reply:
    return Reply(b'{"took":%d}' % len(call.body()))


def see(call: Call) -> Reply:
    if call.query.get("type") == "odd":
        raise ArgsError("invalid query type")
    return Reply(json.dumps([call.path, call.query]).encode(), 302)


def other(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Beside the object API: pieces, errors, and a body that is not asked for."""
    path = environ["PATH_INFO"]
    if path == "/fails":
        raise ValueError("before the head")
    if path == "/breaks":
        start_response("200 OK", [("Content-Length", "100")])(b"begun")
        raise ValueError("in the body")
    if path == "/pieces":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"one", b"", b"two"]
    if path == "/large":
        start_response("200 OK", [("Content-Length", str(8 << 20))])
        return [bytes(8 << 20)]
    start_response("200 OK", [("Content-Length", "4")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"here"]


@pytest.fixture
def open_connection() -> Iterator[Answers]:
    sockets: list[socket.socket] = []

    def make(timeout: float = 5.0, **settings: Any) -> tuple[socket.socket, gunicorn_io.Connection, Worker]:
        """
        :param timeout: seconds of silence that end a request or an answer.
        """
        cfg = Config()
        for name, value in settings.items():
            cfg.set(name, value)
        client, server = socket.socketpair()
        sockets.extend((client, server))
        client.settimeout(5)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            server.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(timeout), int(timeout % 1 * 1e6)))
        worker = Worker.__new__(Worker)
        worker.cfg, worker.log, worker.alive, worker.nr = cfg, Logger(cfg), True, 0
        worker.max_requests = cfg.max_requests or 10**9
        worker.wsgi = before(other, {"/object/echo": echo}, see)
        return client, gunicorn_io.Connection(cfg, server, ("127.0.0.1", 9), ("127.0.0.1", 80)), worker

    yield make
    for each in sockets:
        each.close()


def post(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = ["POST /object/echo HTTP/1.1", "Host: x", *headers]
    if not any(h.lower().startswith("transfer") for h in headers):
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def read(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer with a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536) or pytest.fail(f"closed after {data!r}")  # type: ignore[operator]
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += client.recv(65536) or pytest.fail(f"closed after {body!r}")  # type: ignore[operator]
    return int(first.split()[1]), headers, body


def test_requests_one_after_the_other(open_connection: Answers) -> None:
    client, connection, worker = open_connection()
    for size in (0, 1, 5000, 70_000, 300_000):
        sender = threading.Thread(target=client.sendall, args=[post(b"x" * size)])
        sender.start()
        assert connection.reader.fill()
        assert worker.handle(connection) is True
        status, headers, body = read(client)
        assert (status, headers["connection"], body) == (200, "keep-alive", b'{"took":%d}' % size)
        sender.join()


def test_an_answer_is_sent_in_one_piece(open_connection: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    client, connection, worker = open_connection()
    sent: list[bytes] = []
    monkeypatch.setattr("gunicorn.util.write", lambda _, data, chunked=False: sent.append(data))
    client.sendall(post(b"x"))
    assert worker.handle(connection) is True
    assert len(sent) == 1
    assert sent[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert sent[0].endswith(b'\r\n\r\n{"took":1}')


def test_pieces_of_unknown_length_are_chunked(open_connection: Answers) -> None:
    client, connection, worker = open_connection()
    client.sendall(get("/pieces"))
    assert worker.handle(connection) is True
    assert client.recv(65536).endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_a_head_has_no_body(open_connection: Answers) -> None:
    client, connection, worker = open_connection()
    client.sendall(get("/there", "HEAD") + get("/there"))
    assert worker.handle(connection) is True
    assert client.recv(65536).endswith(b"Content-Length: 4\r\n\r\n")
    # The second one came with the first.
    assert connection.reader.buf.getvalue() == get("/there")
    assert worker.handle(connection) is True
    assert read(client)[2] == b"here"


def test_views(open_connection: Answers) -> None:
    client, connection, worker = open_connection()
    path = "/object/u1/%E7%8C%AB%2F%3F.png?type=image&width=&type=x&height=%31+0"
    for prefix in ("", "/i/i1"):
        client.sendall(get(prefix + path))
        assert worker.handle(connection) is True
        status, _, body = read(client)
        query = {"type": "image", "width": "", "height": "1 0"}
        assert (status, json.loads(body)) == (302, [f"{prefix}/object/u1/猫/?.png", query])
        client.sendall(get(prefix + path, "HEAD"))
        assert worker.handle(connection) is True
        head = client.recv(65536)
        assert head.startswith(b"HTTP/1.1 302 ")
        # A GET's length, and no body.
        assert head.endswith(b"Content-Length: %d\r\n\r\n" % len(body))
    client.sendall(get("/object/x?type=odd"))
    assert worker.handle(connection) is True
    assert read(client)[::2] == (400, b": 1001 ArgsError invalid query type: 1001 ArgsError")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/object/", ""),
        ("/object/a/b", "a/b"),
        ("/object//a", "/a"),
        ("/object/object/a", "object/a"),
        ("/i/i1/object/a", "a"),
        ("/i/i1/object/", ""),
        ("/i/i1/object/i/i2/object/a", "i/i2/object/a"),
        ("/object", None),
        ("/objects/a", None),
        ("/i//object/a", None),
        ("/i/a/b/object/a", None),
        ("/i/object/a", None),
        ("/i/i1/objects/a", None),
        ("/", None),
    ],
)
def test_where_a_view_names_its_object(path: str, name: str | None) -> None:
    at = view_at(path)
    assert (path[at:] if at >= 0 else None) == name


def test_a_body_that_nobody_asked_for_is_not_the_next_request(open_connection: Answers) -> None:
    client, connection, worker = open_connection()
    client.sendall(post(b"GET /fails HTTP/1.1\r\n\r\n").replace(b"/object/echo", b"/elsewhere") + get("/there"))
    assert worker.handle(connection) is True
    assert read(client)[2] == b"here"
    assert worker.handle(connection) is True
    assert read(client)[2] == b"here"


@pytest.mark.parametrize(
    "sent", [b"", b"POST /object/ec", get("/there").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")]
)
def test_a_client_that_leaves(open_connection: Answers, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    client, connection, worker = open_connection()
    client.sendall(sent)
    client.shutdown(socket.SHUT_WR)
    assert worker.handle(connection) is False
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_client_that_does_not_wait_for_its_answer(open_connection: Answers, caplog: pytest.LogCaptureFixture) -> None:
    client, connection, worker = open_connection()
    client.sendall(post(b"x"))
    client.close()
    assert worker.handle(connection) is False
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_client_that_does_not_read_its_answer(open_connection: Answers, caplog: pytest.LogCaptureFixture) -> None:
    client, connection, worker = open_connection(timeout=0.2)
    client.sendall(get("/large"))
    start = time.monotonic()
    assert worker.handle(connection) is False
    assert time.monotonic() - start < 4
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_hook_that_fails_after_the_answer(open_connection: Answers) -> None:
    def fails(*_: object) -> None:
        raise ValueError

    client, connection, worker = open_connection(post_request=lambda worker, request, environ, response: fails())
    for _ in range(2):
        client.sendall(get("/there"))
        assert worker.handle(connection) is True
        assert read(client)[2] == b"here"


def test_a_client_that_stops_in_its_headers(open_connection: Answers) -> None:
    client, connection, worker = open_connection(timeout=0.2)
    client.sendall(b"POST /object/echo HTTP/1.1\r\nHost:")
    assert worker.handle(connection) is False
    status, headers, body = read(client)
    assert (status, headers["connection"], json.loads(body)["errCode"]) == (408, "close", 1001)
    assert "did not come within 20 s" in json.loads(body)["errDlt"]


def test_a_client_that_stops_in_its_body(open_connection: Answers, caplog: pytest.LogCaptureFixture) -> None:
    client, connection, worker = open_connection(timeout=0.2)
    client.sendall(post(b"half", length=8))
    assert worker.handle(connection) is False
    status, _, body = read(client)
    assert (status, json.loads(body)) == (
        408,
        {"errCode": 1001, "errMsg": "ArgsError", "errDlt": "the rest of the body did not come in time"},
    )
    # The client's fault, and no stack in the log.
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize("chunks", [b"x\r\nhello\r\n0\r\n\r\n", b"2\r\nhello\r\n0\r\n\r\n", b"-1\r\nh\r\n0\r\n\r\n"])
def test_malformed_chunks(open_connection: Answers, chunks: bytes, caplog: pytest.LogCaptureFixture) -> None:
    client, connection, worker = open_connection(timeout=0.2)
    client.sendall(post(chunks, "Transfer-Encoding: chunked"))
    # Nobody knows where the next request begins.
    assert worker.handle(connection) is False
    status, _, body = read(client)
    assert (status, json.loads(body)["errCode"]) == (400, 1001)
    assert json.loads(body)["errDlt"].startswith("the body's chunks are malformed: ")
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_chunks(open_connection: Answers) -> None:
    client, connection, worker = open_connection()
    client.sendall(post(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
    assert worker.handle(connection) is True
    assert read(client)[2] == b'{"took":5}'


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (post(b"", length=MAX_BODY + 1), 413),
        (get("/fails"), 500),
    ],
)
def test_what_cannot_be_answered(open_connection: Answers, sent: bytes, status: int) -> None:
    client, connection, worker = open_connection(timeout=0.2)
    client.sendall(sent)
    assert worker.handle(connection) is False
    found, _, body = read(client)
    assert found == status
    assert json.loads(body)["errCode"] in (500, 1001)


def test_an_answer_that_breaks_is_not_followed_by_another(
    open_connection: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    client, connection, worker = open_connection()
    client.sendall(get("/breaks"))
    assert worker.handle(connection) is False
    connection.close(graceful=False)
    received = b""
    while part := client.recv(65536):
        received += part
    assert received.endswith(b"\r\n\r\nbegun")
    assert received.count(b"HTTP/1.1") == 1


def test_a_worker_makes_place_after_its_share(open_connection: Answers) -> None:
    client, connection, worker = open_connection(max_requests=2)
    for kept, says in ((True, "keep-alive"), (False, "close")):
        client.sendall(get("/there"))
        assert worker.handle(connection) is kept
        assert read(client)[1]["connection"] == says
        assert worker.alive is kept


def test_settings_with_gunicorns_own_log_and_hooks(open_connection: Answers) -> None:
    seen: list[str] = []
    client, connection, worker = open_connection(
        pre_request=lambda _, request: seen.append(f"before {request.path}"),
        post_request=lambda _, request, environ, response: seen.append(f"after {response.status} {environ['PATH_INFO']}"),
        accesslog="-",
        access_log_format="%(m)s %(U)s %(s)s %(B)s",
    )
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    worker.log.access_log.addHandler(handler)
    client.sendall(get("/there"))
    try:
        assert worker.handle(connection) is True
    finally:
        worker.log.access_log.handlers.clear()
    assert seen == ["before /there", "after 200 OK /there"]
    assert lines == ["GET /there 200 4"]


def test_tls_is_refused_with_the_cure(open_connection: Answers) -> None:
    _, _, worker = open_connection()
    worker.cfg.set("certfile", "/etc/hostname")
    with pytest.raises(SystemExit, match="let the balancer do that"):
        Worker.check_config(worker.cfg, worker.log)


def test_what_a_connection_is_taken_with(open_connection: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence ends what a thread waits for, in both directions; a listener that fails does not end the worker."""
    _, _, worker = open_connection()
    worker._lock, worker._open, worker._unused = threading.Lock(), {}, {}
    with (
        select.epoll() as worker._epoll,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        worker.accept(listener)
        (connection,) = worker._open.values()
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            assert struct.unpack("ll", connection.sock.getsockopt(socket.SOL_SOCKET, option, 16)) == (20, 0)
        connection.close()

    class Full:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "too many open files")

    slept: list[float] = []
    monkeypatch.setattr("app.server.worker.time.sleep", slept.append)
    worker.accept(Full())
    assert slept == [0.1]
    assert len(worker._open) == 1


WHOLE = post(b"12345")


@pytest.mark.parametrize(
    ("request_bytes", "whole"),
    [
        (WHOLE, True),
        *[(WHOLE[:n], False) for n in range(len(WHOLE))],
        (WHOLE + b"POST", True),
        (get("/there"), True),
        (post(b"").replace(b"Content-Length", b"content-length"), True),
        (post(b"", "Expect: 100-continue", length=5), True),
        (post(b"5\r\nhello\r\n", "Transfer-Encoding: chunked"), False),
        (post(b"5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), True),
        # To be refused as they are.
        (post(b"", length=MAX_BODY + 1), True),
        (post(b"", "Content-Length: five"), True),
        (b"GET /" + b"a" * gunicorn_io.MOST_KEPT, True),
    ],
)
def test_a_thread_is_given_to_whole_requests(request_bytes: bytes, whole: bool) -> None:
    assert gunicorn_io.is_whole(request_bytes) is whole


def test_a_body_that_has_not_come_is_not_waited_for(open_connection: Answers) -> None:
    """After the answer; the connection is closed instead."""
    client, connection, worker = open_connection()
    client.sendall(post(b"begun", length=MAX_BODY + 1))
    start = time.monotonic()
    assert worker.handle(connection) is False
    assert time.monotonic() - start < 4
    assert read(client)[0] == 413


def test_what_waited_for_too_long(open_connection: Answers) -> None:
    """Half a request is told why, silence is not; what has just come is left to the threads."""
    worker: Worker | None = None
    opened = {}
    for n, sent in enumerate((b"GET / HT", b"", get("/there"))):
        client, connection, worker = open_connection()
        client.sendall(sent)
        if n == 0:
            connection.reader.fill()
        opened[n] = (client, connection)
    assert worker is not None
    worker._lock = threading.Lock()
    worker._open = {n: connection for n, (_, connection) in opened.items()}
    worker._unused = dict.fromkeys(opened, 100.0)
    worker._close_unused(99.0)
    assert len(worker._open) == 3
    worker._close_unused(101.0)
    assert read(opened[0][0])[0] == 408
    assert [opened[n][0].recv(1) for n in (0, 1)] == [b"", b""]
    assert (list(worker._open), list(worker._unused)) == ([2], [2])
