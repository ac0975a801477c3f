"""Bounds the time that a request's body may take, and ends a stopping worker when its last request is answered."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import gevent
from gunicorn.http.errors import ParseException
from werkzeug.wsgi import ClosingIterator

from app.core.errors import BodyError

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment

#: Seconds within which the whole of a body must come; one of 10,000 part hashes has 350 KB.
BODY_TIMEOUT = 20
#: Characters of gunicorn's own message, which repeats what it could not read.
_MAX_CAUSE = 200
#: Seconds that a stopping worker waits for a request that may be on its way on a kept connection.
LINGER = 2.0


class RequestsInFlight:
    """Wraps the application of one worker, and counts the requests that it is answering."""

    #: Of this worker process.
    count = 0

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = _TimedInput(environ["wsgi.input"])
        RequestsInFlight.count += 1
        try:
            answer = self._application(environ, start_response)
        except BaseException:
            self._answered()
            raise
        # Closed when gunicorn has written all of it.
        return ClosingIterator(answer, self._answered)

    @staticmethod
    def _answered() -> None:
        RequestsInFlight.count -= 1


class _TimedInput:
    """A request's body that raises TimeoutError where it does not come in time: gunicorn's gevent worker waits for ever.

    Malformed chunks and trailers raise BodyError, instead of what gunicorn raises for them.
    """

    def __init__(self, stream: InputStream) -> None:
        self._stream = stream
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        if self._ended:
            return b""
        with gevent.Timeout(BODY_TIMEOUT, TimeoutError):
            try:
                data = self._stream.read(size)
            except ParseException as e:
                raise BodyError(f"the body's chunks are malformed: {str(e)[:_MAX_CAUSE]}") from None
        # gunicorn answers with less than what was asked for only at the end.
        self._ended = size < 0 or len(data) < size
        return data

    def readline(self, size: int = -1, /) -> bytes:
        with gevent.Timeout(BODY_TIMEOUT, TimeoutError):
            return self._stream.readline(size)


def end_when_idle(worker: Any) -> None:
    """Waits until a worker was told to stop, and ends it as soon as it has answered all; for a greenlet of its own.

    gunicorn's gevent worker waits for kept connections too, up to `graceful_timeout`, though nothing may come on them.

    :param worker: gunicorn's; its `alive` says whether it goes on.
    """
    while worker.alive:
        gevent.sleep(0.25)
    quiet = 0.0
    while quiet < LINGER:
        gevent.sleep(0.25)
        quiet = 0.0 if RequestsInFlight.count else quiet + 0.25
    # gunicorn's signal for an end without waiting.
    os.kill(os.getpid(), signal.SIGQUIT)
