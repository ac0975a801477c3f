"""Calls that fail in passing are made again, for a while, and what was not done is counted."""

from __future__ import annotations

import pytest

from app.core.errors import DatabaseError, InternalError, NetworkError
from app.operations.recovery import Left, Patience, Recent


class Failing:
    """Fails a number of times, and then answers."""

    def __init__(self, times: int, error: Exception) -> None:
        self.times, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "answer"


@pytest.mark.parametrize("error", [NetworkError("cut"), DatabaseError("cut")])
def test_a_failure_that_passes_costs_a_pause(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("app.operations.recovery.time.sleep", slept.append)
    patience, call = Patience(), Failing(5, error)
    assert patience.call("m1", call) == "answer"
    assert slept == [0.5, 1, 2, 4, 8]
    assert (call.calls, patience.repeated) == (6, 5)


def test_what_does_not_pass_is_told_and_tried_once_a_call_from_then_on() -> None:
    patience, call = Patience(0), Failing(7, NetworkError("down"))
    for calls in (6, 7):
        with pytest.raises(NetworkError, match="down"):
            patience.call("m1", call)
        assert call.calls == calls
    # Another one has all its tries.
    assert patience.call("m2", Failing(5, NetworkError("down"))) == "answer"
    assert patience.call("m1", call) == "answer"
    assert patience.call("m1", Failing(5, NetworkError("down"))) == "answer"


def test_a_refusal_is_not_repeated() -> None:
    patience, call = Patience(0), Failing(1, InternalError("no right"))
    with pytest.raises(InternalError):
        patience.call("m1", call)
    assert (call.calls, patience.repeated) == (1, 0)


def test_lists_do_not_grow() -> None:
    left, other = Left(), Left()
    for n in range(1000):
        left.add(f"u1/{n}", "gone")
        other.add(f"u2/{n}", "gone")
    assert (left.count, len(left.examples), left.examples[0]) == (1000, 20, ("u1/0", "gone"))
    left.join(other)
    assert (left.count, len(left.examples)) == (2000, 20)
    recent = Recent(3)
    assert [recent.add(("m1", key)) for key in "abab"] == [True, True, False, False]
    assert recent.add(("m1", "c"))
    assert recent.add(("m1", "d"))
    # The oldest is forgotten.
    assert ("m1", "b") in recent
    assert ("m1", "a") not in recent
