"""Walks through all records: ours, and v3.4.0's rows that have none of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from app.core.model import Record
from app.records.store import Records
from app.storage.node import Node

_PAGE = 500


def each_record(records: Records, node: str | None = None, before: int | None = None) -> Iterator[Record]:
    """Ours by name, page by page; they may be changed or removed on the way.

    :param node: only those on this node.
    :param before: only those created before this, Unix milliseconds.
    """
    after = ""
    while page := records.page(after, _PAGE, node, before):
        yield from page
        after = page[-1].name


def each_old_row(records: Records, old_node: str | None, nodes: Mapping[str, Node]) -> Iterator[Record]:
    """v3.4.0's rows without a record of ours, of objects that lie on one of `nodes`, with that node.

    :param old_node: where all of them lie; empty where each has to be looked for, None where there are none.
    """
    if old_node is None or (old_node and old_node not in nodes):
        return
    after = ""
    while page := records.old_page(after, _PAGE):
        absent = set(records.absent([record.name for record in page]))
        for record in page:
            if record.name in absent and (node := old_node or _holder(record, nodes)):
                yield msgspec.structs.replace(record, node=node)
        after = page[-1].name


def _holder(record: Record, nodes: Mapping[str, Node]) -> str | None:
    return next((node_id for node_id, node in nodes.items() if node.stat(record.key) is not None), None)
