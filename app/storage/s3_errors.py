"""Turns what S3 and the SDK say of a failed call into this program's errors, by one table."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError

from app.core.errors import InternalError, NetworkError
from app.core.model import InvalidParts, NoSuchUpload

#: What a call of the SDK, or one over its connections, may raise. The last two come of an answer that is not S3's.
CALL_ERRORS = (HTTPError, OSError, MinioException, ParseError, ValueError)


class NoSuchObject(InternalError):
    """There is no object of this key."""


class StorageFull(NetworkError):
    """The node takes nothing new: its disk is full, or the bucket's quota. What is there can be read."""


class PreconditionFailed(InternalError):
    """The object is there already, or holds other content: what If-None-Match and If-Match ask for."""


class EmptyRange(InternalError):
    """The object has no bytes where the range begins."""


#: S3's error codes (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and MinIO's own) to the error that
#: each stands for, or to what the deployment's owner has to mend. Any other is a refusal for good, in S3's words.
TABLE: Mapping[str, type[Exception] | str] = {
    # The storage's own passing troubles, for which another instance, or the same one later, is the cure.
    "SlowDown": NetworkError,
    "SlowDownRead": NetworkError,
    "SlowDownWrite": NetworkError,
    "ServiceUnavailable": NetworkError,
    "RequestTimeout": NetworkError,
    "XMinioServerNotInitialized": NetworkError,
    "XMinioReadQuorum": NetworkError,
    "XMinioWriteQuorum": NetworkError,
    "XMinioStorageFull": StorageFull,
    "XMinioAdminBucketQuotaExceeded": StorageFull,
    "InvalidAccessKeyId": "the node does not know this access_key",
    "SignatureDoesNotMatch": "the secret_key of the node is wrong",
    "RequestTimeTooSkewed": "the clocks of this machine and of the node differ by over 15 minutes",
    "AccessDenied": "the node's keys lack the right to do this",
    "NoSuchBucket": "the bucket of the node is not there",
    # What the caller asked to know.
    "NoSuchKey": NoSuchObject,
    "PreconditionFailed": PreconditionFailed,
    "InvalidRange": EmptyRange,
    "NoSuchUpload": NoSuchUpload,
    "InvalidPart": InvalidParts,
    "InvalidPartOrder": InvalidParts,
    "EntityTooSmall": InvalidParts,
}


def by_code(node_id: str, code: str, message: str = "") -> Exception:
    """The error that an S3 error code stands for."""
    found = TABLE.get(code, InternalError)
    if "no space left on device" in message:
        # MinIO's InternalError, where there is no room even for its own notes.
        found = StorageFull
    if found is NetworkError:
        return NetworkError(f"MinIO node {node_id} is busy or short of drives ({code})")
    if found is StorageFull:
        what = "the bucket's quota is reached" if "Quota" in code else "its disk is full"
        return StorageFull(f"MinIO node {node_id} takes no new objects: {what} ({code}); what is there can be read")
    if isinstance(found, str):
        return InternalError(f"MinIO node {node_id}: {found} ({code})")
    if issubclass(found, InternalError):
        return found(f"MinIO node {node_id}: {message or 'refused'} ({code})")
    return found(message)


def of_answer(node_id: str, error: Exception) -> Exception:
    """The error that a failed call stands for, where the node did answer: for all of CALL_ERRORS but a connection's."""
    if isinstance(error, S3Error):
        return by_code(node_id, error.code or "", error.message or "")
    if isinstance(error, ServerError):
        # The answer to a HEAD has no body, so that only the status tells.
        code = "ServiceUnavailable" if error.status_code == 503 else f"HTTP {error.status_code}"
        return by_code(node_id, code, "no S3 answer")
    if isinstance(error, InvalidResponseError):
        # A proxy before the node that does not reach it, or another server at its address: the probe finds it down.
        return NetworkError(f"MinIO node {node_id} does not answer as S3 does")
    return InternalError(f"MinIO node {node_id}: the answer is not S3's ({type(error).__name__})")
