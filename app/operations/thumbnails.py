"""Finds the thumbnails that go along with pictures that moved: copying one costs less than making it anew at a view."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice

from app.core.model import StoredObject
from app.operations.recovery import Patience
from app.operations.walk import PAGE, THUMBNAILS, content_hash, each_object, etag_of
from app.records.store import Records
from app.storage.node import Node


def known_pictures(records: Records, patience: Patience, node: Node, etags: set[str]) -> set[str]:
    """Which of these ETags an object on a node has that a record means. Objects of one content share their thumbnails.

    :raises DatabaseError:
    """
    hashes = [content_hash(etag) for etag in etags]
    # Quickly by the index of contents; those that were joined from parts by all records.
    known = patience.records(partial(records.known_etags, node.id, list(etags), hashes))
    rest = list(etags - known)
    return known | patience.records(partial(records.known_etags, node.id, rest, None)) if rest else known


def missing_thumbnails(records: Records, patience: Patience, source: Node, target: Node) -> Iterator[str]:
    """Keys of thumbnails on the source whose pictures lie on the target, where these thumbnails do not.

    :raises DatabaseError, NetworkError, InternalError:
    """
    missing = _not_in(each_object(source, patience, THUMBNAILS), each_object(target, patience, THUMBNAILS))
    while page := list(islice(missing, PAGE)):
        etags = {etag_of(key) for key in page}
        here = known_pictures(records, patience, target, etags)
        yield from (key for key in page if etag_of(key) in here)


def _not_in(these: Iterator[StoredObject], those: Iterator[StoredObject]) -> Iterator[str]:
    """Keys of one listing that are not in another; both are in the order of their keys."""
    other = next(those, None)
    for one in these:
        while other is not None and other.key < one.key:
            other = next(those, None)
        if other is None or other.key != one.key:
            yield one.key
