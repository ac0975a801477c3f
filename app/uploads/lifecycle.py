"""The life of an upload: initiate, sign, complete. Every step may be repeated, because balancers repeat requests."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from app.auth.sealing import Sealer, Ticket
from app.auth.tokens import Identity
from app.core import wire
from app.core.errors import ArgsError, InternalError, NetworkError, NoPermissionError
from app.core.model import InvalidParts, NoSuchUpload, ObjectInfo, PartInfo, Record
from app.core.names import check_name, object_url

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
    write_once: bool

    def stat(self, key: str) -> ObjectInfo | None: ...
    def remove(self, key: str) -> None: ...
    def create_upload(self, key: str) -> str: ...
    def list_parts(self, key: str, upload: str) -> list[PartInfo]: ...
    def complete_upload(self, key: str, upload: str, etags: list[str]) -> None: ...
    def sign_parts(self, key: str, upload: str, parts: Iterable[tuple[int, int]], expires: int) -> list[str]: ...
    def sign_put(self, key: str, length: int, expires: int) -> tuple[str, dict[str, str]]: ...


class RecordCalls(Protocol):
    """What an upload needs of the records."""

    def find(self, content_hash: str) -> list[Record]: ...
    def put(self, record: Record) -> None: ...


class OtherNode(Protocol):
    """What is asked of a node that another instance serves."""

    @property
    def ready(self) -> bool: ...

    def stat(self, key: str) -> ObjectInfo | None: ...


class LimitCalls(Protocol):
    def begin(self, user: str, size: int) -> None: ...


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
    """v3.4.0's place of content: written only by completing a multipart upload, which checks each part's MD5 first."""
    return f"openim/data/hash/{content_hash}"


def once_key(content_hash: str) -> str:
    """A place of its own for each write-once PUT, since a PUT shows before its content was checked."""
    return f"openim/data/once/{content_hash}_{secrets.token_hex(8)}"


class Uploads:
    """Uploads to one node.

    :param api_url: what returned URLs begin with.
    :param expire: seconds that an unfinished upload lives.
    :param others: other nodes that this instance holds keys for; known content on them is not sent again.
    :param drained: nodes whose objects are on their way elsewhere: nothing new is recorded there.
    :param limits: of what one user may begin.
    :param legacy: look for content at v3.4.0's place too, which costs every new upload a call.
    """

    def __init__(
        self,
        node: NodeCalls,
        records: RecordCalls,
        sealer: Sealer,
        api_url: str,
        expire: int,
        legacy: bool = False,
        limits: LimitCalls | None = None,
        others: Mapping[str, OtherNode] | None = None,
        drained: frozenset[str] = frozenset(),
    ) -> None:
        self._drained = drained
        self._legacy = legacy
        self._limits = limits
        self._others = others or {}
        self._node = node
        self._records = records
        self._sealer = sealer
        self._api_url = api_url
        self._expire = expire

    def initiate(self, identity: Identity, request: wire.InitiateRequest, api_url: str | None = None) -> wire.Initiated:
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
            ticket = msgspec.structs.replace(ticket, node=known.node)
            self._record(ticket, known.key, known.etag, name, identity.user, content_type, cause)
            return wire.Initiated(url=object_url(api_url or self._api_url, name), upload=None)

        if self._limits is not None:
            self._limits.begin(identity.user, size)
        if ticket.parts == 1 and self._node.write_once:
            # No call to the storage at all: the PUT itself makes the object, and completing looks at it.
            ticket = msgspec.structs.replace(ticket, key=once_key(content_hash))
        else:
            ticket = msgspec.structs.replace(ticket, s3_upload=self._node.create_upload(ticket.key))
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

    def complete(
        self, identity: Identity, ticket: Ticket, request: wire.CompleteRequest, api_url: str | None = None
    ) -> wire.Completed:
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
        etag = self._join(ticket, hashes) if ticket.s3_upload else self._check_once(ticket, hashes[0])
        self._record(ticket, ticket.key, etag, name, ticket.user, content_type, cause)
        return wire.Completed(url=object_url(api_url or self._api_url, name))

    def _join(self, ticket: Ticket, hashes: list[str]) -> str:
        """Complete a multipart upload; the ETag of its object."""
        etag = _joined_etag(hashes)
        try:
            if ticket.parts > 1:
                # A signed length holds each part to its size already; here a lost part gets a name.
                self._check_parts(ticket, hashes)
            self._node.complete_upload(ticket.key, ticket.s3_upload, hashes)
        except InvalidParts as e:
            self._check_parts(ticket, hashes)
            raise InternalError(str(e)) from None
        except NoSuchUpload:
            # Completed before, by this very request whose answer was lost, or by another upload of the same content?
            found = self._node.stat(ticket.key)
            # v3.4.0 puts small files in one piece, which gives them a plain MD5.
            if found is None or found.size != ticket.size or found.etag not in (etag, *hashes[:1]):
                raise InternalError(
                    "The specified multipart upload does not exist: it has expired, was removed, or never reached this "
                    "node; initiate the upload again"
                ) from None
            return found.etag
        return etag

    def _check_once(self, ticket: Ticket, content_hash: str) -> str:
        """Look at what a write-once PUT made, and remove it where it is not what was declared; its ETag."""
        found = self._node.stat(ticket.key)
        if found is None:
            raise InternalError("The specified key does not exist: part 1 of 1 was not uploaded")
        if found.etag != content_hash or found.size != ticket.size:
            # Without this the right content could not follow: the key takes one PUT.
            self._node.remove(ticket.key)
            raise ArgsError(
                f"md5 mismatching {found.etag} != {content_hash}: part 1 holds other content, of {found.size} bytes "
                f"where {ticket.size} were declared; upload it again"
            )
        return found.etag

    def _known(self, ticket: Ticket) -> Record | None:
        """A record of the same content, if its node itself says that it is there: the record alone may have outlived it.

        On the own node, else on another that answers: forwarding a picture across nodes moves no byte.
        """
        found_records = [r for r in self._records.find(ticket.hash) if r.size == ticket.size]
        records = [r for r in found_records if r.node not in self._drained]
        for record in sorted(records, key=lambda r: r.node != ticket.node):
            if record.node == ticket.node:
                found = self._node.stat(record.key)
            else:
                other = self._others.get(record.node)
                if other is None or not other.ready:
                    continue
                try:
                    found = other.stat(record.key)
                except (NetworkError, InternalError):
                    continue
            if found is not None and found.size == record.size and found.etag == record.etag:
                return record
            # One look is enough: the others most likely name the same object.
            break
        return self._known_to_v340(ticket) if self._legacy and not found_records else None

    def _known_to_v340(self, ticket: Ticket) -> Record | None:
        """The same content where v3.4.0 put it, which only its own completion writes to."""
        key = hash_key(ticket.hash)
        found = self._node.stat(key)
        if found is None or found.size != ticket.size:
            return None
        return Record("", "", ticket.node, key, ticket.hash, found.etag, found.size, "", "", 0)

    def _sign(self, ticket: Ticket, numbers: list[int] | range) -> wire.Sign:
        # In whole seconds from now, and never beyond the upload's own end.
        expires = ticket.expires - int(time.time())
        if not ticket.s3_upload:
            url, headers = self._node.sign_put(ticket.key, ticket.size, expires)
            header = [wire.KeyValues(key=key, values=[value]) for key, value in headers.items()]
            return wire.Sign(parts=[wire.SignedPart(part_number=n, url=url, header=header) for n in numbers])
        urls = self._node.sign_parts(ticket.key, ticket.s3_upload, ((n, ticket.part_length(n)) for n in numbers), expires)
        return wire.Sign(parts=[wire.SignedPart(part_number=n, url=url) for n, url in zip(numbers, urls, strict=True)])

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

    def _record(self, ticket: Ticket, key: str, etag: str, name: str, user: str, content_type: str, cause: str) -> None:
        self._records.put(
            Record(
                name=name,
                user=user,
                node=ticket.node,
                key=key,
                hash=ticket.hash,
                etag=etag,
                size=ticket.size,
                content_type=content_type,
                cause=cause,
                create_time=int(time.time() * 1000),
            )
        )


def _texts(request: wire.InitiateRequest | wire.CompleteRequest) -> tuple[str, str, str]:
    """Name, content type and cause; the latter two within bounds."""
    content_type, cause = request.content_type or "", request.cause or ""
    check_texts(content_type, cause)
    return request.name or "", content_type, cause


def check_texts(content_type: str, cause: str) -> None:
    """
    :raises ArgsError: too long, or with control characters.
    """
    if len(content_type) > MAX_CONTENT_TYPE:
        raise ArgsError(f"contentType is longer than {MAX_CONTENT_TYPE} characters")
    if not content_type.isprintable():
        raise ArgsError("contentType holds control characters")
    if len(cause) > MAX_CAUSE:
        raise ArgsError(f"cause is longer than {MAX_CAUSE} characters")


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


def _joined_etag(hashes: list[str]) -> str:
    """S3's ETag of an object that was joined from parts."""
    joined = hashlib.md5(b"".join(bytes.fromhex(h) for h in hashes)).hexdigest()  # noqa: S324 (S3's rule)
    return f"{joined}-{len(hashes)}"


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"part {shown}" if len(numbers) <= 5 else f"parts {shown} and {len(numbers) - 5} more"
