"""The life of an upload: initiate, sign, complete. Every step may be repeated, because balancers repeat requests."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from typing import Protocol

from app import wire
from app.auth import Identity
from app.errors import ArgsError, InternalError, NoPermissionError
from app.model import InvalidParts, NoSuchUpload, ObjectInfo, PartInfo, Record
from app.names import check_name, object_url
from app.sealing import Sealer, Ticket

log = logging.getLogger(__name__)

# S3's limits, and so v3.4.0's.
MIN_PART_SIZE = 5 << 20
MAX_PART_SIZE = 5 << 30
MAX_PARTS = wire.MAX_PARTS
MAX_SIZE = MAX_PART_SIZE * MAX_PARTS

_MD5 = re.compile(r"[0-9a-fA-F]{32}")
#: Characters; content types go into signed URLs, `cause` is kept for v3.4.0's sake.
MAX_CONTENT_TYPE = 256
MAX_CAUSE = 1024


class NodeCalls(Protocol):
    """What an upload needs of its node."""

    id: str

    def stat(self, key: str) -> ObjectInfo | None: ...
    def create_upload(self, key: str) -> str: ...
    def list_parts(self, key: str, upload: str) -> list[PartInfo]: ...
    def complete_upload(self, key: str, upload: str, etags: list[str]) -> None: ...
    def sign_part(self, key: str, upload: str, number: int, length: int, expires: int) -> str: ...


class RecordCalls(Protocol):
    """What an upload needs of the records."""

    def find(self, content_hash: str, node: str) -> Record | None: ...
    def put(self, record: Record) -> None: ...


def part_limit() -> wire.PartLimit:
    return wire.PartLimit(min_part_size=MIN_PART_SIZE, max_part_size=MAX_PART_SIZE, max_num_size=MAX_PARTS)


def part_size(size: int) -> int:
    """v3.4.0's rule: 5 MiB while 10,000 parts hold it, else the size over 10,000, rounded up.

    :raises InternalError: 0, negative, or over 5 GiB x 10,000.
    """
    if size <= 0:
        raise InternalError("size must be greater than 0")
    if size > MAX_SIZE:
        raise InternalError(f"size must be less than {MAX_SIZE}b")
    return max(MIN_PART_SIZE, -(-size // MAX_PARTS))


def hash_key(content_hash: str) -> str:
    """v3.4.0's place of content."""
    return f"openim/data/hash/{content_hash}"


class Uploads:
    """Uploads to one node.

    :param api_url: what returned URLs begin with.
    :param expire: seconds that an unfinished upload lives.
    """

    def __init__(self, node: NodeCalls, records: RecordCalls, sealer: Sealer, api_url: str, expire: int) -> None:
        self._node = node
        self._records = records
        self._sealer = sealer
        self._api_url = api_url
        self._expire = expire

    def initiate(self, identity: Identity, request: wire.InitiateRequest) -> wire.Initiated:
        """Answer the URL of content that is there already, else begin an upload and sign its first `maxParts` parts.

        :raises ArgsError, NoPermissionError: the name.
        :raises InternalError: size, hash or maxParts, by v3.4.0's number and words.
        """
        name, content_type, cause = _texts(request)
        check_name(name, identity.user, identity.is_admin)
        size = request.size or 0
        if size < 0:
            raise InternalError("invalid size")
        content_hash = _md5(request.hash or "", "hash")
        size_of_part = _agreed_part_size(size, request.part_size)
        ticket = Ticket(
            user=identity.user,
            node=self._node.id,
            key=hash_key(content_hash),
            s3_upload="",
            hash=content_hash,
            size=size,
            part_size=size_of_part,
            expires=int(time.time()) + self._expire,
        )
        wanted = request.max_parts or 0
        if wanted > ticket.parts:
            raise InternalError(f"too many parts: {ticket.parts}")

        known = self._known(ticket)
        if known is not None:
            self._record(ticket, known, name, identity.user, content_type, cause)
            return wire.Initiated(url=object_url(self._api_url, name), upload=None)

        ticket = _with_s3_upload(ticket, self._node.create_upload(ticket.key))
        if wanted < 0 or ticket.parts == 1:
            # v3.4.0 signs the one part of a small file whatever maxParts says.
            wanted = ticket.parts
        upload = wire.Upload(
            upload_id=self._sealer.seal(ticket),
            part_size=size_of_part,
            sign=self._sign(ticket, range(1, wanted + 1)),
            expire_time=ticket.expires * 1000,
        )
        return wire.Initiated(url="", upload=upload)

    def sign(self, identity: Identity, ticket: Ticket, numbers: list[int]) -> wire.Sign:
        """Sign parts of an upload, in the order asked for.

        :raises ArgsError: a number outside 1..n, or over 10,000 of them.
        """
        _check_owner(identity, ticket)
        if len(numbers) > MAX_PARTS:
            raise ArgsError(f"partNumbers: {len(numbers)} are over the {MAX_PARTS} that an upload can have")
        for number in numbers:
            if not 1 <= number <= ticket.parts:
                raise ArgsError(f"partNumbers: {number} is outside 1..{ticket.parts}")
        return self._sign(ticket, numbers)

    def complete(self, identity: Identity, ticket: Ticket, request: wire.CompleteRequest) -> wire.Completed:
        """Join the parts, then record the name: in this order, so that no record is ever without its object.

        A repeat answers the same URL. Nothing is made unless every part holds the content that its hash says.

        :raises InternalError: part hashes that do not fit the upload, parts missing, or the upload gone.
        :raises ArgsError: the one part of a small file holds other content.
        """
        name, content_type, cause = _texts(request)
        check_name(name, identity.user, identity.is_admin)
        _check_owner(identity, ticket)
        hashes = [_md5(part, f"parts[{i}]") for i, part in enumerate(request.parts or [])]
        if len(hashes) != ticket.parts:
            raise InternalError(f"md5 mismatching: the upload has {ticket.parts} parts, parts has {len(hashes)}")
        if hashlib.md5(",".join(hashes).encode()).hexdigest() != ticket.hash:  # noqa: S324 (the wire format's)
            raise InternalError("md5 mismatching: the MD5 of the joined part hashes is not the upload's hash")
        try:
            if ticket.parts > 1:
                # A signed length holds each part to its size already; here a lost part gets a name.
                self._check_parts(ticket, hashes)
            self._node.complete_upload(ticket.key, ticket.s3_upload, hashes)
        except InvalidParts as e:
            self._check_parts(ticket, hashes)
            raise InternalError(str(e)) from None
        except NoSuchUpload:
            found = self._node.stat(ticket.key)
            if found is None or not _same_content(found, ticket, hashes):
                raise InternalError(
                    "The specified multipart upload does not exist: it has expired, was removed, or never reached this "
                    "node; initiate the upload again"
                ) from None
            # Completed before: by this very request, whose answer was lost, or by another upload of the same content.
        self._record(ticket, ticket.key, name, ticket.user, content_type, cause)
        return wire.Completed(url=object_url(self._api_url, name))

    def _known(self, ticket: Ticket) -> str | None:
        """The key of the same content on this node, asked of the node itself: a record alone may have outlived it."""
        record = self._records.find(ticket.hash, ticket.node)
        if record is None:
            return None
        found = self._node.stat(record.key)
        return record.key if found is not None and found.size == ticket.size else None

    def _sign(self, ticket: Ticket, numbers: list[int] | range) -> wire.Sign:
        # In whole seconds from now, and never beyond the upload's own end.
        expires = ticket.expires - int(time.time())
        return wire.Sign(
            parts=[
                wire.SignedPart(
                    part_number=n,
                    url=self._node.sign_part(ticket.key, ticket.s3_upload, n, ticket.part_length(n), expires),
                )
                for n in numbers
            ]
        )

    def _check_parts(self, ticket: Ticket, hashes: list[str]) -> None:
        parts = {p.number: p for p in self._node.list_parts(ticket.key, ticket.s3_upload)}
        missing = [n for n in range(1, ticket.parts + 1) if n not in parts]
        if missing:
            raise InternalError(
                f"One or more of the specified parts could not be found: {_some(missing)} of {ticket.parts} not uploaded. "
                f"The specified key does not exist."
            )
        for number, content_hash in enumerate(hashes, 1):
            part = parts[number]
            if part.etag != content_hash:
                text = f"md5 mismatching {part.etag} != {content_hash}: part {number} holds other content"
                raise ArgsError(text) if ticket.parts == 1 else InternalError(text)
            if part.size != ticket.part_length(number):
                raise InternalError(
                    f"size mismatching: part {number} has {part.size} bytes, {ticket.part_length(number)} were declared"
                )

    def _record(self, ticket: Ticket, key: str, name: str, user: str, content_type: str, cause: str) -> None:
        self._records.put(
            Record(
                name=name,
                user=user,
                node=ticket.node,
                key=key,
                hash=ticket.hash,
                size=ticket.size,
                content_type=content_type,
                cause=cause,
                create_time=int(time.time() * 1000),
            )
        )


def _texts(request: wire.InitiateRequest | wire.CompleteRequest) -> tuple[str, str, str]:
    """Name, content type and cause; the latter two within bounds."""
    content_type, cause = request.content_type or "", request.cause or ""
    if len(content_type) > MAX_CONTENT_TYPE:
        raise ArgsError(f"contentType is longer than {MAX_CONTENT_TYPE} characters")
    if not content_type.isprintable():
        raise ArgsError("contentType holds control characters")
    if len(cause) > MAX_CAUSE:
        raise ArgsError(f"cause is longer than {MAX_CAUSE} characters")
    return request.name or "", content_type, cause


def _md5(text: str, field: str) -> str:
    if not _MD5.fullmatch(text):
        raise InternalError(f"invalid md5: {field} must be 32 hexadecimal digits")
    return text.lower()


def _agreed_part_size(size: int, asked: int | None) -> int:
    """The client's part size where S3 takes it, since clients fail when the answer differs from what they computed; else
    v3.4.0's rule."""
    default = part_size(size)
    if asked is None or not MIN_PART_SIZE <= asked <= MAX_PART_SIZE or asked * MAX_PARTS < size:
        return default
    return asked


def _check_owner(identity: Identity, ticket: Ticket) -> None:
    if identity.user != ticket.user:
        raise NoPermissionError("the upload was begun by another user")


def _same_content(found: ObjectInfo, ticket: Ticket, hashes: list[str]) -> bool:
    """Whether an object at the content's place is that content, by size and by S3's ETag of such an upload."""
    joined = hashlib.md5(b"".join(bytes.fromhex(h) for h in hashes)).hexdigest()  # noqa: S324 (S3's ETag)
    etags = {f"{joined}-{len(hashes)}"}
    if len(hashes) == 1:
        # v3.4.0 puts small files in one piece.
        etags.add(hashes[0])
    return found.size == ticket.size and found.etag in etags


def _with_s3_upload(ticket: Ticket, s3_upload: str) -> Ticket:
    return Ticket(
        ticket.user, ticket.node, ticket.key, s3_upload, ticket.hash, ticket.size, ticket.part_size, ticket.expires
    )


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"part {shown}" if len(numbers) <= 5 else f"parts {shown} and {len(numbers) - 5} more"
