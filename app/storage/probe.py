"""Asks a node how it is: whether it answers, what it can be trusted with, and why it refuses."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import time
from collections.abc import Mapping

from minio import Minio
from minio.credentials.providers import StaticProvider
from minio.error import MinioException, S3Error
from minio.minioadmin import MinioAdmin
from urllib3.exceptions import HTTPError

from app.config.models import Node as NodeConfig
from app.core.addresses import authority
from app.core.errors import InternalError, NetworkError
from app.core.unreachable import reason
from app.storage.client_urls import once_headers
from app.storage.endpoints import ClusterCalls, Endpoint
from app.storage.s3_errors import CALL_ERRORS, PreconditionFailed, StorageFull, by_code

log = logging.getLogger(__name__)


class Probing(ClusterCalls):
    """What the monitor and `check` ask of a node."""

    def __init__(self, config: NodeConfig, own: bool = True) -> None:
        super().__init__(config, own)
        self._policy_checked = not (own and config.public_read)
        #: Whether the last probe was answered; calls may have found the node down since.
        self._answered_probe = False
        #: Whether the node refuses a second PUT to a key, and one of another length than signed; false until `probe_put`
        #: saw it.
        self.write_once = False

    @property
    def takes_uploads(self) -> bool:
        """Whether new ones are meant to come to it."""
        return not self._config.drain

    @property
    def ready(self) -> bool:
        """Whether the node answered its last probe, and no call since found it down."""
        return self._answered_probe and self.availability.down_since is None

    def probe(self) -> float:
        """Ask the node for its bucket, making it where there is none (as v3.4.0 does); seconds it took.

        :raises NetworkError: the node does not answer; `availability` tells since when.
        :raises InternalError: it answers, and refuses (wrong keys, no rights): no cure by waiting, so it is not "down".
        """
        took: list[float] = []
        why = ""
        for endpoint in self.endpoints:
            start = time.monotonic()
            try:
                self._probe_endpoint(endpoint.probe)
            except CALL_ERRORS as e:
                why = self._why_silent(endpoint, e)
                self.mark(endpoint, why)
                continue
            self.mark(endpoint, None)
            took.append(time.monotonic() - start)
        if not took:
            raise self.availability.failed(why)
        self._answered_probe = True
        self.availability.answered()
        return min(took)

    def _probe_endpoint(self, client: Minio) -> None:
        if not client.bucket_exists(bucket_name=self.bucket) and self._own:
            self._make_bucket(client)
        if not self._policy_checked:
            self._open_to_readers(client)
            # Asked once, not at every probe.
            self._policy_checked = True

    def _why_silent(self, endpoint: Endpoint, cause: Exception) -> str:
        """Why an endpoint does not answer a probe, or cannot serve now.

        :raises InternalError: it refuses for good.
        """
        if isinstance(cause, HTTPError | OSError):
            return reason(cause)
        if not isinstance(cause, S3Error):
            return f"an answer that is not S3's, {type(cause).__name__}"
        code = cause.code or ""
        if code == "AccessDenied":
            # The answer to a HEAD has no body that could tell a wrong key from a missing right.
            code = self._location(endpoint)[0] or code
        error = by_code(self.id, code, cause.message or "")
        if isinstance(error, NetworkError):
            return code
        raise error from cause

    def probe_writes(self) -> None:
        """Find out by trying whether the node takes new objects, and whether their ETags are the MD5 by which uploads are
        checked; `accept` then knows. S3's ETags are not where it encrypts with SSE-KMS or SSE-C
        (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html).

        :raises NetworkError, InternalError: it does not answer, or refuses.
        """
        key, body = f"openim/probe/{secrets.token_hex(16)}", b"openim-direct"
        signed = {"content-length": str(len(body))}
        try:
            answer = self.call(lambda e: e.client.send("PUT", self.bucket, key, body, signed=signed)).headers
        except StorageFull:
            # It is closed by now, and no failure: it answers.
            return
        # Of a bucket with versions, too, nothing is left.
        version = answer.get("x-amz-version-id")
        self.call(lambda e: e.client.remove_object(self.bucket, key, version_id=version))
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self.close_to_writes("" if answer.get("ETag", "").strip('"') == md5 else self._not_md5(answer))

    def _not_md5(self, answer: Mapping[str, str]) -> str:
        how = answer.get("x-amz-server-side-encryption", "")
        return (
            f"MinIO node {self.id} cannot take uploads: its ETags are not MD5s"
            + (f", since it encrypts with {how}" if how else "")
            + ", so that no upload could be checked; nothing is removed. Encrypt the bucket by SSE-S3 (AES256) or not at "
            "all (MinIO: MINIO_KMS_AUTO_ENCRYPTION=off)"
        )

    def probe_put(self) -> None:
        """Find out by trying whether this node can be trusted with write-once PUTs, and set `write_once`."""
        key = f"openim/probe/{secrets.token_hex(16)}"

        def refusal(body: bytes, headers: Mapping[str, str]) -> InternalError | None:
            try:
                self.call(
                    lambda e: e.client.send("PUT", self.bucket, key, body, headers, signed=once_headers(1)), quiet=True
                )
            except InternalError as e:
                return e
            return None

        once = {"If-None-Match": "*"}
        try:
            bound = refusal(b"12", once) is not None and refusal(b"1", {}) is not None
            self.write_once = bound and refusal(b"1", once) is None and isinstance(refusal(b"2", once), PreconditionFailed)
        finally:
            self.call(lambda e: e.client.remove_object(self.bucket, key))
        if not self.write_once:
            log.warning("node %s does not keep to signed lengths or If-None-Match; using multipart uploads", self.id)

    def diagnose(self) -> tuple[str, str]:
        """Ask for the bucket in a way that is answered with the cause of a refusal: S3's error code, "" where all is well,
        and the Date header of the answer."""
        return self.call(self._location)

    def _location(self, endpoint: Endpoint) -> tuple[str, str]:
        try:
            answer = endpoint.probe.send("GET", self.bucket, "", query={"location": ""})
        except S3Error as e:
            return e.code or "", e.response.headers.get("Date", "")
        return "", answer.headers.get("Date", "")

    def make_missing_bucket(self) -> None:
        """
        :raises InternalError: these keys may not.
        """
        self.call(lambda endpoint: self._make_bucket(endpoint.probe), quiet=True)

    def _make_bucket(self, client: Minio) -> None:
        try:
            client.make_bucket(bucket_name=self.bucket)
        except S3Error as e:
            if e.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise
        else:
            log.info("node %s: made the bucket %s", self.id, self.bucket)

    def _open_to_readers(self, client: Minio) -> None:
        """Let everyone GET this product's objects, where the bucket has no policy yet. v3.4.0's own policy lets everyone
        write too; that is not repeated."""
        try:
            client.get_bucket_policy(bucket_name=self.bucket)
        except S3Error as e:
            if e.code != "NoSuchBucketPolicy":
                raise
            statement = {
                "Effect": "Allow",
                "Principal": {"AWS": ["*"]},
                "Action": ["s3:GetObject"],
                "Resource": [f"arn:aws:s3:::{self.bucket}/openim/*"],
            }
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            client.set_bucket_policy(bucket_name=self.bucket, policy=policy)
            log.info("node %s: everyone may read the bucket %s now", self.id, self.bucket)

    def unfinished_expiry(self) -> int | None:
        """Seconds after which MinIO removes unfinished multipart uploads; None where these keys may not ask (it is an
        admin's setting, 24 h by default)."""
        config = self._config
        admin = MinioAdmin(
            endpoint=authority(config.endpoint),
            credentials=StaticProvider(config.access_key or "", config.secret_key or "", config.session_token),
            secure=config.endpoint.startswith("https:"),
            http_client=self.endpoints[0].probe.connections,
        )
        try:
            found = re.search(r"stale_uploads_expiry=(\d+)([smh])", str(admin.config_get("api")))
        except (MinioException, HTTPError, OSError, ValueError, UnboundLocalError):
            # The last is what the SDK makes of a refusal here.
            return None
        return int(found.group(1)) * {"s": 1, "m": 60, "h": 3600}[found.group(2)] if found else None
