"""The dedicated MinIO client: the SDK's, for one endpoint of a node, over kept connections of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from http.client import IncompleteRead
from typing import Any
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.datatypes import Object
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError, ProtocolError

from app import __version__
from app.config.models import Node as NodeConfig
from app.core.addresses import authority
from app.observability import metrics, trail
from app.storage.signing import Presigner

#: Connections to an endpoint that are kept while unused; more may be in use at once.
KEPT = 64
#: Seconds. Connecting within a data centre takes milliseconds; some clients of the API give up after 10 s.
CALL_TIMEOUT = urllib3.Timeout(connect=1.5, read=5.0)
#: Joining 10,000 parts, and copying 5 GiB, take longer; MinIO then sends its first byte after 10 s.
SLOW_TIMEOUT = urllib3.Timeout(connect=1.5, read=60.0)
#: Of silence while an object goes from node to node. urllib3 sends each block of a body under the time for connecting.
STREAM_TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
PROBE_TIMEOUT = urllib3.Timeout(connect=1.5, read=2.0)

#: Seconds that the signature of a call of ours lives.
_EXPIRES = 900
#: Query parameters that say which of S3's calls a request is, for the metric's label.
_CALLS = ("uploads", "uploadId", "partNumber", "list-type", "policy", "location", "object-lock", "delete")


class ConnectionPool(urllib3.PoolManager):
    """Kept connections to one endpoint. Every request to a node, the SDK's own and the presigned ones, is sent here.

    :param endpoint: where all requests go, whatever host their URL names.
    :param node_id: for the metrics; None where the requests are not counted.
    :param ca_file: trusted instead of the system's authorities; read for each connection, so that a renewed one is taken.
    """

    def __init__(self, endpoint: str, timeout: urllib3.Timeout, node_id: str | None, ca_file: str | None = None) -> None:
        # The SDK's own pool waits 5 minutes and repeats 5 times; here a dead node is left after one wait. Proxies of the
        # environment are nobody's on the way to a node: urllib3 looks for none, and the SDK only where it makes the pool.
        super().__init__(num_pools=1, maxsize=KEPT, block=False, timeout=timeout, retries=False, ca_certs=ca_file)
        self._node_id = node_id
        # Found once: doing so by each request's URL takes longer than signing it.
        self._pool = self.connection_from_url(endpoint)

    def clear(self) -> None:
        """Close the kept connections; nothing can be sent after that."""
        super().clear()
        self._pool.close()

    def urlopen(self, method: str, url: str, redirect: bool = False, **kw: Any) -> urllib3.BaseHTTPResponse:  # type: ignore[override]
        """Send a request.

        :raises S3Error: S3 answered 200 before it was done, and then told of an error.
        """
        operation = trail.operation()
        if operation:
            # MinIO's trace and audit log name it. The SDK does not sign this header.
            kw["headers"]["User-Agent"] = f"openim-direct/{__version__} operationID/{operation}"
        start = time.perf_counter()
        result = ""
        try:
            response = self._send(method, url[url.index("/", len("https://")) :], kw)
            result = str(response.status)
        except HTTPError:
            result = "unreachable"
            raise
        finally:
            if result and self._node_id is not None:
                metrics.storage_called(self._node_id, _label(method, url), result, time.perf_counter() - start)
        # A completion or a copy that takes long; the SDK takes such an answer for success. Of deletions it tells each error.
        failed = method in ("POST", "PUT") and response.status == 200 and b"<Error>" in response.data
        if failed and b"<DeleteResult" not in response.data:
            raise S3Error.fromxml(response)
        return response

    def _send(self, method: str, target: str, kw: dict[str, Any]) -> urllib3.BaseHTTPResponse:
        """Send a request, and once more where its connection was cut before the answer: the server had closed a kept one
        just as it was used, or is gone. Each call of ours may be repeated. Silence is not repeated, nor is a stream."""
        try:
            return _whole(method, self._pool.urlopen(method, target, redirect=False, **kw))
        except ProtocolError as e:
            if isinstance(e.args[-1], TimeoutError) or not isinstance(kw.get("body"), bytes | None):
                raise
            return _whole(method, self._pool.urlopen(method, target, redirect=False, **kw))


def _whole(method: str, response: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
    """Refuse an answer that was cut within its header: to the standard library that is a whole one, without the headers that
    did not come, so that an object would look empty, gone or changed. Cut later, urllib3 sees it.

    :raises ProtocolError: as urllib3 raises for a cut body.
    """
    headers = response.headers
    ends = "Content-Length" in headers or "Transfer-Encoding" in headers or "close" in headers.get("Connection", "")
    # Answers without a body have no length (RFC 9112, 6.3); but for a HEAD S3 says that of the object.
    if (not ends and response.status not in (204, 304)) or not headers.get("ETag", '"').endswith('"'):
        response.close()
        raise _cut()
    return response


def _cut() -> ProtocolError:
    return ProtocolError("the answer ended within its header", IncompleteRead(b""))


class NodeClient(Minio):
    """The MinIO client of one endpoint.

    :param counted: whether its calls are in the metrics.
    :raises ValueError: the configuration holds no keys for the node.
    """

    def __init__(self, config: NodeConfig, endpoint: str, timeout: urllib3.Timeout, counted: bool = True) -> None:
        self.signer = presigner(config, endpoint)
        self.connections = ConnectionPool(endpoint, timeout, config.id if counted else None, config.ca_file)
        super().__init__(
            endpoint=authority(endpoint),
            access_key=config.access_key,
            secret_key=config.secret_key,
            session_token=config.session_token,
            secure=endpoint.startswith("https:"),
            # With a region the SDK asks no server for it.
            region=config.region,
            http_client=self.connections,
        )
        self.set_app_info("openim-direct", __version__)

    def head(self, bucket: str, key: str, query: dict[str, str | list[str] | tuple[str]] | None = None) -> Object:
        """What HEAD says of an object.

        :raises ProtocolError: the answer was cut within its header.
        """
        try:
            found = self.stat_object(bucket, key, extra_query_params=query)
        except ValueError as e:
            # Half a number, or half a date.
            raise _cut() from e
        if not found.etag:
            raise _cut()
        return found

    def send(
        self,
        method: str,
        bucket: str,
        key: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        signed: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send what the SDK cannot, by a presigned URL: conditional writes and streams. Reads the whole answer.

        :param headers: with Content-Length where the body is a stream, or it would be sent in chunks, which S3 refuses.
        :param signed: headers that the signature binds, in lower case. S3 takes its own conditions unsigned as well.
        :raises MinioException: the storage refused; S3Error where it said why.
        """
        url = self.signer.presign(method, bucket, key, _EXPIRES, query, signed)
        response = self.connections.urlopen(method, url, body=body, headers=dict(headers or {}))
        if response.status in (200, 204):
            return response
        try:
            error: MinioException = S3Error.fromxml(response)
        except ParseError:
            error = InvalidResponseError(response.status, response.headers.get("Content-Type"), None)
        raise error


def presigner(config: NodeConfig, endpoint: str) -> Presigner:
    """Sign with a node's keys for one of its addresses.

    :raises ValueError: the configuration holds no keys for the node.
    """
    if config.access_key is None or config.secret_key is None:
        raise ValueError(f"nodes.{config.id} has no access_key and secret_key in this file")
    return Presigner(endpoint, config.access_key, config.secret_key, config.region, config.session_token)


def _label(method: str, url: str) -> str:
    names = {pair.partition("=")[0] for pair in url.partition("?")[2].split("&")}
    found = next((call for call in _CALLS if call in names), "")
    return f"{method} {found}".rstrip()
