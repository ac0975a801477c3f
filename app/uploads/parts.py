"""The rules of parts: how large they are, how many, and which content they hold. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from app.auth.sealing import Ticket
from app.core import wire
from app.core.errors import ArgsError, InternalError
from app.core.model import PartInfo

# S3's limits, and so v3.4.0's.
MIN_PART_SIZE = 5 << 20
MAX_PART_SIZE = 5 << 30
MAX_PARTS = wire.MAX_PARTS
MAX_SIZE = MAX_PART_SIZE * MAX_PARTS

_MD5 = re.compile(r"[0-9a-fA-F]{32}")


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


def agreed_part_size(size: int, requested: int | None) -> int:
    """The client's part size where S3 takes it, since clients fail when the answer differs from what they computed; else
    v3.4.0's rule. Raises as `part_size`."""
    default = part_size(size)
    if requested is None or not MIN_PART_SIZE <= requested <= MAX_PART_SIZE or requested * MAX_PARTS < size:
        return default
    return requested


def check_md5(text: str, field: str) -> str:
    """An MD5 in lower case.

    :param field: the request's name of it.
    :raises InternalError: it is none.
    """
    if not _MD5.fullmatch(text):
        raise InternalError(f"invalid md5: {field} must be 32 hexadecimal digits")
    return text.lower()


def check_hashes(ticket: Ticket, parts: list[str] | None) -> list[str]:
    """The MD5 of each part as a completion gives them, if they are those of the upload.

    :raises InternalError: they are not.
    """
    hashes = [check_md5(part, f"parts[{i}]") for i, part in enumerate(parts or [])]
    if len(hashes) != ticket.parts:
        raise InternalError(f"md5 mismatching: the upload has {ticket.parts} parts, parts has {len(hashes)}")
    if hashlib.md5(",".join(hashes).encode()).hexdigest() != ticket.hash:  # noqa: S324 (the wire format's)
        raise InternalError("md5 mismatching: the MD5 of the joined part hashes is not the upload's hash")
    return hashes


def check_uploaded(ticket: Ticket, hashes: list[str], uploaded: Iterable[PartInfo]) -> None:
    """Hold what was uploaded against what was declared.

    :raises InternalError: a part is missing, of another size, or holds other content.
    :raises ArgsError: the one part of a small file holds other content.
    """
    found = {part.number: part for part in uploaded}
    missing = [n for n in range(1, ticket.parts + 1) if n not in found]
    if missing:
        raise InternalError(
            f"One or more of the specified parts could not be found: {_some(missing)} of {ticket.parts} not uploaded. "
            f"The specified key does not exist."
        )
    for number, content_hash in enumerate(hashes, 1):
        part = found[number]
        if part.etag != content_hash:
            text = f"md5 mismatching {part.etag} != {content_hash}: part {number} holds other content"
            raise ArgsError(text) if ticket.parts == 1 else InternalError(text)
        if part.size != ticket.part_length(number):
            raise InternalError(
                f"size mismatching: part {number} has {part.size} bytes, {ticket.part_length(number)} were declared"
            )


def joined_etag(hashes: list[str]) -> str:
    """S3's ETag of an object that was joined from parts."""
    joined = hashlib.md5(b"".join(bytes.fromhex(h) for h in hashes)).hexdigest()  # noqa: S324 (S3's rule)
    return f"{joined}-{len(hashes)}"


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"part {shown}" if len(numbers) <= 5 else f"parts {shown} and {len(numbers) - 5} more"
