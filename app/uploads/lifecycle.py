"""Runs an upload: initiate, sign, complete. Every step may be repeated, because balancers repeat requests."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from app.auth.sealing import FormTicket, Sealer, Ticket
from app.auth.tokens import Identity
from app.core import wire
from app.core.errors import ArgsError, InternalError, NetworkError, NoPermissionError
from app.core.model import InvalidParts, NoSuchUpload, ObjectInfo, Record
from app.core.names import check_name, object_url
from app.records.store import Records
from app.storage.node import Node
from app.uploads import parts
from app.uploads.limits import Limits

#: Characters; content types go into signed URLs, `cause` is kept for v3.4.0's sake.
MAX_CONTENT_TYPE = 256
MAX_CAUSE = 1024


def hash_key(content_hash: str) -> str:
    """v3.4.0's place of content: written only by completing a multipart upload, which checks each part's MD5 first."""
    return f"openim/data/hash/{content_hash}"


def once_key(content_hash: str) -> str:
    """A place of its own for each write-once PUT, since a PUT shows before its content was checked."""
    return f"openim/data/once/{content_hash}_{secrets.token_hex(8)}"


@dataclass
class Uploads:
    """Uploads to one node."""

    node: Node
    records: Records
    sealer: Sealer
    #: What returned URLs begin with.
    api_url: str
    #: Seconds that an unfinished upload lives.
    expire: int
    #: Look for content at v3.4.0's place too, which costs every new upload a call.
    legacy: bool = False
    #: Of what one user may begin.
    limits: Limits | None = None
    #: Other nodes that this instance holds keys for; known content on them is not sent again.
    others: Mapping[str, Node] = field(default_factory=dict)
    #: Nodes whose objects are on their way elsewhere: nothing new is recorded there.
    drained: frozenset[str] = frozenset()

    def initiate(self, identity: Identity, request: wire.InitiateRequest, api_url: str | None = None) -> wire.Initiated:
        """Answer the URL of content that exists already, else begin an upload and sign its first `maxParts` parts.

        :raises ArgsError, NoPermissionError: the name.
        :raises InternalError: size, hash or maxParts, by v3.4.0's number and words.
        """
        name, content_type, cause = _texts(identity, request)
        size = request.size or 0
        if size < 0:
            raise InternalError("invalid size")
        content_hash = parts.check_md5(request.hash or "", "hash")
        ticket = Ticket(
            user=identity.user,
            node=self.node.id,
            key=hash_key(content_hash),
            s3_upload="",
            hash=content_hash,
            size=size,
            part_size=parts.agreed_part_size(size, request.part_size),
            expires=int(time.time()) + self.expire,
        )
        requested = request.max_parts or 0
        if requested > ticket.parts:
            raise InternalError(f"too many parts: {ticket.parts}")

        existing = self._find_content(ticket)
        if existing is not None:
            record_content(self.records, existing, name, identity.user, content_type, cause)
            return wire.Initiated(url=object_url(api_url or self.api_url, name), upload=None)

        self.node.accept()
        if self.limits is not None:
            self.limits.begin(identity.user, size)
        if ticket.parts == 1 and self.node.write_once:
            # No call to the storage at all: the PUT itself creates the object, and completing checks it.
            ticket = msgspec.structs.replace(ticket, key=once_key(content_hash))
        else:
            ticket = msgspec.structs.replace(ticket, s3_upload=self.node.create_upload(ticket.key))
        if requested < 0 or ticket.parts == 1:
            # v3.4.0 signs the one part of a small file whatever maxParts says.
            requested = ticket.parts
        upload = wire.Upload(
            upload_id=self.sealer.seal(ticket),
            part_size=ticket.part_size,
            sign=self._sign(ticket, range(1, requested + 1)),
            expire_time=ticket.expires * 1000,
        )
        return wire.Initiated(url="", upload=upload)

    def sign(self, identity: Identity, ticket: Ticket, numbers: list[int]) -> wire.Sign:
        """Sign parts of an upload, in the order requested.

        :raises ArgsError: a number outside 1..n, or over 10,000 of them.
        """
        check_owner(identity, ticket)
        if len(numbers) > parts.MAX_PARTS:
            raise ArgsError(f"partNumbers: {len(numbers)} are over the {parts.MAX_PARTS} that an upload can have")
        for number in numbers:
            if not 1 <= number <= ticket.parts:
                raise ArgsError(f"partNumbers: {number} is outside 1..{ticket.parts}")
        return self._sign(ticket, numbers)

    def complete(
        self, identity: Identity, ticket: Ticket, request: wire.CompleteRequest, api_url: str | None = None
    ) -> wire.Completed:
        """Join the parts, then record the name: in this order, so that no record is ever without its object.

        A repeat answers the same URL. Nothing is created unless every part holds the content that its hash says.

        :raises InternalError: part hashes that do not fit the upload, parts missing, or the upload gone.
        :raises ArgsError: the one part of a small file holds other content.
        """
        name, content_type, cause = _texts(identity, request)
        check_owner(identity, ticket)
        hashes = parts.check_hashes(ticket, request.parts)
        etag = self._join(ticket, hashes) if ticket.s3_upload else self._check_put(ticket, hashes[0])
        record_content(self.records, _object(ticket, etag), name, ticket.user, content_type, cause)
        return wire.Completed(url=object_url(api_url or self.api_url, name))

    def _join(self, ticket: Ticket, hashes: list[str]) -> str:
        """Complete a multipart upload; the ETag of its object."""
        etag = parts.joined_etag(hashes)
        try:
            if ticket.parts > 1:
                # A signed length holds each part to its size already; here a lost part gets a name.
                self._check_parts(ticket, hashes)
            self.node.complete_upload(ticket.key, ticket.s3_upload, hashes)
        except InvalidParts as e:
            self._check_parts(ticket, hashes)
            raise InternalError(str(e)) from None
        except NoSuchUpload:
            # Completed before, by this very request whose answer was lost, or by another upload of the same content?
            found = self.node.stat(ticket.key)
            # v3.4.0 puts small files in one piece, which gives them a plain MD5.
            if found is None or found.size != ticket.size or found.etag not in (etag, *hashes[:1]):
                raise InternalError(
                    "The specified multipart upload does not exist: it has expired, was removed, or never reached this "
                    "node; initiate the upload again"
                ) from None
            return found.etag
        return etag

    def _check_parts(self, ticket: Ticket, hashes: list[str]) -> None:
        try:
            parts.check_uploaded(ticket, hashes, self.node.list_parts(ticket.key, ticket.s3_upload))
        except (ArgsError, InternalError):
            self._trust_etags()
            raise

    def _check_put(self, ticket: Ticket, content_hash: str) -> str:
        """Check what a write-once PUT created, and remove it where it is not what was declared; its ETag."""
        found = self.node.stat(ticket.key)
        if found is None:
            # Where the node is full, the client's PUT was refused for that.
            self.node.accept()
            raise InternalError("The specified key does not exist: part 1 of 1 was not uploaded")
        if found.etag != content_hash or found.size != ticket.size:
            self._trust_etags(found)
            # Without this the right content could not follow: the key takes one PUT.
            self.node.remove(ticket.key)
            raise ArgsError(
                f"md5 mismatching {found.etag} != {content_hash}: part 1 holds other content, of {found.size} bytes "
                f"where {ticket.size} were declared; upload it again"
            )
        return found.etag

    def _trust_etags(self, found: ObjectInfo | None = None) -> None:
        """Before content is called wrong, or removed, by an ETag.

        :raises NetworkError: ETags of the node are no MD5s now, or that of this object is none.
        """
        # Asked anew: the node may have been switched over since its last probe.
        self.node.probe_writes()
        if found is not None and not found.is_md5:
            raise NetworkError(
                f"MinIO node {self.node.id} encrypted the object with SSE-KMS, so that its content cannot be checked; "
                f"nothing was removed"
            )
        self.node.accept()

    def _find_content(self, ticket: Ticket) -> Record | None:
        """A record of the same content, if its node itself says that it exists: the record alone may have outlived it.

        On the own node, else on another that answers: forwarding a picture across nodes moves no byte.
        """
        known = [r for r in self.records.find(ticket.hash) if r.size == ticket.size]
        if self.legacy and not known:
            # Where v3.4.0 put it, which only its own completion writes to.
            found = self.node.stat(ticket.key)
            return _object(ticket, found.etag) if found is not None and found.size == ticket.size else None
        for record in sorted(known, key=lambda r: r.node != ticket.node):
            own = record.node == ticket.node
            node = self.node if own else self.others.get(record.node)
            if record.node in self.drained or node is None or not (own or node.ready):
                continue
            try:
                found = node.stat(record.key)
            except (NetworkError, InternalError):
                if own:
                    raise
                continue
            # One is enough: the others most likely name the same object.
            return record if found is not None and (found.size, found.etag) == (record.size, record.etag) else None
        return None

    def _sign(self, ticket: Ticket, numbers: list[int] | range) -> wire.Sign:
        # In whole seconds from now, and never beyond the upload's own end.
        expires = ticket.expires - int(time.time())
        if not ticket.s3_upload:
            url, headers = self.node.sign_put(ticket.key, ticket.size, expires)
            header = [wire.KeyValues(key=key, values=[value]) for key, value in headers.items()]
            return wire.Sign(parts=[wire.SignedPart(part_number=n, url=url, header=header) for n in numbers])
        urls = self.node.sign_parts(ticket.key, ticket.s3_upload, ((n, ticket.part_length(n)) for n in numbers), expires)
        return wire.Sign(parts=[wire.SignedPart(part_number=n, url=url) for n, url in zip(numbers, urls, strict=True)])


def record_content(records: Records, content: Record, name: str, user: str, content_type: str, cause: str) -> None:
    """Let a name mean an object."""
    now = int(time.time() * 1000)
    named = msgspec.structs.replace(content, name=name, user=user, content_type=content_type, cause=cause, create_time=now)
    records.put(named)


def _object(ticket: Ticket, etag: str) -> Record:
    """The content of an upload, without a name yet."""
    return Record("", "", ticket.node, ticket.key, ticket.hash, etag, ticket.size, "", "", 0)


def _texts(identity: Identity, request: wire.InitiateRequest | wire.CompleteRequest) -> tuple[str, str, str]:
    """Name, content type and cause, within bounds. Raises as `check_texts` and `check_name`."""
    name, content_type, cause = request.name or "", request.content_type or "", request.cause or ""
    check_texts(content_type, cause)
    check_name(name, identity.user, identity.is_admin)
    return name, content_type, cause


def check_texts(content_type: str, cause: str) -> None:
    """Bound what is kept of a request.

    :raises ArgsError: too long, or with control characters.
    """
    if len(content_type) > MAX_CONTENT_TYPE:
        raise ArgsError(f"contentType is longer than {MAX_CONTENT_TYPE} characters")
    if not content_type.isprintable():
        raise ArgsError("contentType holds control characters")
    if len(cause) > MAX_CAUSE:
        raise ArgsError(f"cause is longer than {MAX_CAUSE} characters")


def check_owner(identity: Identity, ticket: Ticket | FormTicket) -> None:
    if identity.user != ticket.user:
        raise NoPermissionError("the upload was begun by another user")
