"""One request of the object API, and its answer, without Flask: its dispatch takes longer than most of these requests do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from app.core import wire
from app.core.errors import APIError, BodyError, BodyIncomplete, BodyTooLarge, InternalError
from app.observability import metrics, trail

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

#: Bytes; 10,000 part hashes take 350 KB.
MAX_BODY = 1 << 20
_JSON = "application/json"
#: How the paths of the object API begin.
OBJECT = "/object/"


class Call:
    """A request.

    :param environ: WSGI's, by gunicorn, which has RAW_URI.
    """

    __slots__ = ("_body", "environ")

    def __init__(self, environ: WSGIEnvironment) -> None:
        self.environ = environ
        self._body: bytes | None = None

    @property
    def method(self) -> str:
        return str(self.environ["REQUEST_METHOD"])

    def header(self, name: str) -> str | None:
        key = name.upper().replace("-", "_")
        value: str | None = self.environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}")
        return value

    def cookie(self, name: str) -> str | None:
        """Its first value."""
        header = self.environ.get("HTTP_COOKIE")
        if not header or name not in header:
            return None
        for pair in header.split(";"):
            found, _, value = pair.partition("=")
            if found.strip() == name:
                return str(value.strip().strip('"'))
        return None

    def body(self) -> bytes:
        """
        :raises BodyTooLarge: over `MAX_BODY` bytes.
        :raises BodyIncomplete: the rest of it did not come.
        :raises BodyError: it cannot be told where it ends.
        """
        if self._body is None:
            length = str(self.environ.get("CONTENT_LENGTH") or "")
            if length.isdigit() and int(length) > MAX_BODY:
                raise too_large()
            # gunicorn's input ends where the body does, whatever the length says or lacks.
            try:
                body: bytes = self.environ["wsgi.input"].read(MAX_BODY + 1)
            except OSError:
                raise BodyIncomplete("the rest of the body did not come in time") from None
            except Exception as e:  # noqa: BLE001 (the server's own, whatever it is)
                raise BodyError(f"the body's chunks are malformed: {e}") from None
            if len(body) > MAX_BODY:
                raise too_large()
            self._body = body
        return self._body

    @property
    def path(self) -> str:
        """Decoded once. WSGI's has a character for each byte."""
        return str(self.environ["PATH_INFO"]).encode("latin-1", "replace").decode("utf-8", "replace")

    @property
    def query(self) -> dict[str, str]:
        """The first value of each parameter."""
        text = self.environ.get("QUERY_STRING")
        found: dict[str, str] = {}
        if text:
            for name, value in parse_qsl(text, keep_blank_values=True, errors="replace"):
                found.setdefault(name, value)
        return found

    @property
    def raw_uri(self) -> str:
        """Path and query as the client sent them."""
        return str(self.environ.get("RAW_URI", ""))


class Reply:
    """An answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: bytes, status: int = 200, content_type: str = _JSON) -> None:
        self.body = body
        self.status = status
        self.headers: list[tuple[str, str]] = [("Content-Type", content_type), ("Content-Length", str(len(body)))]

    def set(self, name: str, value: str) -> None:
        self.headers = [h for h in self.headers if h[0].lower() != name.lower()]
        self.headers.append((name, value))


def too_large() -> BodyTooLarge:
    return BodyTooLarge(f"the body is over {MAX_BODY} bytes")


def failed(error: APIError) -> Reply:
    """The envelope of a POST's failure."""
    return _failed(error, Reply(wire.failure(error), error.post_status))


def failed_view(error: APIError) -> Reply:
    """v3.4.0's text of a GET's failure."""
    return _failed(error, Reply(wire.failure_text(error).encode(), error.get_status))


def _failed(error: APIError, reply: Reply) -> Reply:
    trail.set_code(error.code)
    if error.retry_after is not None and reply.status == 503:
        reply.headers.append(("Retry-After", str(error.retry_after)))
    return reply


def crash(method: str, path: str, error: Exception) -> InternalError:
    """Log what nobody expected, and give what the client is told."""
    metrics.crashed()
    operation = trail.operation()
    log.error("%s %s failed, operationID %r", method, path[:200], operation, exc_info=error)
    return InternalError(f"internal error; the server's log has it under operationID {operation!r}")


Handler = Callable[[Call], Reply]


def before(wsgi_app: WSGIApplication, posts: Mapping[str, Handler], view: Handler) -> WSGIApplication:
    """Answer the object API; the rest is Flask's.

    :param posts: by path.
    :param view: for GET and HEAD of any object.
    """

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        handle: Handler | None = None
        if method == "POST":
            handle, failure = posts.get(path), failed
        elif method in ("GET", "HEAD") and view_at(path) >= 0:
            handle, failure = view, failed_view
        if handle is None:
            return wsgi_app(environ, start_response)
        try:
            reply = handle(Call(environ))
        except APIError as e:
            reply = failure(e)
        except Exception as e:  # noqa: BLE001 (the last place: logged with its stack, answered in OpenIM's form)
            reply = failure(crash(method, path, e))
        start_response(_STATUS.get(reply.status) or f"{reply.status} Unknown", reply.headers)
        return [] if method == "HEAD" else [reply.body]

    return wrapped


def view_at(path: str) -> int:
    """Where an object's name begins in the path of a view, `/object/<name>` or `/i/<instance>/object/<name>`; negative where
    it is none."""
    if path.startswith(OBJECT):
        return len(OBJECT)
    if path.startswith("/i/"):
        at = path.find("/", 3)
        if at > 3 and path.startswith(OBJECT, at):
            return at + len(OBJECT)
    return -1


_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
