"""JSON as Go reads it. tests/conformance/test_json.py holds it against Go itself; this says by example what that is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.core import wire
from app.core.errors import BodyError


@pytest.mark.parametrize(
    ("body", "size"),
    [
        (b'{"Size":100}', 100),
        ('{"\u017fize":100}'.encode(), 100),
        (b'{"size":5,"SIZE":100}', 100),
        (b'{"size":100,"size":null}', 100),
        (b'{"size":100} and more', 100),
        (b'{"size":100}\xff', 100),
        (b'{"x":1e400,"\xff":"\\ud83d","size":100}', 100),
        (b'{"size":-0}', 0),
        (b"null", None),
        (b"nullx", None),
    ],
)
def test_numbers(body: bytes, size: int | None) -> None:
    assert wire.decode(body, wire.PartSizeRequest).size == size


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "EOF"),
        (b" \r\n", "EOF"),
        (b"{", "character 1"),
        (b"[]", "got `array`"),
        (b'{"size":"5"}', "got `str` - at `$.size`"),
        (b'{"size":5.0}', "got `float` - at `$.size`"),
        (b'{"size":"x","size":5}', "`$.size`"),
        (b'{"Size":9223372036854775808}', "9223372036854775807 - at `$.size`"),
        (b'{"size":' + b"9" * 1_000_000 + b"}", "9223372036854775807 - at `$.size`"),
        (b'{"x":NaN}', "NaN"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"x":' + b"[" * 100_000, "nested too deeply"),
        (b'{"size":' + b"[" * 800 + b'"\\ud83d"' + b"]" * 800 + b"}", "got `array` - at `$.size`"),
    ],
)
def test_what_is_refused_says_why(body: bytes, says: str) -> None:
    with pytest.raises(BodyError) as caught:
        wire.decode(body, wire.PartSizeRequest)
    assert says in caught.value.detail
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"\ud83d\u0041", "\ufffdA"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (b"\xff", "\ufffd"),
        (b"\xe7\x85", "\ufffd\ufffd"),
        (b"\xed\xa0\xbd", "\ufffd\ufffd\ufffd"),
        ("照片".encode(), "照片"),
    ],
)
def test_texts(sent: bytes, name: str) -> None:
    read = wire.decode(b'{"name":"' + sent + b'","contenttype":"a/b"}', wire.InitiateRequest)
    assert (read.name, read.content_type) == (name, "a/b")


@pytest.mark.parametrize(
    ("body", "shape", "read"),
    [
        (b'{"partNumbers":[1,null]}', wire.AuthSignRequest, {"part_numbers": [1, 0]}),
        (b'{"partNumbers":[1,2],"PARTNUMBERS":[null,null,3]}', wire.AuthSignRequest, {"part_numbers": [1, 2, 3]}),
        (b'{"partNumbers":[1],"partNumbers":null}', wire.AuthSignRequest, {"part_numbers": None}),
        (b'{"query":{"a":null},"query":{"b":"c"}}', wire.AccessURLRequest, {"query": {"a": "", "b": "c"}}),
        (b'{"query":{"a":"b"},"Query":null}', wire.AccessURLRequest, {"query": None}),
    ],
)
def test_lists_and_maps(body: bytes, shape: type[msgspec.Struct], read: dict[str, Any]) -> None:
    assert wire.decode(body, shape) == shape(**read)


def test_every_list_and_map_has_a_zero_value() -> None:
    found = []
    for shape, _ in wire.ROUTES.values():
        for name, schema in msgspec.json.schema(shape)["$defs"][shape.__name__]["properties"].items():
            kind = schema["anyOf"][0].get("type")
            if kind in ("array", "object"):
                found.append(name)
                body = {"array": b'{"%s":[null]}', "object": b'{"%s":{"a":null}}'}[kind] % name.encode()
                wire.decode(body, shape)
    assert found == ["partNumbers", "parts", "query"]
