"""Object names: which are taken, and how they stand in a URL. Pure."""

from __future__ import annotations

import re

from app.core.errors import ArgsError, NoPermissionError

#: Bytes of UTF-8. v3.4.0 says "characters", and counts bytes.
MAX_NAME_BYTES = 1024

# v3.4.0 returns names raw, and apps in the field encode them themselves. These characters alone are encoded here: with
# them v3.4.0's own URLs could not be fetched.
_UNSAFE = re.compile(r"""[\x00-\x1f\x7f%#?\\"']""")

_API_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._~-]+)*/?")


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


def api_address(header: str | None) -> str | None:
    """The header X-Request-Api of later OpenIM versions: what returned URLs begin with; None unless it is a plain URL."""
    if header is None or len(header) > 256 or not _API_ADDRESS.fullmatch(header):
        return None
    return header.rstrip("/")


def object_url(api_url: str, name: str) -> str:
    """The public URL of a name, as v3.4.0 returns it: raw UTF-8, with only the characters that break a URL encoded."""
    return f"{api_url}/object/" + _UNSAFE.sub(lambda m: f"%{ord(m.group()):02X}", name)


def instance_url(api_url: str, instance_id: str) -> str:
    """What a URL begins with that names the instance: the balancer routes it by its path alone."""
    return f"{api_url}/i/{instance_id}"


def file_name(name: str) -> str:
    """The last path segment, which is what a download is saved as."""
    return name.rsplit("/", 1)[-1]
