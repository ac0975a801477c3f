"""Removes what no record needs: what uploads and commands that ended early left on a node, and all that is left on one."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import chain, islice

import msgspec

from app.core.errors import APIError
from app.core.model import StoredObject
from app.operations.recovery import Left, Patience
from app.operations.thumbnails import known_pictures
from app.operations.walk import PAGE, THUMBNAILS, content_hash, each_object, each_old_row, each_page, etag_of
from app.records.store import Records
from app.storage.node import Node

#: Seconds that an admin's form may live, and that v3.4.0 promises its uploads; and an hour.
_WEEK = 7 * 86400 + 3600
#: Seconds for which what a check or a command wrote to try a node may be in use.
_TRIED = 3600


class Removed(msgspec.Struct):
    #: Multipart uploads that were given up.
    uploads: int = 0
    objects: int = 0
    #: Bytes of these objects.
    bytes: int = 0
    #: What could not be removed, and why.
    left: Left = msgspec.field(default_factory=Left)
    #: Objects that may be v3.4.0's, whose table is not asked, and their bytes.
    strange: int = 0
    strange_bytes: int = 0
    #: Why it ended early; empty where it did not.
    given_up: str = ""


@dataclass
class Collection:
    """Removes from one node what nothing needs: whatever a key of this program or of v3.4.0 can begin with is looked at."""

    records: Records
    node: Node
    #: Seconds; what is younger an upload may still complete.
    older: float
    #: All nodes of the deployment; names on nodes that are not among them keep what they name anywhere.
    known: Iterable[str]
    #: Whether v3.4.0's table is asked too.
    legacy: bool = False
    #: Remove contents without a name although they may be v3.4.0's, whose table is not asked.
    unnamed: bool = False
    dry_run: bool = False
    patience: Patience = field(default_factory=Patience)
    page: int = PAGE

    def __post_init__(self) -> None:
        self._done = Removed()
        #: Whose names do not keep an object of this node: an entry that was renamed in the file may be this one.
        self._others = [node_id for node_id in self.known if node_id != self.node.id]

    def run(self) -> Removed:
        """Raises nothing for what does not answer: `left` and `given_up` tell."""
        older = self.older
        #: What each key begins with, after how many seconds it is of no use any more, and which of a page's are needed.
        places: tuple[tuple[str, float, Callable[[list[StoredObject]], set[str]]], ...] = (
            ("openim/data/once/", older, self._named),
            ("openim/data/hash/", older, self._named_or_strange),
            ("openim/data/form/", max(older, _WEEK), self._named),
            # Forms that were sent and not completed, and v3.4.0's small files on their way.
            ("openim/temp/", max(older, _WEEK), lambda _: set()),
            ("openim/probe/", max(older, _TRIED), lambda _: set()),
            (THUMBNAILS, older, self._of_known_pictures),
        )
        try:
            _abort_uploads(self.node, self.patience, time.time() - older, self._done, self.dry_run)
            for prefix, age, needed in places:
                begun = time.time()
                old = (o for o in each_object(self.node, self.patience, prefix) if o.modified < begun - age)
                for page in _pages(old, self.page):
                    keep = needed(page)
                    _remove(self.node, self.patience, [o for o in page if o.key not in keep], self._done, self.dry_run)
        except APIError as e:
            self._done.given_up = e.detail
        return self._done

    def _named(self, page: list[StoredObject]) -> set[str]:
        """Keys that a record names. Quickly by the index of contents; what that does not find, by all records."""
        keys = [o.key for o in page]
        hashes = [_hash_of(o) for o in page]
        named = self.patience.records(partial(self.records.named_keys, keys, hashes, self._others))
        rest = [key for key in keys if key not in named]
        if rest:
            named |= self.patience.records(partial(self.records.named_keys, rest, None, self._others))
        rest = [key for key in keys if key not in named]
        return named | self.patience.records(partial(self.records.old_names, rest))

    def _named_or_strange(self, page: list[StoredObject]) -> set[str]:
        """The same where v3.4.0 puts its objects as well, and where a content that comes again has the same key."""
        keep = self._named(page)
        for found in page:
            if found.key in keep:
                continue
            under_way = self.patience.call(self.node.id, partial(self.node.unfinished, found.key))
            written = self.patience.call(self.node.id, partial(self.node.written, found.key))
            if under_way or written is None or written.age < self.older:
                keep.add(found.key)
            elif not (self.legacy or self.unnamed or written.ours):
                keep.add(found.key)
                self._done.strange += 1
                self._done.strange_bytes += found.size
        # Once more: what v3.4.0's table does not name, an upload finds by its place and names a moment later.
        rest = [o for o in page if o.key not in keep]
        return keep | (self._named(rest) if rest else set())

    def _of_known_pictures(self, page: list[StoredObject]) -> set[str]:
        """Thumbnails of pictures on this node. One too many that goes is made again at the next view."""
        etags = {etag_of(o.key) for o in page}
        known = known_pictures(self.records, self.patience, self.node, etags)
        if self.legacy and (rest := etags - known):
            # v3.4.0 keeps no ETags: those of one part follow from the content's hash, the others are left alone.
            by_hash = {content_hash(etag): etag for etag in rest if "-" not in etag}
            old = self.patience.records(partial(self.records.old_hashes, list(by_hash)))
            known |= {etag for etag in rest if "-" in etag} | {by_hash[found] for found in old}
        return {o.key for o in page if etag_of(o.key) in known}


def still_needed(records: Records, patience: Patience, node: Node, old_node: str | None, count: int = 5) -> list[str]:
    """Some names that mean objects of a node.

    :param old_node: see `each_old_row`.
    """
    pages = each_page(records, patience, node.id, size=count)
    needed = chain(chain.from_iterable(pages), each_old_row(records, patience, old_node, {node.id: node}))
    return [record.name for record in islice(needed, count)]


def purge(node: Node, patience: Patience, dry_run: bool = False) -> Removed:
    """Delete every object of this product and of v3.4.0 on a node. Raises nothing for what does not answer."""
    done = Removed()
    try:
        _abort_uploads(node, patience, time.time(), done, dry_run)
        for page in _pages(each_object(node, patience, "openim/"), PAGE):
            _remove(node, patience, page, done, dry_run)
    except APIError as e:
        done.given_up = e.detail
    return done


def one_bucket(nodes: Mapping[str, Node], patience: Patience) -> list[tuple[str, str]]:
    """Pairs of entries that are one and the same bucket: what is removed for one of them would be gone for both.

    Found by writing an object to each and listing it at the others; those that do not answer, or refuse, are left out.
    """
    place = f"openim/probe/{secrets.token_hex(16)}/"
    wrote: list[Node] = []
    found: set[tuple[str, str]] = set()
    try:
        for node in nodes.values():
            with suppress(APIError):
                patience.call(node.id, partial(_try, node, place + node.id))
                wrote.append(node)
        for node in nodes.values():
            with suppress(APIError):
                listed = patience.call(node.id, partial(node.list_page, place))
                others = {o.key.removeprefix(place) for o in listed} - {node.id}
                found |= {(min(node.id, other), max(node.id, other)) for other in others}
    finally:
        for node in wrote:
            with suppress(APIError):
                patience.call(node.id, partial(node.remove, place + node.id))
    return sorted(found)


def _try(node: Node, key: str) -> None:
    node.write(key, BytesIO(b"1"), 1, "")


def _abort_uploads(node: Node, patience: Patience, before: float, done: Removed, dry_run: bool) -> None:
    """Give up unfinished multipart uploads that were begun before a Unix time."""
    for key, upload, begun in patience.call(node.id, node.unfinished):
        if begun < before and key.startswith("openim/"):
            if not dry_run:
                patience.call(node.id, partial(node.abort_upload, key, upload))
            done.uploads += 1


def _remove(node: Node, patience: Patience, page: list[StoredObject], done: Removed, dry_run: bool) -> None:
    refused: dict[str, str] = {}
    if page and not dry_run:
        refused = patience.call(node.id, partial(node.remove_many, [o.key for o in page]))
    for stored in page:
        if stored.key in refused:
            done.left.add(stored.key, refused[stored.key])
        else:
            done.objects += 1
            done.bytes += stored.size


def _pages(objects: Iterator[StoredObject], size: int) -> Iterator[list[StoredObject]]:
    while page := list(islice(objects, size)):
        yield page


def _hash_of(stored: StoredObject) -> str:
    """The hash of an object's content, as its record has it: from the key, or, of a form's file, from the ETag."""
    place, _, name = stored.key.rpartition("/")
    return content_hash(stored.etag) if place == "openim/data/form" else name.partition("_")[0]
