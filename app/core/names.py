"""Object names: which are taken, and how they stand in a URL. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

from app.core.addresses import canonical_url
from app.core.errors import ArgsError, NoPermissionError

#: Bytes of UTF-8. v3.4.0 says "characters", and counts bytes.
MAX_NAME_BYTES = 1024

# What RFC 3986 (3.3) lets stand in a path stays as v3.4.0 writes it, but for the apostrophe, which ends attributes and
# texts that a URL is put into.
_PATH = "/!$&()*+,;=:@"
#: What may not stand in a request target (RFC 3986, 3.3 and 3.4): other bytes, and `%` without two hex digits.
_NOT_IN_A_TARGET = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]")
#: Characters of an address that a client asks for.
_MAX_ADDRESS = 256


def check_name(name: str, user: str, is_admin: bool) -> None:
    """Refuse a name that v3.4.0 refuses, or that no URL could reach.

    :raises ArgsError: empty, absolute, over 1024 bytes, or not reachable by a URL.
    :raises NoPermissionError: outside the caller's own folder `<user>/`.
    """
    if not name:
        raise ArgsError("name is empty")
    if name.startswith("/"):
        raise ArgsError("name cannot start with `/`")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ArgsError("object name cannot be longer than 1024 characters")
    if "\x00" in name:
        raise ArgsError("name holds a NUL character, which no proxy lets through")
    # Browsers and proxies fold dot segments, so that such a URL would reach another name (RFC 3986, 5.2.4).
    if any(segment in (".", "..") for segment in name.replace("\\", "/").split("/")):
        raise ArgsError("name holds a `.` or `..` segment, which browsers and proxies fold away")
    if not is_admin and not name.startswith(f"{user}/"):
        raise NoPermissionError(f"name must start with `{user}/`")


@lru_cache(1024)
def api_address(header: str) -> str | None:
    """The header X-Request-Api of later OpenIM versions, in its one form: what returned URLs begin with; None unless it is a
    plain URL."""
    try:
        return canonical_url(header) if len(header) <= _MAX_ADDRESS and header.isascii() else None
    except ValueError:
        return None


def object_url(api_url: str, name: str) -> str:
    """The public URL of a name: v3.4.0's, with all that no URL may hold percent-encoded. Raw, as v3.4.0 returns it, browsers
    cut spaces at its end, and clients differ in what they make of the rest."""
    return f"{api_url}/object/{quote(name, safe=_PATH)}"


def encoded_target(target: str) -> str:
    """A path and query as clients sent them, with what no request target may hold percent-encoded; all else as it is.

    :param target: its characters stand for bytes, as in WSGI (Latin-1).
    """
    return _NOT_IN_A_TARGET.sub(lambda m: f"%{ord(m[0]):02X}", target)


def instance_url(api_url: str, instance_id: str) -> str:
    """What a URL begins with that names the instance: the balancer routes it by its path alone."""
    return f"{api_url}/i/{instance_id}"


def file_name(name: str) -> str:
    """The last path segment, which is what a download is saved as."""
    return name.rsplit("/", 1)[-1]
