"""What the rooms hand to each other: storage facts, records, and how a storage call may fail. No SDK, no I/O."""

from __future__ import annotations

import msgspec

from app.core.errors import NetworkError


class ObjectInfo(msgspec.Struct, frozen=True):
    #: Bytes.
    size: int
    #: Without quotes: the MD5 in hex, or `<MD5 of the part MD5s>-<parts>` after a multipart upload.
    etag: str
    content_type: str = ""
    #: Whether the ETag is of that form: of an object that S3 encrypted with SSE-KMS it is not.
    is_md5: bool = True


class StoredObject(msgspec.Struct, frozen=True):
    """What a listing says of an object."""

    key: str
    #: Bytes.
    size: int
    #: Unix time of when it was written, by the node's clock.
    modified: float
    etag: str


class WrittenObject(msgspec.Struct, frozen=True):
    """When an object was written, and by whom."""

    #: Seconds since then, by the node's own clock.
    age: float
    #: Whether this program joined it from parts: v3.4.0 puts its objects to the same place.
    ours: bool


class PartInfo(msgspec.Struct, frozen=True):
    number: int
    etag: str
    #: Bytes.
    size: int


class NoSuchUpload(Exception):
    """The multipart upload is not there: completed, aborted, expired, or never begun on this node."""


class ChangedObject(Exception):
    """The object is gone, or holds other content than was expected."""


class SourceFailed(Exception):
    """What is written to one node is read from another, and that other one failed: the target's `write` lets this pass.

    :param error: names the source and why.
    """

    def __init__(self, error: NetworkError) -> None:
        super().__init__(error.detail)
        self.error = error


class InvalidParts(Exception):
    """A part is missing, or holds other content than was said."""


class Record(msgspec.Struct, frozen=True):
    """Which object a name means."""

    name: str
    #: Who uploaded it.
    user: str
    #: Empty for one of v3.4.0's whose node is not known yet.
    node: str
    #: Object key in the node's bucket.
    key: str
    #: MD5, hex, of the part MD5s in hex, joined with commas.
    hash: str
    #: S3's ETag of the object, which tells whether the key still holds this content; empty where it was never asked.
    etag: str
    #: Bytes.
    size: int
    content_type: str
    cause: str
    #: Unix milliseconds. Negative, as -1 - milliseconds, while expire removes it: a name for nobody any more.
    create_time: int
