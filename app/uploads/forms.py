"""Takes uploads by a browser's form (S3 POST policy), which versions of OpenIM after v3.4.0 added."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass

from app.auth.sealing import FormTicket, Sealer
from app.auth.tokens import Identity
from app.core import wire
from app.core.errors import ArgsError, InternalError, NetworkError
from app.core.model import ObjectInfo, Record
from app.core.names import check_name, object_url
from app.records.store import Records
from app.storage.node import Node
from app.uploads.lifecycle import check_owner, check_texts, record_content
from app.uploads.limits import Limits
from app.uploads.parts import MAX_PART_SIZE

#: Seconds that a form works; admins may ask for other times, as in those versions.
EXPIRE = 600
MAX_EXPIRE = 7 * 86400
#: S3's limit of one POST, bytes.
MAX_SIZE = MAX_PART_SIZE


@dataclass
class Forms:
    """Form uploads to one node.

    A form may be sent again as long as it works, so what it creates is copied away before it is recorded: the copy does not
    change any more.
    """

    node: Node
    records: Records
    sealer: Sealer
    #: What returned URLs begin with.
    api_url: str
    limits: Limits | None

    def initiate(self, identity: Identity, request: wire.InitiateFormDataRequest) -> wire.InitiatedForm:
        """Sign a form for one file of the size declared.

        :raises ArgsError, NoPermissionError: the name, or the size.
        """
        name, content_type = request.name or "", request.content_type or ""
        check_name(name, identity.user, identity.is_admin)
        check_texts(content_type, "")
        size = request.size or 0
        if size <= 0:
            raise ArgsError("size must be greater than 0")
        if size > MAX_SIZE:
            raise ArgsError(f"size must be at most {MAX_SIZE} bytes: a form is one POST; use multipart uploads")
        if self.limits is not None:
            self.limits.begin(identity.user, size)
        seconds = EXPIRE
        if identity.is_admin and request.millisecond:
            seconds = max(1, min(MAX_EXPIRE, request.millisecond // 1000))
        ticket = FormTicket(
            user=identity.user,
            node=self.node.id,
            form=secrets.token_hex(16),
            name=name,
            size=size,
            content_type=content_type,
            expires=int(time.time()) + seconds,
        )
        self.node.accept()
        url, fields = self.node.sign_form(_posted_key(ticket), size, content_type, seconds)
        return wire.InitiatedForm(
            id=self.sealer.seal_form(ticket),
            url=url,
            file="file",
            header=None,
            form_data=fields,
            expires=ticket.expires * 1000,
            success_codes=[200, 204],
        )

    def complete(self, identity: Identity, ticket: FormTicket, api_url: str | None = None) -> wire.Completed:
        """Record what a form created. A repeat answers the same URL.

        :raises InternalError: nothing was posted.
        :raises NoPermissionError: another user's form.
        """
        check_owner(identity, ticket)
        kept = self.node.stat(_kept_key(ticket)) or self._keep(ticket)
        # The hash of an upload in one part, so that the same content is known whichever way it comes.
        content_hash = hashlib.md5(kept.etag.encode()).hexdigest()  # noqa: S324 (the wire format's)
        content = Record("", "", ticket.node, _kept_key(ticket), content_hash, kept.etag, kept.size, "", "", 0)
        record_content(self.records, content, ticket.name, ticket.user, ticket.content_type, "")
        return wire.Completed(url=object_url(api_url or self.api_url, ticket.name))

    def _keep(self, ticket: FormTicket) -> ObjectInfo:
        posted = self.node.stat(_posted_key(ticket))
        if posted is None:
            self.node.accept()
            raise InternalError("The specified key does not exist: the form was not sent, or its file was refused")
        if posted.size != ticket.size:
            self.node.remove(_posted_key(ticket))
            raise InternalError(f"file size mismatch: {posted.size} bytes where {ticket.size} were declared")
        if not posted.is_md5:
            raise NetworkError(f"MinIO node {self.node.id} encrypted the file with SSE-KMS, so that its hash is not known")
        self.node.copy(_posted_key(ticket), _kept_key(ticket), posted.etag)
        self.node.remove(_posted_key(ticket))
        return posted


def _posted_key(ticket: FormTicket) -> str:
    return f"openim/temp/form/{ticket.form}"


def _kept_key(ticket: FormTicket) -> str:
    return f"openim/data/form/{ticket.form}"
