"""One MinIO node: the only module that talks to the storage. Its failures become ours here, unknown ones are raised.

Buckets go through the minio SDK. The calls of an upload do not: the SDK offers no public multipart calls, and costs a
multiple in CPU time. They are presigned by the same signer that signs for clients, and sent over kept connections.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import IO
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape

import urllib3
from minio import Minio
from minio.credentials.providers import StaticProvider
from minio.datatypes import PostPolicy
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.minioadmin import MinioAdmin
from urllib3.exceptions import HTTPError

from app import __version__
from app.config.models import Node as NodeConfig
from app.core.errors import APIError, InternalError, NetworkError
from app.core.model import ChangedObject, InvalidParts, NoSuchUpload, ObjectInfo, PartInfo
from app.observability import metrics, trail
from app.storage.endpoints import Endpoints
from app.storage.http_pool import Answer, Response, Unreachable, read_all
from app.storage.signing import Presigner

log = logging.getLogger(__name__)

#: Seconds. Connecting within a data centre takes milliseconds; some clients of the API give up after 10 s.
CONNECT_TIMEOUT = 1.5
READ_TIMEOUT = 5.0
#: Joining 10,000 parts takes longer; MinIO then sends its first byte after 10 s.
COMPLETE_TIMEOUT = 60.0
PROBE_TIMEOUT = 2.0
#: Seconds of silence while an object is copied from node to node.
STREAM_TIMEOUT = 60.0
#: Seconds that the signature of a call of ours lives.
_CALL_EXPIRES = 900

#: The storage's own passing troubles, for which another instance, or the same one later, is the cure.
_BUSY_CODES = {
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "ServiceUnavailable",
    "RequestTimeout",
    "XMinioServerNotInitialized",
    "XMinioReadQuorum",
    "XMinioWriteQuorum",
    "XMinioStorageFull",
}
_CURES = {
    "InvalidAccessKeyId": "the node does not know this access_key",
    "SignatureDoesNotMatch": "the secret_key of the node is wrong",
    "RequestTimeTooSkewed": "the clocks of this machine and of the node differ by over 15 minutes",
    "AccessDenied": "the node's keys lack the right to do this",
    "NoSuchBucket": "the bucket of the node is not there",
}


class _Refused(Exception):
    """S3 answered with an error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class _Silent(Exception):
    """An endpoint does not answer a probe; the text says why."""


class Node:
    """A node's bucket, for one process.

    While `down_since` is set, calls fail at once without touching the network; `probe` sets and clears it, and a call that
    cannot reach the node sets it too. Calls raise NetworkError where waiting or another node is the cure, InternalError
    where the node refuses for good.

    :param config: with both keys.
    :param own: the instance's own node, whose bucket is made where it is not there.
    """

    def __init__(self, config: NodeConfig, own: bool = True) -> None:
        self._own = own
        #: Whether the last probe was answered; `down_since` is set by calls too.
        self._answered = False
        if config.access_key is None or config.secret_key is None:
            raise ValueError(f"nodes.{config.id} has no access_key and secret_key in this file")
        self.id = config.id
        self.bucket = config.bucket
        self._endpoint = config.endpoint
        self._public_read = config.public_read
        self._public_policy_seen = False
        keys = config.access_key, config.secret_key, config.region, config.session_token
        self._keys = config.access_key, config.secret_key, config.session_token
        self._call_signer = Presigner(config.endpoint, *keys)
        self._client_signer = Presigner(config.sign_endpoint, *keys)
        self._ways = Endpoints(config.id, config.endpoints, CONNECT_TIMEOUT)
        self._sdk_pool = _sdk_pool(PROBE_TIMEOUT)
        self._probers = [_sdk_client(config, endpoint, self._sdk_pool) for endpoint in config.endpoints]
        #: For what is asked of a node as a whole; the first that answered the last probe.
        self._prober = self._probers[0]
        #: Whether the node refuses a second PUT to a key, and one of another length than signed; false until `probe_put`
        #: saw it.
        self.write_once = False
        #: Unix time since when the node has not answered, or None.
        self.down_since: float | None = None
        self.down_reason = ""

    @property
    def ready(self) -> bool:
        """Whether the node answered its last probe, and no call since found it down."""
        return self._answered and self.down_since is None

    # Calls to the storage

    def stat(self, key: str) -> ObjectInfo | None:
        """HEAD an object; None where there is none."""
        try:
            response = self._call("HEAD", key)
        except _Refused as e:
            if e.code == "NoSuchKey":
                return None
            raise self._refusal(e) from None
        headers = response.headers
        return ObjectInfo(
            int(headers.get("Content-Length", "0")), headers.get("ETag", "").strip('"'), headers.get("Content-Type", "")
        )

    def read(self, key: str, length: int) -> bytes:
        """The first `length` bytes of an object; fewer where it is shorter, none where there is no object."""
        try:
            return self._call("GET", key, headers={"Range": f"bytes=0-{length - 1}"}).body[:length]
        except _Refused as e:
            if e.code == "NoSuchKey":
                return b""
            raise self._refusal(e) from None

    def put(self, key: str, body: bytes) -> None:
        """Write an object, whatever was there."""
        try:
            self._call("PUT", key, body=body)
        except _Refused as e:
            raise self._refusal(e) from None

    def put_once(self, key: str, body: bytes, content_type: str) -> None:
        """Write an object, unless one is there; that one stays."""
        headers = {"If-None-Match": "*", "Content-Type": content_type}
        try:
            self._call("PUT", key, body=body, headers=headers, signed={k.lower(): v for k, v in headers.items()})
        except _Refused as e:
            if e.code != "PreconditionFailed":
                raise self._refusal(e) from None

    @contextmanager
    def reading(self, key: str, etag: str, first: int, length: int) -> Iterator[Answer]:
        """A range of an object as a stream, if it still has this ETag.

        :raises ChangedObject: it has another, or is gone.
        """
        url = self._call_signer.presign("GET", self.bucket, key, _CALL_EXPIRES)
        headers = {"If-Match": f'"{etag}"'}
        if length:
            # An empty object has no ranges.
            headers["Range"] = f"bytes={first}-{first + length - 1}"
        try:
            with self._ways.stream("GET", url[len(self._endpoint) :], STREAM_TIMEOUT, headers=headers) as response:
                if response.status in (404, 412):
                    raise ChangedObject
                if response.status not in (200, 206):
                    raise self._failed(_refused(read_all(response)))
                yield response
        except Unreachable as e:
            raise self._unreachable(e) from e

    def write(self, key: str, body: IO[bytes], length: int, content_type: str, part: tuple[str, int] | None = None) -> str:
        """Write an object, or a part of one, from a stream; its ETag. Empty where an object is there: that one stays.

        :param part: (S3 upload ID, number).
        """
        query = {} if part is None else {"uploadId": part[0], "partNumber": str(part[1])}
        url = self._call_signer.presign("PUT", self.bucket, key, _CALL_EXPIRES, query, {"content-length": str(length)})
        headers = {"Content-Length": str(length)}
        if part is None:
            headers["If-None-Match"] = "*"
            if content_type:
                headers["Content-Type"] = content_type
        try:
            with self._ways.stream("PUT", url[len(self._endpoint) :], STREAM_TIMEOUT, body, headers) as response:
                answer = read_all(response)
        except Unreachable as e:
            raise self._unreachable(e) from e
        if answer.status == 412:
            return ""
        if answer.status != 200:
            raise self._failed(_refused(answer))
        return answer.headers.get("ETag", "").strip('"')

    def _failed(self, refused: _Refused) -> APIError:
        if refused.code in _BUSY_CODES:
            return NetworkError(f"MinIO node {self.id} is busy, full or short of drives ({refused.code})")
        return self._refusal(refused, quiet=True)

    def first_part(self, key: str) -> int:
        """Bytes of the first part of an object that was joined from parts."""
        try:
            return int(self._call("HEAD", key, {"partNumber": "1"}).headers.get("Content-Length", "0"))
        except _Refused as e:
            raise self._refusal(e) from None

    def abort_upload(self, key: str, upload: str) -> None:
        """Give up a multipart upload; no error where there is none."""
        try:
            self._call("DELETE", key, {"uploadId": upload})
        except _Refused as e:
            if e.code != "NoSuchUpload":
                raise self._refusal(e) from None

    def unfinished(self) -> list[tuple[str, str, float]]:
        """Multipart uploads that MinIO tells of: key, S3 upload ID, and Unix time of its beginning."""
        try:
            # MinIO tells of all of them at once, whatever number is asked for: 1,100 were seen.
            page = _xml(self._call("GET", "", {"uploads": ""}))
        except _Refused as e:
            raise self._refusal(e) from None
        found = []
        for upload in page.iterfind("{*}Upload"):
            begun = datetime.fromisoformat(_text(upload, "Initiated").replace("Z", "+00:00"))
            found.append((_text(upload, "Key"), _text(upload, "UploadId"), begun.timestamp()))
        return found

    def listing(self, prefix: str) -> Iterator[tuple[str, int, float]]:
        """Key, bytes and Unix time of every object under a prefix.

        :raises NetworkError, InternalError:
        """
        with self._sdk():
            for found in self._prober.list_objects(bucket_name=self.bucket, prefix=prefix, recursive=True):
                modified = found.last_modified.timestamp() if found.last_modified is not None else 0.0
                yield str(found.object_name), int(found.size or 0), modified

    def object_lock(self) -> str:
        """How long the bucket keeps each object from being deleted, such as `COMPLIANCE 30 DAYS`; empty where it does not.

        :raises NetworkError, InternalError:
        """
        with self._sdk():
            try:
                found = self._prober.get_object_lock_config(bucket_name=self.bucket)
            except S3Error as e:
                if e.code in ("ObjectLockConfigurationNotFoundError", "MethodNotAllowed", "AccessDenied"):
                    return ""
                raise
        return "" if found.duration is None else f"{found.mode} {found.duration} {found.duration_unit}"

    @contextmanager
    def _sdk(self) -> Iterator[None]:
        """The SDK's failures as ours."""
        try:
            yield
        except S3Error as e:
            raise self._failed(_Refused(str(e.code), str(e.message))) from e
        except (HTTPError, OSError, MinioException) as e:
            raise NetworkError(f"MinIO node {self.id} does not answer ({_sdk_reason(e)})") from e

    def copy(self, source: str, target: str, etag: str) -> None:
        """Copy an object within the bucket, if it still has this ETag; up to 5 GiB."""
        headers = {"x-amz-copy-source": quote(f"/{self.bucket}/{source}", safe="/~"), "x-amz-copy-source-if-match": etag}
        try:
            # S3 takes its own headers only when they are signed.
            response = self._call("PUT", target, headers=headers, timeout=COMPLETE_TIMEOUT, signed=headers)
            if _xml(response).tag.endswith("Error"):
                raise _refused(response)
        except _Refused as e:
            raise self._refusal(e) from None

    def remove(self, key: str) -> None:
        """Delete an object; no error where there is none."""
        try:
            self._call("DELETE", key)
        except _Refused as e:
            raise self._refusal(e) from None

    def create_upload(self, key: str) -> str:
        """Begin a multipart upload; its S3 upload ID."""
        try:
            return _text(_xml(self._call("POST", key, {"uploads": ""})), "UploadId")
        except _Refused as e:
            raise self._refusal(e) from None

    def list_parts(self, key: str, upload: str) -> list[PartInfo]:
        """Parts that were uploaded, by number.

        :raises NoSuchUpload: the upload is not there.
        """
        parts: list[PartInfo] = []
        query = {"uploadId": upload, "max-parts": "1000"}
        try:
            while True:
                page = _xml(self._call("GET", key, query))
                for part in page.iterfind("{*}Part"):
                    number, etag, size = (_text(part, tag) for tag in ("PartNumber", "ETag", "Size"))
                    parts.append(PartInfo(int(number), etag.strip('"'), int(size)))
                if _text(page, "IsTruncated") != "true":
                    return parts
                query["part-number-marker"] = _text(page, "NextPartNumberMarker")
        except _Refused as e:
            if e.code == "NoSuchUpload":
                raise NoSuchUpload from None
            raise self._refusal(e) from None

    def complete_upload(self, key: str, upload: str, etags: list[str]) -> None:
        """Join the parts 1..n to the object, if each has the ETag given.

        :raises NoSuchUpload: the upload is not there; it may have been completed already.
        :raises InvalidParts: a part is missing, or has another ETag; nothing was made.
        """
        listed = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{escape(etag)}</ETag></Part>" for n, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        try:
            response = self._call("POST", key, {"uploadId": upload}, body=body, timeout=COMPLETE_TIMEOUT)
            # A completion that takes long is answered 200 before it is done; the body then tells how it ended.
            answer = _xml(response)
            if answer.tag.endswith("Error"):
                raise _refused(response)
        except _Refused as e:
            if e.code == "NoSuchUpload":
                raise NoSuchUpload from None
            if e.code in ("InvalidPart", "InvalidPartOrder", "EntityTooSmall"):
                raise InvalidParts(e.message) from None
            raise self._refusal(e) from None

    def probe(self) -> float:
        """Ask the node for its bucket, making it where there is none (as v3.4.0 does); seconds it took.

        :raises NetworkError: the node does not answer; `down_since` tells since when.
        :raises InternalError: it answers, and refuses (wrong keys, no rights): no cure by waiting, so it is not "down".
        """
        took: list[float] = []
        reason = ""
        for number, prober in enumerate(self._probers):
            start = time.monotonic()
            try:
                self._probe_by(prober)
            except _Silent as e:
                reason = str(e)
                self._ways.mark(number, reason)
                continue
            self._ways.mark(number, None)
            if not took:
                self._prober = prober
            took.append(time.monotonic() - start)
        if not took:
            raise self._went_down(reason)
        self._answered = True
        if self.down_since is not None:
            log.warning("node %s answers again after %.1f s", self.id, time.time() - self.down_since)
            self.down_since, self.down_reason = None, ""
        return min(took)

    def _probe_by(self, prober: Minio) -> None:
        """
        :raises _Silent: no answer, or that the node cannot serve now.
        :raises InternalError: it refuses for good.
        """
        try:
            if not prober.bucket_exists(bucket_name=self.bucket) and self._own:
                self._make_bucket(prober)
            if self._own and self._public_read and not self._public_policy_seen:
                self._open_to_readers(prober)
        except S3Error as e:
            if e.code in _BUSY_CODES:
                raise _Silent(str(e.code)) from e
            # The answer to a HEAD has no body that could tell a wrong key from a missing right.
            code = (self.diagnose()[0] if e.code == "AccessDenied" else "") or str(e.code)
            raise self._refusal(_Refused(code, str(e.message)), quiet=True) from e
        except (HTTPError, OSError, ServerError, InvalidResponseError) as e:
            raise _Silent(_sdk_reason(e)) from e
        except MinioException as e:
            raise _Silent(f"an answer that is not S3's, {type(e).__name__}") from e

    def probe_put(self) -> None:
        """Find out by trying whether this node can be trusted with write-once PUTs, and set `write_once`.

        :raises NetworkError, InternalError: the node cannot be asked now.
        """
        key = f"openim/probe/{secrets.token_hex(16)}"

        def put(body: bytes, headers: Mapping[str, str]) -> int:
            url = self._call_signer.presign("PUT", self.bucket, key, _CALL_EXPIRES, None, _once_headers(1))
            try:
                return self._ways.request("PUT", url[len(self._endpoint) :], READ_TIMEOUT, body, headers).status
            except Unreachable as e:
                raise self._unreachable(e) from e

        once = {"If-None-Match": "*"}
        try:
            refused = put(b"12", once) >= 400 and put(b"1", {}) >= 400
            self.write_once = refused and put(b"1", once) == 200 and put(b"2", once) == 412
        finally:
            self.remove(key)
        if not self.write_once:
            log.warning("node %s does not keep to signed lengths or If-None-Match; using multipart uploads", self.id)

    def _make_bucket(self, prober: Minio) -> None:
        try:
            prober.make_bucket(bucket_name=self.bucket)
        except S3Error as e:
            if e.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise
        else:
            log.info("node %s: made the bucket %s", self.id, self.bucket)

    def _open_to_readers(self, prober: Minio) -> None:
        """Let everyone GET this product's objects, where the bucket has no policy yet. v3.4.0's own policy lets everyone
        write too; that is not repeated."""
        try:
            prober.get_bucket_policy(bucket_name=self.bucket)
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
            prober.set_bucket_policy(bucket_name=self.bucket, policy=policy)
            log.info("node %s: everyone may read the bucket %s now", self.id, self.bucket)
        # Asked once, not at every probe.
        self._public_policy_seen = True

    def diagnose(self) -> tuple[str, str]:
        """Ask for the bucket in a way that is answered with the cause of a refusal: S3's error code, "" where all is well,
        and the answer's Date header, "" where there is none.

        :raises NetworkError: the node does not answer.
        """
        url = self._call_signer.presign("GET", self.bucket, "", _CALL_EXPIRES, {"location": ""})
        try:
            response = self._ways.request("GET", url[len(self._endpoint) :], READ_TIMEOUT)
        except Unreachable as e:
            raise self._unreachable(e) from e
        return ("" if response.status == 200 else _refused(response).code), response.headers.get("Date")

    def make_missing_bucket(self) -> None:
        """
        :raises InternalError: these keys may not.
        """
        try:
            self._make_bucket(self._prober)
        except S3Error as e:
            raise self._refusal(_Refused(str(e.code), str(e.message)), quiet=True) from e

    def unfinished_expiry(self) -> int | None:
        """Seconds after which MinIO removes unfinished multipart uploads; None where these keys may not ask (it is an
        admin's setting, 24 h by default)."""
        parts = urlsplit(self._endpoint)
        admin = MinioAdmin(
            endpoint=parts.netloc,
            credentials=StaticProvider(*self._keys),
            secure=parts.scheme == "https",
            http_client=urllib3.PoolManager(timeout=PROBE_TIMEOUT, retries=False),
        )
        try:
            found = re.search(r"stale_uploads_expiry=(\d+)([smh])", str(admin.config_get("api")))
        except (MinioException, HTTPError, OSError, ValueError, UnboundLocalError):
            # The last is what the SDK makes of a refusal here.
            return None
        return int(found.group(1)) * {"s": 1, "m": 60, "h": 3600}[found.group(2)] if found else None

    def close(self) -> None:
        """Close kept connections."""
        self._ways.close()
        self._sdk_pool.clear()

    # Signing: no call to the storage

    def sign_parts(self, key: str, upload: str, parts: Iterable[tuple[int, int]], expires: int) -> list[str]:
        """The URLs to PUT parts to, each of exactly the bytes given with its number, for `expires` seconds."""
        return self._client_signer.presign_parts(self.bucket, key, upload, parts, expires)

    def sign_put(self, key: str, length: int, expires: int) -> tuple[str, dict[str, str]]:
        """The URL and headers to PUT an object of exactly `length` bytes with, once: a second PUT is answered 412."""
        url = self._client_signer.presign("PUT", self.bucket, key, expires, None, _once_headers(length))
        return url, {"If-None-Match": "*"}

    def sign_view(self, method: str, key: str, expires: int, query: Mapping[str, str], at: float | None = None) -> str:
        """The URL to GET or HEAD an object at: the method is signed, so that one does not serve for the other."""
        if self._public_read:
            return self._client_signer.plain(self.bucket, key, query)
        return self._client_signer.presign(method, self.bucket, key, expires, query, at=at)

    def sign_form(self, key: str, size: int, content_type: str, expires: int) -> tuple[str, dict[str, str]]:
        """The URL and fields of a form that makes `key` of exactly `size` bytes (S3 POST policy)."""
        policy = PostPolicy(self.bucket, datetime.now(timezone.utc) + timedelta(seconds=expires))
        policy.add_equals_condition("key", key)
        policy.add_content_length_range_condition(size, size)
        fields = {"key": key}
        if content_type:
            policy.add_equals_condition("Content-Type", content_type)
            fields["Content-Type"] = content_type
        return self._client_signer.plain(self.bucket, "", {}), {**fields, **self._prober.presigned_post_policy(policy)}

    # Failures

    def check_up(self) -> None:
        """
        :raises NetworkError: the node is known to be down.
        """
        since = self.down_since
        if since is not None:
            raise NetworkError(
                f"MinIO node {self.id} has not answered for {time.time() - since:.0f} s ({self.down_reason}); "
                f"other nodes may, so try again"
            )

    def _call(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = READ_TIMEOUT,
        signed: Mapping[str, str] | None = None,
    ) -> Response:
        """
        :raises _Refused: S3 answered with an error code that is not its own passing trouble.
        """
        self.check_up()
        url = self._call_signer.presign(method, self.bucket, key, _CALL_EXPIRES, query, signed)
        target = url[len(self._endpoint) :]
        operation = trail.operation()
        if operation:
            # MinIO's trace and audit log name it.
            headers = {**(headers or {}), "User-Agent": f"openim-direct/{__version__} operationID/{operation}"}
        result = "unreachable"
        start = time.perf_counter()
        try:
            response = self._ways.request(method, target, timeout, body, headers)
            result = str(response.status)
        except Unreachable as e:
            raise self._unreachable(e) from e
        finally:
            # The first word of the query says which of S3's calls it is.
            call = f"{method} {next(iter(query))}" if query else method
            metrics.storage_called(self.id, call, result, time.perf_counter() - start)
        if response.status in (200, 204, 206):
            return response
        refused = _refused(response)
        if refused.code in _BUSY_CODES:
            raise NetworkError(f"MinIO node {self.id} is busy, full or short of drives ({refused.code})")
        raise refused

    def _unreachable(self, e: Unreachable) -> NetworkError:
        if self._ways.any_up:
            # The next call goes to an endpoint of the cluster that answers.
            return NetworkError(f"an endpoint of MinIO node {self.id} does not answer ({e}); try again")
        return self._went_down(str(e))

    def _went_down(self, reason: str) -> NetworkError:
        if self.down_since is None:
            self.down_since = time.time()
            log.warning("node %s (%s) does not answer: %s", self.id, self._endpoint, reason)
        self.down_reason = reason
        return NetworkError(f"MinIO node {self.id} does not answer ({reason})")

    def _refusal(self, e: _Refused, quiet: bool = False) -> APIError:
        if not quiet:
            log.error("node %s refused: %s %s", self.id, e.code, e.message)
        return InternalError(f"MinIO node {self.id}: {_CURES.get(e.code) or e.message or 'refused'} ({e.code})")

    def __repr__(self) -> str:
        return f"<Node {self.id} {self._endpoint}>"


def _once_headers(length: int) -> dict[str, str]:
    return {"content-length": str(length), "if-none-match": "*"}


def _sdk_pool(read_timeout: float) -> urllib3.PoolManager:
    # The SDK's own pool waits 5 minutes and repeats 5 times; here a dead node is left after one wait.
    timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=read_timeout)
    return urllib3.PoolManager(num_pools=8, maxsize=4, timeout=timeout, retries=False)


def _sdk_client(config: NodeConfig, endpoint: str, pool: urllib3.PoolManager) -> Minio:
    parts = urlsplit(endpoint)
    return Minio(
        endpoint=parts.netloc,
        access_key=config.access_key,
        secret_key=config.secret_key,
        session_token=config.session_token,
        secure=parts.scheme == "https",
        region=config.region,
        http_client=pool,
    )


def _refused(response: Response) -> _Refused:
    """The error of an answer; a HEAD's has no body, so that only the status tells."""
    if response.body:
        try:
            root = ET.fromstring(response.body)  # noqa: S314 (from the own storage)
            return _Refused(root.findtext("{*}Code") or root.findtext("Code") or "", root.findtext("{*}Message") or "")
        except ET.ParseError:
            pass
    by_status = {403: "AccessDenied", 404: "NoSuchKey", 503: "ServiceUnavailable"}
    return _Refused(by_status.get(response.status, f"HTTP {response.status}"), "no S3 answer")


def _xml(response: Response) -> ET.Element:
    try:
        return ET.fromstring(response.body)  # noqa: S314 (from the own storage)
    except ET.ParseError:
        raise _Refused(f"HTTP {response.status}", "the answer is not S3's") from None


def _text(element: ET.Element, tag: str) -> str:
    return element.findtext(f"{{*}}{tag}") or ""


def _sdk_reason(e: Exception) -> str:
    """A cause without host, path or query: those may stand in what urllib3 says, and hold signatures."""
    text = f"{type(e).__name__} {e}"
    for sign, reason in (
        ("refused", "connection refused"),
        ("NameResolution", "its host name does not resolve"),
        ("Read timed out", "no answer in time"),
        ("timed out", "no connection in time"),
        ("CERTIFICATE", "its TLS certificate is not trusted"),
        ("SSL", "TLS failed"),
        ("reset", "the connection was cut"),
    ):
        if sign in text:
            return reason
    return type(e).__name__
