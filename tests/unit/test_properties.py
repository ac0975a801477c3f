"""Properties that hold for whatever comes, found out by hypothesis."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec
from hypothesis import given, settings
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
    with contextlib.suppress(APIError):
        assert SEALER.open_form(sealed) is None


@given(st.one_of(st.text(), st.binary().map(lambda b: b.decode("latin-1"))))
def test_texts_that_were_not_sealed_do_not_open(text: str) -> None:
    for open_it in (SEALER.open, SEALER.open_form):
        try:
            open_it(text)
        except APIError as e:
            assert e.detail
        else:
            raise AssertionError(text)
    assert SEALER.forwarded_by(text) is None


@given(tickets, st.integers(0, 400), st.characters())
def test_a_changed_id_does_not_open(ticket: Ticket, at: int, character: str) -> None:
    sealed = SEALER.seal(ticket)
    at %= len(sealed) - 1
    changed = sealed[:at] + character + sealed[at + 1 :]
    if changed != sealed:
        try:
            SEALER.open(changed)
        except APIError:
            return
        raise AssertionError(changed)


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


@settings(max_examples=300)
@given(st.dictionaries(st.text(max_size=10), json_values, max_size=5), st.text(max_size=200))
def test_deployments_are_read_or_every_fault_is_named(document: dict[str, object], text: str) -> None:
    for source in (json.dumps(document), text):
        with contextlib.suppress(ConfigError):
            parse(source, {}, Path("/"))


sample_paths = st.sampled_from(
    ["public_url", "auth.secret", "auth.admins", "records", "cookie.name", "balancer.listen", "uploads.expire", "limits",
     "nodes.m1", "nodes.m1.endpoint", "nodes.m1.bucket", "nodes.m2.sign_endpoint", "instances.i1", "instances.i1.bind",
     "instances.i2.url", "legacy.node", "cors.origins", "server.workers"]
)  # fmt: skip


@settings(max_examples=300)
@given(sample_paths, json_values)
def test_the_sample_with_one_value_changed(path: str, value: object) -> None:
    import yaml

    document = yaml.safe_load((REPO / "instances.yaml").read_text())
    *above, last = path.split(".")
    target = document
    for key in above:
        target = target.setdefault(key, {})
    target[last] = value
    try:
        parse(yaml.safe_dump(document), {}, Path("/"))
    except ConfigError as e:
        # Named by its path, or by that of something which follows from it.
        assert all(where and why for where, why in e.faults)


@given(st.text(max_size=300))
def test_x_request_api_is_a_plain_url_or_nothing(header: str) -> None:
    address = api_address(header)
    assert address is None or (address.startswith(("http://", "https://")) and not set(address) & set("?#@ \n\"'<>"))


def test_a_file_that_is_no_text() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "instances.yaml"
        file.write_bytes(b"\xff\xfe\x00")
        with contextlib.suppress(ConfigError):
            load(file)
            raise AssertionError("read")


def test_form_tickets_round_trip() -> None:
    ticket = FormTicket("u", "n", "f", "name", 1, "t", 2**33)
    assert SEALER.open_form(SEALER.seal_form(ticket)) == ticket
    assert msgspec.to_builtins(ticket) == ["u", "n", "f", "name", 1, "t", 2**33]
