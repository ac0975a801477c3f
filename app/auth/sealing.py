"""Seal and open upload IDs.

v3.4.0's upload ID is unsigned base64 JSON that names the object key, so that anyone logged in may change any object. Ours
carries the same facts signed with HMAC-SHA256 (itsdangerous, compared in constant time), under a key derived from
`auth.secret` and a salt for the purpose. It is signed, not hidden: a client may read it, and learns nothing that its
signed URLs do not show.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from itsdangerous import BadData, TimestampSigner, URLSafeSerializer

from app.core.errors import InternalError

_SIGNER: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
#: Seconds a forwarding mark is believed. Covers clocks that differ a little, no more.
FORWARD_MAX_AGE = 60
#: Seconds that the status page stays open to an admin's browser.
SESSION_MAX_AGE = 8 * 3600


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """What an upload ID holds. Not the object's name: the Go SDK resumes by content, under a new name."""

    user: str
    node: str
    #: Object key in the node's bucket.
    key: str
    #: The S3 multipart upload that writes it; empty where one write-once PUT does.
    s3_upload: str
    #: MD5, hex, of the part MD5s in hex, joined with commas.
    hash: str
    #: Bytes.
    size: int
    part_size: int
    #: Unix seconds.
    expires: int

    @property
    def parts(self) -> int:
        return -(-self.size // self.part_size)

    def part_length(self, number: int) -> int:
        """Bytes of part `number`, counted from 1; only the last may be shorter than `part_size`."""
        return self.part_size if number < self.parts else self.size - self.part_size * (self.parts - 1)


class FormTicket(msgspec.Struct, frozen=True, array_like=True):
    """What the ID of a form upload holds."""

    user: str
    node: str
    #: Names the objects that the form makes.
    form: str
    name: str
    #: Bytes.
    size: int
    content_type: str
    #: Unix seconds.
    expires: int


_T = TypeVar("_T", Ticket, FormTicket)
#: What the errors name.
_UPLOAD_ID, _FORM_ID = "multipart upload id", "form id"


class Sealer:
    """Seals under the first secret and opens under each of them.

    :param secrets: `auth.secret`; more than one while a secret is being changed, the newest first.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        oldest_first = list(reversed(secrets))
        self._uploads = URLSafeSerializer(oldest_first, salt="openim-direct upload ID 1", signer_kwargs=_SIGNER)
        self._forms = URLSafeSerializer(oldest_first, salt="openim-direct form ID 1", signer_kwargs=_SIGNER)
        self._forwards = TimestampSigner(oldest_first, salt="openim-direct forwarded 1", **_SIGNER)
        self._sessions = TimestampSigner(oldest_first, salt="openim-direct status session 1", **_SIGNER)
        # A large file's upload ID is asked about again and again.
        self._opened = lru_cache(128)(lambda upload_id: _load(self._uploads, upload_id, Ticket, _UPLOAD_ID))

    def seal(self, ticket: Ticket) -> str:
        return str(self._uploads.dumps(msgspec.to_builtins(ticket)))

    def open(self, upload_id: str) -> Ticket:
        """
        :raises InternalError: v3.4.0's number for an upload ID it cannot read; says whether it was forged or has expired.
        """
        return _unexpired(self._opened(upload_id), _UPLOAD_ID)

    def seal_form(self, ticket: FormTicket) -> str:
        return str(self._forms.dumps(msgspec.to_builtins(ticket)))

    def open_form(self, form_id: str) -> FormTicket:
        """
        :raises InternalError: as `open`.
        """
        return _unexpired(_load(self._forms, form_id, FormTicket, _FORM_ID), _FORM_ID)

    def mark_forward(self, instance_id: str) -> str:
        """The value of the header that says "this was forwarded by `instance_id`; do not forward it again"."""
        return self._forwards.sign(instance_id).decode()

    def forwarded_by(self, mark: str | None) -> str | None:
        """The instance that forwarded a request, or None: a mark that a client made up counts as absent."""
        return _unsign(self._forwards, mark, FORWARD_MAX_AGE)

    def seal_session(self, user: str) -> str:
        """What lets an admin's browser see the status page."""
        return self._sessions.sign(user.encode().hex()).decode()

    def session_user(self, sealed: str | None) -> str | None:
        user = _unsign(self._sessions, sealed, SESSION_MAX_AGE)
        return None if user is None else bytes.fromhex(user).decode()


def _unsign(signer: TimestampSigner, signed: str | None, max_age: int) -> str | None:
    if not signed:
        return None
    try:
        return signer.unsign(signed, max_age=max_age).decode()
    except (BadData, UnicodeDecodeError):
        return None


def _load(serializer: URLSafeSerializer, sealed: str, shape: type[_T], what: str) -> _T:
    if not sealed:
        raise InternalError(f"invalid {what}: it is empty")
    try:
        return msgspec.convert(serializer.loads(sealed), shape)
    except (BadData, msgspec.ValidationError, ValueError):
        raise InternalError(
            f"invalid {what}: not one of this deployment (cut off, changed, or sealed with another auth.secret); "
            f"initiate the upload again"
        ) from None


def _unexpired(ticket: _T, what: str) -> _T:
    if ticket.expires <= time.time():
        raise InternalError(f"invalid {what}: it has expired; initiate the upload again")
    return ticket
