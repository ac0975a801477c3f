"""What other instances tell: whole reports are believed, cut ones are a reason."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from app.config.load import parse
from app.observability.counts import Counts
from app.status.overview import InstanceState, describe
from app.status.report import Latency, Report
from tests.sockets import CUT_ANSWERS, answers, server, silent, unused_url, whole

REPORT = Report(
    "i1", "m1", "1", 0.0, True, 1.0, None, "", Counts(), Counts(), Latency(), Latency(), []
)  # fmt: skip
ENCODED = msgspec.json.encode(REPORT)


def seen(url: str) -> InstanceState:
    document = {
        "public_url": "http://127.0.0.1:1",
        "auth": {"secret": "s3cr3t-value"},
        "nodes": {"m1": {"endpoint": "http://127.0.0.1:2", "access_key": "k", "secret_key": "hidden-value"}},
        "instances": {"i1": {"node": "m1", "bind": "127.0.0.1:3", "url": url}},
    }
    (state,) = describe(parse(yaml.safe_dump(document), {}, Path("/")), {}, {}, {"X-Mark": "sealed"}).instances
    return state


def test_a_whole_report() -> None:
    with server(answers(whole(ENCODED, "Set-Cookie: a=b"))) as s:
        state = seen(s.url)
    assert state.ready
    assert state.report == REPORT
    assert s.targets() == ["/status.json"]
    assert b"X-Mark: sealed" in s.requests[0]


CUT_REPORTS = {
    **CUT_ANSWERS,
    "last byte": whole(ENCODED)[:-1],
    "last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(ENCODED), ENCODED),
}


@pytest.mark.parametrize("text", CUT_REPORTS.values(), ids=CUT_REPORTS)
def test_a_cut_report_is_none(text: bytes) -> None:
    with server(answers(text)) as s:
        state = seen(s.url)
    assert (state.ready, state.report, state.reason) == (False, None, "the connection was cut")


def test_other_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.status.overview._TIMEOUT", 0.3)
    assert seen(unused_url()).reason == "connection refused"
    with server(silent) as s:
        assert seen(s.url).reason == "no answer in time"
    with server(answers(whole(b"no", status="403 Forbidden"))) as s:
        assert "refuses to tell" in seen(s.url).reason
    with server(answers(whole(b"<html>"))) as s:
        assert "HTTP 200, and not from an instance" in seen(s.url).reason
