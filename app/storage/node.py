"""One MinIO node, as the rest of the program holds it: the bucket's objects and multipart uploads, for one process.

The storage is reached through `client.NodeClient`, the SDK's client, only from this folder. Failures become ours in
`s3_errors`, by one table.
"""

from __future__ import annotations

import io
from contextlib import closing, suppress

from minio.commonconfig import CopySource

from app.core.model import ObjectInfo
from app.storage.bulk import BulkCalls
from app.storage.client_urls import ClientURLs
from app.storage.endpoints import Endpoint
from app.storage.multipart import MultipartUploads
from app.storage.probe import Probing
from app.storage.s3_errors import EmptyRange, NoSuchObject, PreconditionFailed


class Node(ClientURLs, BulkCalls, MultipartUploads, Probing):
    """A node's bucket: what requests ask of it here; what its clients are given, and what commands, uploads and the monitor
    ask of it, in the classes that it is made of.

    :param own: the instance's own node, whose bucket is made where it is not there.
    :raises ValueError: the configuration holds no keys for the node.
    """

    def stat(self, key: str) -> ObjectInfo | None:
        """HEAD an object; None where there is none."""
        try:
            found = self.call(lambda e: e.client.head(self.bucket, key))
        except NoSuchObject:
            return None
        encrypted = (found.metadata or {}).get("x-amz-server-side-encryption", "") == "aws:kms"
        return ObjectInfo(found.size or 0, found.etag or "", found.content_type or "", is_md5=not encrypted)

    def read(self, key: str, length: int) -> bytes:
        """The first `length` bytes of an object; fewer where it is shorter, none where there is no object."""

        def get(endpoint: Endpoint) -> bytes:
            with closing(endpoint.client.get_object(self.bucket, key, length=length)) as response:
                # Undecoded: a Content-Encoding that was uploaded with an object is the client's affair.
                return bytes(response.read(decode_content=False))

        try:
            return self.call(get)[:length]
        except (NoSuchObject, EmptyRange):
            return b""

    def put(self, key: str, body: bytes) -> None:
        """Write an object, whatever was there."""
        self.call(lambda e: e.client.put_object(self.bucket, key, io.BytesIO(body), len(body)))

    def put_once(self, key: str, body: bytes, content_type: str) -> None:
        """Write an object, unless one is there; that one stays."""
        headers = {"If-None-Match": "*", "Content-Type": content_type}
        signed = {name.lower(): value for name, value in headers.items()}
        with suppress(PreconditionFailed):
            self.call(lambda e: e.client.send("PUT", self.bucket, key, body, headers, signed=signed))

    def copy(self, source: str, target: str, etag: str) -> None:
        """Copy an object within the bucket, if it still has this ETag; up to 5 GiB."""
        self.call(lambda e: e.slow.copy_object(self.bucket, target, CopySource(self.bucket, source, match_etag=etag)))

    def remove(self, key: str) -> None:
        """Delete an object; no error where there is none."""
        self.call(lambda e: e.client.remove_object(self.bucket, key))
