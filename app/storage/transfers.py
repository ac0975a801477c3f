"""Requests by a presigned URL of our own, which the SDK cannot send: conditional writes, and streams of any length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from app.core.errors import NetworkError
from app.core.model import SourceFailed
from app.storage.client import NodeClient

#: Seconds that the signature of a call of ours lives.
_EXPIRES = 900
#: Bytes read and sent at a time.
BLOCK = 1 << 18


def send(
    client: NodeClient,
    method: str,
    bucket: str,
    key: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    signed: Mapping[str, str] | None = None,
) -> BaseHTTPResponse:
    """Send a request and read its whole answer.

    :param headers: with Content-Length where the body is a stream, or it would be sent in chunks, which S3 refuses.
    :param signed: headers that the signature binds, in lower case. S3 takes its own conditions unsigned as well.
    :raises MinioException: the storage refused; S3Error where it said why.
    """
    url = client.signer.presign(method, bucket, key, _EXPIRES, query, signed)
    response = client.connections.urlopen(method, url, body=body, headers=dict(headers or {}))
    if response.status in (200, 204):
        return response
    try:
        error: MinioException = S3Error.fromxml(response)
    except ParseError:
        error = InvalidResponseError(response.status, response.headers.get("Content-Type"), None)
    raise error


class Blocks:
    """The body of a streamed write: exactly `length` bytes of a source, read as they are sent.

    Whatever reading the source raises passes through the write, so that it is told from a failure of the target.

    :raises SourceFailed: (while it is read) the source ended early. Sending less would keep the target waiting for the rest.
    """

    def __init__(self, source: IO[bytes], length: int) -> None:
        self._source = source
        self._length = length

    def __iter__(self) -> Iterator[bytes]:
        left = self._length
        while left:
            block = self._source.read(min(BLOCK, left))
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
