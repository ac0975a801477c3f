"""Removes old names, and the objects that no name needs any more.

Names are marked first, which takes them from everybody: links answer 404, and no upload finds their content any more.
Then, page by page, the objects go, and after them their records. So at every moment each object has a record, and whatever
ends the run, the next one finds what is left by the marks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import msgspec

from app.core.errors import APIError
from app.core.model import Record
from app.operations.recovery import Left, Patience, Recent
from app.operations.walk import PAGE, each_page, each_thumbnail
from app.records.store import Records
from app.storage.node import Node

#: Seconds between marking a record and removing its object: an upload of the same content that just found the record has
#: recorded its own name by then, which keeps the object.
GRACE = 15.0
#: Where uploads in parts put content, whoever sends it: another upload of the same may be about to end there.
_SHARED = "openim/data/hash/"
#: Objects at that place that are looked at, at once.
_PARALLEL = 8

UNDER_WAY = "the same content is being uploaded now"
NO_KEYS = "this file holds no keys of node {}"


class Expired(msgspec.Struct):
    #: Names whose records are removed.
    names: int = 0
    #: Objects that were removed with them, and their bytes. Objects that were gone before count too.
    objects: int = 0
    bytes: int = 0
    #: Objects that stay, since v3.4.0's table names them.
    kept: int = 0
    #: Names that are marked and not removed, or not marked, and why.
    left: Left = msgspec.field(default_factory=Left)
    #: Why it ended early; empty where it did not.
    given_up: str = ""


@dataclass
class Expiry:
    records: Records
    #: Those that keys are known for.
    nodes: Mapping[str, Node]
    #: Unix milliseconds.
    before: int
    #: Only of this type; `image/` and the like stand for all that begin so.
    content_type: str | None = None
    patience: Patience = field(default_factory=Patience)
    #: Records that are handled together.
    page: int = PAGE
    grace: float = GRACE

    def __post_init__(self) -> None:
        self._done = Expired()
        #: Node and key, so that an object of several names counts once.
        self._removed = Recent()

    def count(self) -> Expired:
        """What would go, at most: what stays needed by younger names is not known before.

        :raises DatabaseError:
        """
        done, seen = Expired(), Recent()
        for page in each_page(self.records, self.patience, before=self.before, size=self.page):
            for record in filter(self._is_meant, page):
                done.names += 1
                if seen.add((record.node, record.key)):
                    done.objects += 1
                    done.bytes += record.size
        return done

    def run(self) -> Expired:
        """Remove them. Raises nothing for what does not answer: `left` and `given_up` tell."""
        try:
            for page in each_page(self.records, self.patience, before=self.before, size=self.page):
                self._mark([r for r in page if r.create_time >= 0 and self._is_meant(r)])
            if self.patience.records(partial(self.records.page, "", 1, before=0)):
                time.sleep(self.grace)
            # Those of runs before as well, whatever these were asked for.
            for page in each_page(self.records, self.patience, before=0, size=self.page):
                for node_id in sorted({record.node for record in page}):
                    self._remove(node_id, [record for record in page if record.node == node_id])
        except APIError as e:
            self._done.given_up = e.detail
        return self._done

    def _is_meant(self, record: Record) -> bool:
        wanted = self.content_type
        if wanted is None or record.content_type == wanted or record.create_time < 0:
            return True
        return wanted.endswith("/") and record.content_type.startswith(wanted)

    def _mark(self, page: list[Record]) -> None:
        """Mark the records whose objects can be removed here: a record that goes alone would leave an object behind."""
        for record in page:
            if record.node not in self.nodes:
                self._done.left.add(record.name, NO_KEYS.format(record.node))
        names = [record.name for record in page if record.node in self.nodes]
        if names:
            self.patience.records(partial(self.records.mark, names, self.before))

    def _remove(self, node_id: str, marked: list[Record]) -> None:
        """Remove objects that these records alone mean, and then the records.

        :raises DatabaseError:
        """
        done, node = self._done, self.nodes.get(node_id)
        if node is None:
            for record in marked:
                done.left.add(record.name, NO_KEYS.format(node_id))
            return
        live = self.patience.records(partial(self.records.live, node_id, list({r.hash for r in marked})))
        objects = {r.key: r for r in marked if (r.hash, r.key) not in live}
        old = self.patience.records(partial(self.records.old_names, list(objects)))
        done.kept += len(old)
        going = {key: record for key, record in objects.items() if key not in old}
        try:
            failed = self._remove_objects(node, going)
            # Thumbnails belong to a content, whatever its keys.
            live_hashes = {content_hash for content_hash, _ in live}
            etags = {r.etag for key, r in going.items() if key not in failed and r.etag and r.hash not in live_hashes}
            thumbnails = list(each_thumbnail(node, self.patience, etags))
            for first in range(0, len(thumbnails), PAGE):
                self.patience.call(node_id, partial(node.remove_many, thumbnails[first : first + PAGE]))
        except APIError as e:
            # The records stay, so that the next run does it again.
            failed = dict.fromkeys(going, e.detail)
        for record in marked:
            if record.key in failed:
                done.left.add(record.name, failed[record.key])
        gone = [record for record in marked if record.key not in failed]
        if gone:
            self.patience.records(partial(self.records.remove, node_id, gone))
        done.names += len(gone)
        for key, record in going.items():
            if key not in failed and self._removed.add((node_id, key)):
                done.objects += 1
                done.bytes += record.size

    def _remove_objects(self, node: Node, going: Mapping[str, Record]) -> dict[str, str]:
        """
        :returns: keys of those that stay, and why.
        :raises NetworkError, InternalError:
        """
        if not going:
            return {}
        shared = [key for key in going if key.startswith(_SHARED)]
        with ThreadPoolExecutor(_PARALLEL) as pool:
            busy = pool.map(partial(self._is_written, node), shared)
            failed = {key: UNDER_WAY for key, written in zip(shared, busy, strict=True) if written}
        if shared:
            # Beside v3.4.0's table, an upload finds content by its place alone: once more, just before it goes.
            hashes = list({going[key].hash for key in shared})
            live = self.patience.records(partial(self.records.live, node.id, hashes))
            failed |= {key: UNDER_WAY for key in shared if (going[key].hash, key) in live}
        keys = [key for key in going if key not in failed]
        return failed | self.patience.call(node.id, partial(node.remove_many, keys))

    def _is_written(self, node: Node, key: str) -> bool:
        """Whether an upload is about to write an object anew, or has done so since its records were marked."""
        # In this order: an upload that ends between the two has written the object just now.
        if self.patience.call(node.id, partial(node.unfinished, key)):
            return True
        written = self.patience.call(node.id, partial(node.written, key))
        return written is not None and written.age < self.grace
