"""v3.4.0's envelope, and the numbers of failures."""

from __future__ import annotations

import json

from app.core import wire
from app.core.errors import APIError, ArgsError, NetworkError


def test_envelopes() -> None:
    assert json.loads(wire.success(wire.PartSize(size=5))) == {"errCode": 0, "errMsg": "", "errDlt": "", "data": {"size": 5}}
    assert json.loads(wire.failure(ArgsError("name is empty"))) == {
        "errCode": 1001,
        "errMsg": "ArgsError",
        "errDlt": "name is empty: 1001 ArgsError",
    }
    assert wire.failure_text(NetworkError("x")) == ": 90004 NetworkError x: 90004 NetworkError"


def test_every_error_has_a_number_of_its_own() -> None:
    def below(cls: type[APIError]) -> set[type[APIError]]:
        return {cls}.union(*(below(c) for c in cls.__subclasses__()))

    named = {(c.code, c.name) for c in below(APIError)}
    assert len({code for code, _ in named}) == len(named)
