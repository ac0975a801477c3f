"""Every failure that a client can see: OpenIM's number and name, the HTTP status, and a cause to act on.

Numbers and names are v3.4.0's (`pkg/errs`); 90002, 90004 and 90007 exist there too and are used here for the database,
an unreachable node or peer, and content that is no image.
"""

from __future__ import annotations


class APIError(Exception):
    """A failure with an answer of its own.

    :param detail: the cause, for people; goes into `errDlt`. Never holds a secret or a signed URL.
    """

    code = 500
    name = "ServerInternalError"
    #: HTTP status of a POST's answer. v3.4.0 answers 200 with the number in the envelope.
    post_status = 200
    #: HTTP status of a GET's answer, which is plain text.
    get_status = 500
    #: Seconds for a Retry-After header, or None.
    retry_after: int | None = None
    #: Whether `errDlt` repeats number and name after the cause.
    numbered = True

    def __init_subclass__(cls, code: int | None = None) -> None:
        """Take v3.4.0's number, which has the class's name; without one the class is a case of the error above it."""
        if code is not None:
            cls.code, cls.name = code, cls.__name__

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def err_dlt(self) -> str:
        """`errDlt` as v3.4.0 writes it."""
        return f"{self.detail}: {self.code} {self.name}" if self.numbered else self.detail


class InternalError(APIError):
    """v3.4.0's number for storage errors and for most bad arguments; kept so that clients see what they saw."""

    numbered = False


class ArgsError(APIError, code=1001):
    get_status = 400


class BodyError(ArgsError):
    """The body is not the JSON that the route takes."""

    post_status = 400
    numbered = False


class BodyTooLarge(BodyError):
    post_status = 413


class BodyIncomplete(BodyError):
    """The client stopped in the middle of it."""

    post_status = 408


class NoPermissionError(APIError, code=1002):
    get_status = 403


class RecordNotFoundError(APIError, code=1004):
    get_status = 404
    numbered = False

    def __init__(self, detail: str = "record not found") -> None:
        super().__init__(detail)


class TokenUnknownError(APIError, code=1505):
    """The token is malformed, has expired, or was signed with another secret."""


class TokenKickedError(APIError, code=1506):
    """Redis says that the user has logged in elsewhere."""


class TokenNotExistError(APIError, code=1507):
    """Redis holds no such token."""


class ImportFault(Exception):
    """Settings of v3.4.0 that cannot be carried over; one a line. For people at the command line, not for clients."""


class UnavailableError(APIError):
    """Something this request needs is down: HTTP 503, so that the balancer tries another instance."""

    post_status = 503
    get_status = 503
    retry_after = 2


class DatabaseError(UnavailableError, code=90002):
    """The records database, or Redis, does not answer.

    :ivar said: what it said itself, with its cure, for the operator; it may name hosts, so that no client sees it.
    """

    def __init__(self, detail: str = "", said: str = "") -> None:
        super().__init__(detail)
        self.said = said

    def __str__(self) -> str:
        """For logs and commands."""
        return self.said or self.detail


class NetworkError(UnavailableError, code=90004):
    """A node or another instance does not answer."""


class DataError(APIError, code=90007):
    get_status = 400
