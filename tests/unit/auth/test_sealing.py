"""Sealed upload IDs and forwarding marks."""

from __future__ import annotations

import time

import msgspec
import pytest

from app.auth.sealing import Sealer, Ticket
from app.core.errors import InternalError

TICKET = Ticket("u1", "m1", "openim/data/hash/x", "s3-upload", "d" * 32, 10 << 20, 5 << 20, int(time.time()) + 3600)

#: Sealed by the first release with the secret "golden" and a far expiry: later releases must open it.
GOLDEN = "WyJ1MSIsIm0xIiwia2V5IiwidXBsb2FkIiwiaGFzaCIsMTAsNSw0MTAyNDQ0ODAwXQ.t_DJN0w4FWpuKEW9dB3m0qhVZM6OMa-Rqj06s3ayy1Y"


def test_what_was_sealed_opens() -> None:
    assert Sealer(["s"]).open(Sealer(["s"]).seal(TICKET)) == TICKET


def test_golden() -> None:
    assert Sealer(["golden"]).open(GOLDEN) == Ticket("u1", "m1", "key", "upload", "hash", 10, 5, 4102444800)


def test_every_changed_character_is_noticed() -> None:
    sealed = Sealer(["s"]).seal(TICKET)
    # The last character of base64 may hold bits that mean nothing.
    for i in range(len(sealed) - 1):
        changed = sealed[:i] + ("A" if sealed[i] != "A" else "B") + sealed[i + 1 :]
        with pytest.raises(InternalError):
            Sealer(["s"]).open(changed)


@pytest.mark.parametrize("garbage", ["", ".", "a.b", "é.é", "\x00", "." * 1000, "x" * 100000, "WzFd.AAAA"])
def test_garbage(garbage: str) -> None:
    with pytest.raises(InternalError, match="invalid multipart upload id"):
        Sealer(["s"]).open(garbage)


def test_a_secret_may_be_changed_while_uploads_run() -> None:
    old, new, both = Sealer(["old"]), Sealer(["new"]), Sealer(["new", "old"])
    assert both.open(old.seal(TICKET)) == TICKET
    # The newest seals.
    assert new.open(both.seal(TICKET)) == TICKET
    with pytest.raises(InternalError):
        new.open(old.seal(TICKET))
    with pytest.raises(InternalError):
        old.open(both.seal(TICKET))


def test_expired() -> None:
    sealed = Sealer(["s"]).seal(msgspec.structs.replace(TICKET, expires=int(time.time())))
    with pytest.raises(InternalError, match="expired"):
        Sealer(["s"]).open(sealed)


def test_one_that_was_opened_before_expires_too(monkeypatch: pytest.MonkeyPatch) -> None:
    sealer = Sealer(["s"])
    sealed = sealer.seal(TICKET)
    assert sealer.open(sealed) == sealer.open(sealed) == TICKET
    monkeypatch.setattr("app.auth.sealing.time.time", lambda: TICKET.expires + 1.0)
    with pytest.raises(InternalError, match="expired"):
        sealer.open(sealed)


def test_one_purpose_does_not_serve_another() -> None:
    sealer = Sealer(["s"])
    assert sealer.forwarded_by(sealer.seal(TICKET)) is None
    with pytest.raises(InternalError):
        sealer.open(sealer.mark_forward("i1"))


def test_forwarding_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    sealer = Sealer(["s"])
    mark = sealer.mark_forward("i1")
    assert sealer.forwarded_by(mark) == "i1"
    assert Sealer(["t"]).forwarded_by(mark) is None
    for bad in (None, "", "i1", mark[:-1], mark + "x", "i2" + mark[2:], "é"):
        assert sealer.forwarded_by(bad) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    assert sealer.forwarded_by(mark) is None


@pytest.mark.parametrize(
    ("size", "part_size", "lengths"), [(1, 5, [1]), (5, 5, [5]), (6, 5, [5, 1]), (10, 5, [5, 5]), (11, 5, [5, 5, 1])]
)
def test_part_lengths(size: int, part_size: int, lengths: list[int]) -> None:
    ticket = msgspec.structs.replace(TICKET, size=size, part_size=part_size)
    assert [ticket.part_length(n) for n in range(1, ticket.parts + 1)] == lengths
