"""What commands that work on whole nodes (migrate, expire, gc, purge) ask of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from email.utils import mktime_tz, parsedate_tz
from itertools import islice
from typing import IO

from minio.deleteobjects import DeleteError, DeleteObject
from minio.error import S3Error
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from app.core.errors import InternalError, NetworkError
from app.core.model import ChangedObject, NoSuchUpload, SourceFailed, StoredObject, WrittenObject
from app.storage.endpoints import ClusterCalls, Endpoint
from app.storage.multipart import WRITER
from app.storage.s3_errors import NoSuchObject, PreconditionFailed, by_code

#: Bytes read and sent at a time.
_BLOCK = 1 << 18
#: Objects that one request lists, S3's own most.
LISTED = 1000


class BulkCalls(ClusterCalls):
    @contextmanager
    def reading(self, key: str, etag: str, first: int, length: int) -> Iterator[ObjectStream]:
        """A range of an object as a stream, if it still has this ETag.

        :param length: bytes; 0 for an empty object.
        :raises ChangedObject: it has another, or is gone.
        :raises NetworkError: also while the stream is read: a cut one never looks like a whole one.
        """
        headers: dict[str, str | list[str] | tuple[str]] = {"If-Match": f'"{etag}"'}

        def open_object(endpoint: Endpoint) -> ObjectStream:
            response = endpoint.stream.get_object(self.bucket, key, first, length, headers)
            return ObjectStream(response, length, lambda e: self.failed(endpoint, e))

        try:
            stream = self.call(open_object, quiet=True)
        except (NoSuchObject, PreconditionFailed):
            raise ChangedObject from None
        with closing(stream):
            yield stream

    def write(self, key: str, body: IO[bytes], length: int, content_type: str, part: tuple[str, int] | None = None) -> str:
        """Write an object, or a part of one, from a stream; its ETag. Empty where an object is there: that one stays.

        What reading the body raises passes through and does not mark this node as down.

        :param part: (S3 upload ID, number).
        """
        query = {} if part is None else {"uploadId": part[0], "partNumber": str(part[1])}
        signed = {"content-length": str(length)}
        headers = {"Content-Length": str(length)}
        if part is None:
            headers["If-None-Match"] = "*"
            if content_type:
                headers["Content-Type"] = content_type

        def put(endpoint: Endpoint) -> str:
            # A body is read once: a second endpoint gets it only where the first could not be connected to.
            content = _blocks(body, length) if length else b""
            answer = endpoint.stream.send("PUT", self.bucket, key, content, headers, query, signed)
            return str(answer.headers.get("ETag", "")).strip('"')

        try:
            return self.call(put, quiet=True)
        except PreconditionFailed:
            return ""
        except NoSuchUpload:
            raise InternalError(f"MinIO node {self.id}: the multipart upload is gone (NoSuchUpload)") from None

    def first_part(self, key: str) -> int:
        """Bytes of the first part of an object that was joined from parts."""
        found = self.call(lambda e: e.client.head(self.bucket, key, {"partNumber": "1"}))
        return found.size or 0

    def list_page(self, prefix: str, after: str = "") -> list[StoredObject]:
        """The next objects under a prefix, by key: fewer than `LISTED` where there are no more."""

        def ask(endpoint: Endpoint) -> list[StoredObject]:
            # One request, so that a failure in the middle of a long listing costs one page.
            objects = endpoint.slow.list_objects(self.bucket, prefix, recursive=True, start_after=after or None)
            return [
                StoredObject(
                    str(o.object_name),
                    o.size or 0,
                    o.last_modified.timestamp() if o.last_modified else 0.0,
                    (o.etag or "").strip('"'),
                )
                for o in islice(objects, LISTED)
            ]

        return self.call(ask, quiet=True)

    def remove_many(self, keys: list[str]) -> dict[str, str]:
        """Delete objects, by one request for each 1,000; no error for those that are not there.

        :returns: those that the node keeps, and why.
        """

        def remove(endpoint: Endpoint) -> list[DeleteError]:
            return list(endpoint.slow.remove_objects(self.bucket, [DeleteObject(key) for key in keys]))

        refused = self.call(remove, quiet=True)
        return {str(e.name): str(by_code(self.id, e.code or "", e.message or "")) for e in refused}

    def written(self, key: str) -> WrittenObject | None:
        """HEAD an object for when it was written, and whether by this program; None where there is none.

        :raises NetworkError: also where an answer without all of it came.
        """
        try:
            found = self.call(lambda e: e.client.head(self.bucket, key), quiet=True)
        except NoSuchObject:
            return None
        headers = found.metadata or {}
        date = parsedate_tz(headers.get("Date", ""))
        if found.last_modified is None or date is None:
            # MinIO says it last.
            raise NetworkError(f"MinIO node {self.id} did not say all of when an object was written; try again")
        name, value = WRITER
        return WrittenObject(mktime_tz(date) - found.last_modified.timestamp(), headers.get(name) == value)

    def object_lock(self) -> str:
        """How long the bucket keeps each object from being deleted, such as `COMPLIANCE 30 Days`; empty for none."""

        def ask(endpoint: Endpoint) -> str:
            try:
                found = endpoint.client.get_object_lock_config(self.bucket)
            except S3Error as e:
                if e.code in ("ObjectLockConfigurationNotFoundError", "MethodNotAllowed", "AccessDenied"):
                    return ""
                raise
            # As XML, since versions of the SDK give the duration in different shapes.
            rule = found.toxml(None).find("Rule/DefaultRetention")
            return "" if rule is None else " ".join(f"{e.text} {e.tag}" if e.tag != "Mode" else f"{e.text}" for e in rule)

        return self.call(ask, quiet=True)


def _blocks(source: IO[bytes], length: int) -> Iterator[bytes]:
    """The body of a streamed write: exactly `length` bytes of a source, read as they are sent.

    Whatever reading the source raises passes through the write, so that it is told from a failure of the target.

    :raises SourceFailed: the source ended early. Sending less would keep the target waiting for the rest.
    """
    left = length
    while left:
        block = source.read(min(_BLOCK, left))
        if not block:
            raise SourceFailed(NetworkError(f"the source of a copy ended {left} bytes early"))
        left -= len(block)
        yield block


class ObjectStream:
    """The content of an object, or of a range of it, as its node sends it.

    :param length: bytes that have to come; fewer are an error, never the end.
    :param failed: makes the error to raise of a connection's failure.
    """

    def __init__(self, response: BaseHTTPResponse, length: int, failed: Callable[[Exception], Exception]) -> None:
        self._response = response
        self._left = length
        self._failed = failed

    @property
    def content_type(self) -> str:
        return self._response.headers.get("Content-Type", "")

    def close(self) -> None:
        self._response.close()

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes, all that are left by default; none at the end.

        :raises NetworkError: the content was cut, or did not come in time.
        """
        try:
            # Undecoded: a Content-Encoding that was uploaded with an object is the client's affair.
            data = self._response.read(None if count < 0 else count, decode_content=False)
        except (HTTPError, OSError) as e:
            raise self._failed(e) from e
        self._left -= len(data)
        if self._left > 0 and (count < 0 or (count > 0 and not data)):
            raise self._failed(ConnectionResetError("the content ended early"))
        return data
