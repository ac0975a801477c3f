"""Multipart uploads by the SDK's own methods, which it keeps protected.

The only place that calls them: tests/integration/test_minio_contract.py holds them on the lowest and the newest
version that setup.cfg allows.
"""

from __future__ import annotations

from contextlib import suppress

from minio.datatypes import Part
from minio.error import MinioException

from app.core.model import NoSuchUpload, PartInfo
from app.storage.endpoints import ClusterCalls, Endpoint

#: Metadata of what is joined here, so that gc tells it from v3.4.0's objects at the same place.
WRITER = ("x-amz-meta-writer", "openim-direct")


class MultipartUploads(ClusterCalls):
    """Uploads to a node's bucket that are begun, sent and completed by different hands."""

    def create_upload(self, key: str) -> str:
        """Begin an upload; its S3 upload ID."""
        return self.call(lambda e: e.client._create_multipart_upload(self.bucket, key, dict([WRITER])))

    def complete_upload(self, key: str, upload: str, etags: list[str]) -> None:
        """Join the parts 1..n to the object, if each has the ETag given.

        :raises NoSuchUpload: the upload is not there; it may have been completed already.
        :raises InvalidParts: a part is missing, or has another ETag; nothing was made.
        """
        parts = [Part(number, etag) for number, etag in enumerate(etags, 1)]

        def join(endpoint: Endpoint) -> None:
            if not endpoint.slow._complete_multipart_upload(self.bucket, key, upload, parts).etag:
                raise MinioException("CompleteMultipartUpload was answered without an ETag")

        self.call(join)

    def abort_upload(self, key: str, upload: str) -> None:
        """Give up an upload; no error where there is none."""
        with suppress(NoSuchUpload):
            self.call(lambda e: e.client._abort_multipart_upload(self.bucket, key, upload))

    def list_parts(self, key: str, upload: str) -> list[PartInfo]:
        """The parts that were uploaded, by number.

        :raises NoSuchUpload: the upload is not there.
        """

        def every_page(endpoint: Endpoint) -> list[PartInfo]:
            found: list[PartInfo] = []
            marker: str | None = None
            while True:
                page = endpoint.client._list_parts(self.bucket, key, upload, part_number_marker=marker)
                found += [PartInfo(part.part_number, part.etag, part.size or 0) for part in page.parts]
                if not page.is_truncated:
                    return found
                # A number in older versions, which take only text.
                marker = str(page.next_part_number_marker)

        return self.call(every_page)

    def unfinished(self, key: str | None = None) -> list[tuple[str, str, float]]:
        """Key, S3 upload ID and Unix time of the beginning of each unfinished upload.

        MinIO of 2026-02 lists all of them in one answer, whatever max-uploads is (tried with 1,100). It forgets those begun
        before its own start. Versions before 2024 list none, unless they are asked for one key. All give them up after 24 h.

        :param key: only those of this object.
        """
        uploads = self.call(lambda e: e.slow._list_multipart_uploads(self.bucket, prefix=key)).uploads
        return [
            (u.object_name, u.upload_id or "", u.initiated_time.timestamp() if u.initiated_time else 0.0) for u in uploads
        ]
