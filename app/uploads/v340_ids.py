"""Opens upload IDs that v3.4.0 gave out before the switch: base64 of JSON, unsigned.

Anyone can make one, so only what cannot do harm is honoured: a multipart upload to the very place that its own content hash
says, which completes only if every part holds the content of its MD5.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from app.auth.sealing import Ticket
from app.core.errors import InternalError
from app.core.model import NoSuchUpload
from app.storage.node import Node
from app.uploads.lifecycle import hash_key
from app.uploads.parts import part_size

#: v3.4.0's type of a multipart upload; 2 is a presigned PUT to a temporary object, whose key the ID names freely.
_MULTIPART = 1
#: Seconds that parts signed for such an ID may be sent.
_EXPIRE = 86400


class _LegacyID(msgspec.Struct):
    type: int = msgspec.field(name="a")
    s3_upload: Annotated[str, msgspec.Meta(max_length=1024)] = msgspec.field(name="b", default="")
    key: str = msgspec.field(name="c", default="")
    size: int = msgspec.field(name="d", default=0)
    hash: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")] = msgspec.field(name="e", default="")


@dataclass
class LegacyIDs:
    #: The node that v3.4.0 used; None asks each of `nodes`.
    node: str | None
    nodes: Mapping[str, Node]

    def open(self, upload_id: str, user: str) -> Ticket | None:
        """The upload that an ID of v3.4.0 stands for; None where it is none of v3.4.0's.

        :raises InternalError: it is one, and is not honoured, or its upload is on no node.
        """
        found = _decode(upload_id)
        if found is None:
            return None
        if found.type != _MULTIPART or found.key != hash_key(found.hash) or not found.s3_upload:
            raise InternalError(
                "invalid multipart upload id: of v3.4.0's, only multipart uploads to the place of their own hash are "
                "honoured; initiate the upload again"
            )
        size_of_part = part_size(found.size)
        if found.size <= size_of_part:
            raise InternalError("invalid multipart upload id: v3.4.0 makes none for a file of one part")
        return Ticket(
            user=user,
            node=self.node if self.node is not None else self._locate(found),
            key=found.key,
            s3_upload=found.s3_upload,
            hash=found.hash,
            size=found.size,
            part_size=size_of_part,
            expires=int(time.time()) + _EXPIRE,
        )

    def _locate(self, found: _LegacyID) -> str:
        for node_id, node in self.nodes.items():
            try:
                node.list_parts(found.key, found.s3_upload)
            except NoSuchUpload:
                # Completed before, perhaps by this very request, whose answer was lost.
                if node.stat(found.key) is None:
                    continue
            return node_id
        raise InternalError("The specified multipart upload does not exist on any node; initiate the upload again")


def _decode(upload_id: str) -> _LegacyID | None:
    try:
        text = base64.b64decode(upload_id + "=" * (-len(upload_id) % 4), validate=True)
        return msgspec.json.decode(text, type=_LegacyID)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
