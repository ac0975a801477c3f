"""What a balancer answers itself, in the forms that callers of an instance know: OpenIM's envelope for a POST, v3.4.0's line
of text for a view, S3's XML for a node's address."""

from __future__ import annotations

from typing import Any

from app.core import wire
from app.core.errors import APIError, ArgsError, BodyIncomplete, BodyTooLarge, InternalError, NetworkError

#: Bytes of a URL of the object API, which instances take no longer one of; of one header, of all headers together, and of a
#: body. nginx's directives say the same.
MAX_LINE, MAX_HEADER, MAX_HEADERS, MAX_BODY = 8170, 32_750, 128 << 10, 16 << 20
#: Seconds after which to try again, as instances say it.
RETRY_AFTER = NetworkError.retry_after or 0

#: By HTTP status. 502 is a cut or unreadable answer to HAProxy; nginx, which has it for all, says 503.
_REFUSALS: dict[int, APIError] = {
    400: ArgsError("the request is malformed: no HTTP/1.1, or not as HTTP writes it"),
    408: BodyIncomplete("the rest of the request did not come in time; send it again"),
    413: BodyTooLarge("the body is over 16 MiB; files are sent to the URLs that initiate signs, and not to the object API"),
    414: ArgsError(f"the URL is over {MAX_LINE} bytes"),
    431: ArgsError("a header is over 32 KiB, or all of them are over 128 KiB; are cookies piling up?"),
    497: ArgsError("plain HTTP was sent to a port that speaks TLS; write https:// in the URL"),
    500: InternalError("the balancer failed; its own log says why"),
    501: ArgsError("the Transfer-Encoding is none that is known here; send chunked, or a Content-Length"),
    502: NetworkError("an instance ended the connection, or its answer is none; try again"),
    503: NetworkError("no instance or MinIO node behind the balancer answers; try again"),
    504: NetworkError("no answer came in time; try again: every request of the object API may be repeated"),
}
_S3 = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'


def refusals() -> dict[int, dict[str, Any]]:
    """Each refusal by its status: the envelope of a POST, the text of a view, and whether waiting is the cure."""
    return {
        status: {
            "status": 400 if status == 497 else status,
            "envelope": wire.failure(error).decode(),
            "text": wire.failure_text(error),
            "again": isinstance(error, NetworkError),
            # The text's pieces between errCode, errMsg and errDlt.
            "code": str(error.code),
            "name": error.name,
            "detail": error.err_dlt,
        }
        for status, error in _REFUSALS.items()
    }


def s3_unreachable() -> str:
    """What an S3 client gets of a node that does not answer: the code that says to try again."""
    return _S3.format(code="ServiceUnavailable", message="The MinIO node behind this address does not answer; try again")
