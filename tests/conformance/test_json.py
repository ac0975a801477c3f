"""Bodies of each route, odd ones from a seed: every field is read as Go's encoding/json reads it in v3.4.0's shapes."""

from __future__ import annotations

import http.client
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.core import wire
from app.core.errors import BodyError
from tests.conformance.go_program import running_gin

pytestmark = pytest.mark.integration

BODIES = 3000
FIELDS = {route: [f.encode_name for f in msgspec.structs.fields(shape)] for route, (shape, _) in wire.ROUTES.items()}
#: Each byte of these is one character.
VALUES = [
    *["1", "-0", "0", "1.0", "1e3", "-1", "2147483647", "2147483648", "-2147483648", "-2147483649", "9" * 30, "01", "1."],
    *["9223372036854775807", "9223372036854775808", "-9223372036854775808", ".5", "+1", "1e", "1E400", "0e0", "-0.0", "-"],
    *['"5"', '"a"', '""', '"\\ud83d"', '"\\ud83d\\ude00"', '"\\ude00\\ud83d"', '"\\ud83d\\ud83d\\ude00"', '"\\u0000"'],
    *['"\xff"', '"\xe7\x85"', '"\xe7\x85\xa7"', '"\xed\xa0\x80"', '"\xc0\x80"', '"\xf4\x90\x80\x80"', '"\xf0\x9f\x98"'],
    *['"\x7f"', '"\x1f"', '"a\tb"', '"\\/\\b\\f"', '"\\x"', '"\\u12"', '"\\\\"', "'a'", '"\xef\xbb\xbf"', "/*x*/1"],
    *["null", "true", "false", "nul", "NaN", "Infinity", "[]", "{}", "[1,2]", '["a","b"]', "[null]", "[1,null]", "[1,]"],
    *['["x",null,"y"]', "[[1]]", "[{}]", "[1e0]", '{"a":"b"}', '{"a":null}', '{"a":1}', '{"a":"b","a":"c","A":"d"}'],
    '{"\\ud800":"\\udfff"}',
]
BLANKS = [b"", b"", b"", b" ", b"\n", b"\t", b"\r", b"\x0b", b"\xa0"]


def _key(pick: random.Random, name: str) -> str:
    """A field's name, as it is or in another form."""
    forms = [name, name, name, name.upper(), name.lower(), name.title(), f"{name} ", f"{name}ß", f"{name}\u0130"]
    forms += [name.replace("s", "ſ"), name.replace("k", "\u212a")]
    forms += ["".join(f"\\u{ord(c):04x}" if pick.random() < 0.3 else c for c in name)]
    return pick.choice(forms)


def _body(pick: random.Random, names: list[str]) -> bytes:
    fields = []
    for _ in range(pick.choice([0, 1, 1, 2, 2, 3, 4])):
        blank = [pick.choice(BLANKS) if pick.random() < 0.1 else b"" for _ in range(4)]
        key = f'"{_key(pick, pick.choice([*names, "x"]))}"'.encode()
        fields.append(blank[0] + key + blank[1] + b":" + blank[2] + pick.choice(VALUES).encode("latin-1") + blank[3])
    body = b"{" + b",".join(fields) + b"}"
    form = pick.random()
    if form < 0.05:
        return body + pick.choice([b"x", b"}", b" {}", b"\x00", b"null", b"\n\n"])
    if form < 0.08:
        return pick.choice([b"\xef\xbb\xbf", b" ", b"\n", b"\x0c", b"[", b'"']) + body
    if form < 0.12:
        return body[: pick.randrange(1, len(body) + 1)]
    if form < 0.14:
        return pick.choice(VALUES).encode("latin-1") + pick.choice([b"", b"x", b" 1"])
    if form < 0.2:
        at = pick.randrange(len(body))
        return body[:at] + bytes([pick.randrange(256)]) + body[at + 1 :]
    return body


def _ours(route: str, body: bytes) -> dict[str, Any] | None:
    """The fields as Go writes them, with its zero values; None where the body is refused."""
    shape = wire.ROUTES[route][0]
    try:
        read = wire.decode(body, shape)
    except BodyError:
        return None
    fields = msgspec.structs.asdict(read)
    zero = {"str": "", "int": 0, "bool": False}
    names = {f.name: f.encode_name for f in msgspec.structs.fields(shape)}
    types = {p["name"]: p for p in _types(shape)}
    return {names[n]: zero.get(types[names[n]]["type"]) if value is None else value for n, value in fields.items()}


def _types(shape: type[msgspec.Struct]) -> list[dict[str, str]]:
    """Name and type of each field; the type of what can be null in Go as well is empty."""
    schema = msgspec.json.schema(shape)["$defs"][shape.__name__]["properties"]
    words = {"string": "str", "integer": "int", "boolean": "bool"}
    return [{"name": n, "type": words.get(p["anyOf"][0].get("type", ""), "")} for n, p in schema.items()]


def test_bodies_are_read_as_go_reads_them(tmp_path: Path) -> None:
    pick, read, refused = random.Random(20261128), 0, 0
    with running_gin(tmp_path, "t") as port:
        go = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for _ in range(BODIES):
            route = pick.choice(list(FIELDS))
            body = _body(pick, FIELDS[route])
            go.request("POST", f"/object/{route}", body, {"operationID": "json", "token": "t"})
            answer = go.getresponse()
            told = json.loads(answer.read())
            expected = told["data"] if answer.status == 200 else None
            assert _ours(route, body) == expected, f"{route} {body!r}"
            read, refused = read + (expected is not None), refused + (expected is None)
        go.close()
    # Neither is most of the list.
    assert min(read, refused) > BODIES / 5
