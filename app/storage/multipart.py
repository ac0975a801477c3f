"""Multipart uploads by the SDK's own methods, which it keeps protected.

The only place that calls them: tests/integration/test_minio_contract.py holds them on the lowest and the newest
version that setup.cfg allows.
"""

from __future__ import annotations

from minio import Minio
from minio.datatypes import Part
from minio.error import MinioException

from app.core.model import PartInfo


class MultipartClient(Minio):
    """The SDK's client with multipart uploads that are begun, sent and completed by different hands."""

    def create_upload(self, bucket: str, key: str) -> str:
        """Begin an upload; its S3 upload ID."""
        return self._create_multipart_upload(bucket, key, {})

    def complete_upload(self, bucket: str, key: str, upload: str, etags: list[str]) -> str:
        """Join the parts 1..n to the object, if each has the ETag given; the object's ETag."""
        parts = [Part(number, etag) for number, etag in enumerate(etags, 1)]
        etag = self._complete_multipart_upload(bucket, key, upload, parts).etag
        if not etag:
            raise MinioException("CompleteMultipartUpload was answered without an ETag")
        return etag

    def abort_upload(self, bucket: str, key: str, upload: str) -> None:
        self._abort_multipart_upload(bucket, key, upload)

    def list_parts(self, bucket: str, key: str, upload: str) -> list[PartInfo]:
        """The parts that were uploaded, by number."""
        found: list[PartInfo] = []
        marker: str | None = None
        while True:
            page = self._list_parts(bucket, key, upload, part_number_marker=marker)
            found += [PartInfo(part.part_number, part.etag, part.size or 0) for part in page.parts]
            if not page.is_truncated:
                return found
            # A number in older versions, which take only text.
            marker = str(page.next_part_number_marker)

    def unfinished_uploads(self, bucket: str) -> list[tuple[str, str, float]]:
        """Key, S3 upload ID and Unix time of the beginning of each unfinished upload.

        MinIO names all of them at once, whatever number is requested: 1,100 were seen.
        """
        page = self._list_multipart_uploads(bucket)
        return [
            (upload.object_name, upload.upload_id or "", upload.initiated_time.timestamp() if upload.initiated_time else 0.0)
            for upload in page.uploads
        ]
