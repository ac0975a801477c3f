"""Signs what clients send to a node themselves. Calls no storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone

from minio.datatypes import PostPolicy

from app.config.models import Node as NodeConfig
from app.storage.client import presigner
from app.storage.endpoints import ClusterCalls


class ClientURLs(ClusterCalls):
    """URLs and forms for a node's clients, at the address that they reach."""

    def __init__(self, config: NodeConfig, own: bool = True) -> None:
        super().__init__(config, own)
        self._public_read = config.public_read
        self._signer = presigner(config, config.sign_endpoint)

    def sign_parts(self, key: str, upload: str, parts: Iterable[tuple[int, int]], expires: int) -> list[str]:
        """The URLs to PUT parts to, each of exactly the bytes given with its number, for `expires` seconds."""
        return self._signer.presign_parts(self.bucket, key, upload, parts, expires)

    def sign_put(self, key: str, length: int, expires: int) -> tuple[str, dict[str, str]]:
        """The URL and headers to PUT an object of exactly `length` bytes with, once: a second PUT is answered 412."""
        url = self._signer.presign("PUT", self.bucket, key, expires, None, once_headers(length))
        return url, {"If-None-Match": "*"}

    def sign_view(self, method: str, key: str, expires: int, query: Mapping[str, str], at: float | None = None) -> str:
        """The URL to GET or HEAD an object at: the method is signed, so that one does not serve for the other."""
        if self._public_read:
            return self._signer.plain(self.bucket, key, query)
        return self._signer.presign(method, self.bucket, key, expires, query, at=at)

    def sign_form(self, key: str, size: int, content_type: str, expires: int) -> tuple[str, dict[str, str]]:
        """The URL and fields of a form that makes `key` of exactly `size` bytes (S3 POST policy)."""
        policy = PostPolicy(self.bucket, datetime.now(timezone.utc) + timedelta(seconds=expires))
        policy.add_equals_condition("key", key)
        policy.add_content_length_range_condition(size, size)
        fields = {"key": key}
        if content_type:
            policy.add_equals_condition("Content-Type", content_type)
            fields["Content-Type"] = content_type
        # Whichever client: it sends nothing.
        fields |= self.endpoints[0].client.presigned_post_policy(policy)
        return self._signer.plain(self.bucket, "", {}), fields


def once_headers(length: int) -> dict[str, str]:
    """The headers that a write-once PUT binds by its signature."""
    return {"content-length": str(length), "if-none-match": "*"}
