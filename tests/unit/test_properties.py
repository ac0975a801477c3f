"""Properties that hold for whatever comes, found out by hypothesis."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.auth.sealing import FormTicket, Sealer, Ticket
from app.config.load import ConfigError, load, parse
from app.core import wire
from app.core.errors import APIError, BodyError
from app.core.names import MAX_NAME_BYTES, api_address, check_name, object_url
from app.uploads.parts import MAX_SIZE, part_size

REPO = Path(__file__).resolve().parents[2]
SEALER = Sealer(["s"])
texts = st.text(max_size=60)
tickets = st.builds(
    Ticket, texts, texts, texts, texts, texts, st.integers(1, MAX_SIZE), st.integers(5 << 20, 5 << 30), st.just(2**33)
)


@given(tickets)
def test_sealed_ids_open_to_what_was_sealed_and_to_nothing_else(ticket: Ticket) -> None:
    sealed = SEALER.seal(ticket)
    assert SEALER.open(sealed) == ticket
    with pytest.raises(APIError):
        SEALER.open_form(sealed)


@given(st.one_of(st.text(), st.binary().map(lambda b: b.decode("latin-1"))))
def test_texts_that_were_not_sealed_do_not_open(text: str) -> None:
    for open_it in (SEALER.open, SEALER.open_form):
        with pytest.raises(APIError, match=r"."):
            open_it(text)
    assert SEALER.forwarded_by(text) is None


@given(tickets, st.integers(0, 400), st.characters())
def test_a_changed_id_does_not_open(ticket: Ticket, at: int, character: str) -> None:
    sealed = SEALER.seal(ticket)
    at %= len(sealed) - 1
    changed = sealed[:at] + character + sealed[at + 1 :]
    assume(changed != sealed)
    with pytest.raises(APIError):
        SEALER.open(changed)


@given(st.text(max_size=1100), st.booleans())
def test_a_name_that_is_taken_can_be_fetched_by_its_url(rest: str, is_admin: bool) -> None:
    name = f"u1/{rest}"
    try:
        name.encode()
        check_name(name, "u1", is_admin)
    except (APIError, UnicodeEncodeError):
        return
    assert len(name.encode()) <= MAX_NAME_BYTES
    url = object_url("http://h", name)
    path = url.removeprefix("http://h/object/")
    # Whatever ends a path or is refused in one has gone, and decoding once gives the name back.
    assert not set(path) & set("?#\\\"'\r\n\x00")
    assert unquote_to_bytes(path).decode() == name
    assert ".." not in path.split("/")


@given(st.integers(-(2**70), 2**70))
def test_part_sizes_hold_their_file(size: int) -> None:
    try:
        chosen = part_size(size)
    except APIError:
        assert not 0 < size <= MAX_SIZE
        return
    assert 5 << 20 <= chosen <= 5 << 30
    assert chosen * 10_000 >= size


@given(st.integers(1, MAX_SIZE), st.integers(5 << 20, 5 << 30))
def test_part_lengths_add_up(size: int, of_part: int) -> None:
    ticket = Ticket("u", "n", "k", "s", "h", size, of_part, 2**33)
    parts = ticket.parts
    assert of_part * (parts - 1) + ticket.part_length(parts) == size
    assert 1 <= ticket.part_length(parts) <= of_part


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(["size", "name", "hash", "partSize", "maxParts", "uploadID", "partNumbers", "parts", "query", "id"])


@given(st.one_of(st.binary(max_size=200), json_values.map(lambda v: json.dumps(v).encode()),
                 st.dictionaries(fields, json_values).map(lambda v: json.dumps(v).encode())))  # fmt: skip
def test_bodies_are_read_or_refused(body: bytes) -> None:
    for shape, _ in wire.ROUTES.values():
        try:
            wire.decode(body, shape)
        except BodyError as e:
            assert e.post_status == 400
            assert e.detail


def paths_in(value: object, path: str = "") -> Iterator[str]:
    """Of every key and entry of a document, as faults name them."""
    yield path
    entries = value.items() if isinstance(value, dict) else []
    for key, inner in entries:
        yield from paths_in(inner, f"{path}.{key}" if path else str(key))
    for n, inner in enumerate(value if isinstance(value, list) else []):
        yield from paths_in(inner, f"{path}[{n}]")


def assert_faults_are_named(faults: list[tuple[str, str]], document: object) -> None:
    """Each by a path that the document has, or by that of a key which is missing in a section that it has."""
    known = set(paths_in(document))
    assert faults
    for path, text in faults:
        assert text
        assert path in known or ("missing" in text and path.rpartition(".")[0] in known), (path, text)
    assert len({path for path, _ in faults}) == len(faults)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=10), json_values, max_size=5))
def test_documents_that_are_no_deployment(document: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as e:
        parse(json.dumps(document), {}, Path("/"))
    if [path for path, _ in e.value.faults] == [""]:
        # YAML has keys and characters that JSON has and YAML has not.
        assert re.match("not YAML: (line|holds a character)", e.value.faults[0][1])
    else:
        assert_faults_are_named(e.value.faults, document)
        assert {path for path, _ in e.value.faults} >= {"public_url", "auth", "nodes", "instances"} - set(document)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_texts_that_are_no_deployment(text: str) -> None:
    with pytest.raises(ConfigError) as e:
        parse(text, {}, Path("/"))
    for path, why in e.value.faults:
        assert why
        assert path or "YAML" in why or "must be a mapping" in why


CANARY = "cAnArY7"
sections = st.sampled_from(
    ["public_url", "auth", "records", "cookie", "balancer", "uploads", "limits", "legacy", "cors", "server", "nodes",
     "nodes.m1", "nodes.m2", "instances", "instances.i1", "instances.i2"]
)  # fmt: skip
keys = st.sampled_from(
    ["public_url", "urls", "secret", "secrets", "redis", "admins", "remember", "records", "name", "max_age", "secure",
     "same_site", "domain", "legacy_api", "listen", "certificate", "certificate_key", "expire", "cache", "table", "node",
     "mirror", "uploads_per_hour", "bytes_per_hour", "origins", "workers", "connections", "views", "threads", "endpoint",
     "endpoints", "sign_endpoint", "bucket", "region", "access_key", "secret_key", "session_token", "public_read", "drain",
     "bind", "url"]
)  # fmt: skip
#: Near to what a URL or a secret is, with the characters that have a meaning in one of them.
secretive = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "redis://", "rediss://:", "mysql+pymysql://u:", "sqlite:///", "http://", "https://u:"]),
    st.text("#@[]/?:%&=!*\t é中${\x00\ud83d", max_size=4),
    st.just(CANARY),
    st.text("#@[]/?:%&=!*\t é中${\x00\ud83d", max_size=4),
    st.sampled_from(["", "@h", "@h:6379/0", "@h:port/0", "@h:99999/db", "/db", "?x=1"]),
)


@settings(max_examples=500, deadline=None)
@given(sections, keys, json_values | secretive)
def test_a_deployment_with_any_value_anywhere(section: str, key: str, value: object) -> None:
    """Every fault has its path, and no text of a fault holds a value that may be a secret."""
    document = yaml.safe_load((REPO / "instances.yaml").read_text())
    document["auth"]["secret"] = f"{CANARY}-secret"
    document["nodes"]["m1"]["secret_key"] = f"{CANARY}-key"
    target = document
    for part in section.split("."):
        above, last = target, part
        target = target.setdefault(part, {})
    if isinstance(target, dict) and key != section:
        target[key] = value
    else:
        above[last] = value
    try:
        parse(yaml.safe_dump(document), {}, Path("/"))
    except ConfigError as e:
        if e.faults[0][0] == "":
            # JSON has halves of surrogate pairs and empty keys, this file has not.
            assert re.fullmatch("not YAML: .*(surrogate|character|not empty).*", e.faults[0][1])
        else:
            assert_faults_are_named(e.faults, document)
        # Names of nodes that are not there are shown, so that a mistyped one is seen.
        assert CANARY not in str(e) or key == "node"


@given(st.text(max_size=300))
def test_x_request_api_is_a_plain_url_or_nothing(header: str) -> None:
    address = api_address(header)
    assert address is None or (address.startswith(("http://", "https://")) and not set(address) & set("?#@ \n\"'<>"))


def test_a_file_that_is_no_text() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "instances.yaml"
        file.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ConfigError, match="not UTF-8"):
            load(file)


def test_form_tickets_round_trip() -> None:
    ticket = FormTicket("u", "n", "f", "name", 1, "t", 2**33)
    assert SEALER.open_form(SEALER.seal_form(ticket)) == ticket
    assert msgspec.to_builtins(ticket) == ["u", "n", "f", "name", 1, "t", 2**33]
