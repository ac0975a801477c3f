"""The one form of an address: the host in lower case, in punycode where it is international, IPv6 in brackets, and no port
that the scheme has anyway. Pure.

The host is signed (SigV4), and clients send it as it is written or as they see fit: browsers and Python's requests change it
to this form, Go's client and Java's send `LocalHost:80` as it stands, curl half of each. In this form all send the same.
No fault repeats a piece of an address: it may be a password's.
"""

from __future__ import annotations

import ipaddress
import re

import idna

DEFAULT_PORTS = {"http": 80, "https": 443}

_HTTP_URL = re.compile(r"(https?)://([^/?#]*)(/[^?#]*)?(\?[^#]*)?(#.*)?", re.DOTALL | re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::(.*))?", re.DOTALL)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOOPBACK_NAME = re.compile(r"(.*\.)?localhost\.?")
#: Of a label, and of all of them with their dots (RFC 1035, 2.3.4).
_MAX_LABEL, _MAX_HOST = 63, 253


def canonical_host(host: str) -> str:
    """
    :param host: a name, an IPv4 address, or an IPv6 address in brackets. A dot at its end stays: to browsers and to Go's
        client that is another host.
    :raises ValueError: it is none; says what to write.
    """
    if host.startswith("["):
        return _canonical_ipv6(host)
    if host == _PLACEHOLDER:
        raise ValueError(f"holds v3.4.0's placeholder {_PLACEHOLDER}: write the address that clients call")
    for character, what in _REFUSED.items():
        if character in host:
            raise ValueError(what)
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            raise ValueError(
                "must name a host: the international name is none that IDNA2008 has; write it as xn--..."
            ) from None
    host = host.lower()
    name = host.removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # Browsers read 127.1 and 0x7f.0.0.1 as addresses, others as names.
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise ValueError(
                "must name a host: an IPv4 address is four numbers from 0 to 255, without zeros in front"
            ) from None
    if not name:
        raise ValueError("must name a host")
    if "" in labels:
        raise ValueError("must name a host: two dots in a row, or one at its begin, leave a part of the name empty")
    if len(name) > _MAX_HOST or any(len(label) > _MAX_LABEL for label in labels):
        raise ValueError(f"must name a host: its parts have {_MAX_LABEL} characters at most, all of it {_MAX_HOST}")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("must name a host: letters, digits, dots, and - within its parts")
    return host


_PLACEHOLDER = "external_ip"
#: What stands in hosts by mistake, and the cure.
_REFUSED = {
    "_": (
        "names a host with an underscore, which no host name may hold (RFC 1123): Java's clients refuse such a URL, though "
        "Go's and browsers take it; give the machine a name with - instead, or write its IP address"
    ),
    "%": "names a host with a % in it: write the host as it is, not percent-encoded",
    "\\": "holds a backslash, which browsers take for a slash: write /",
    " ": "must name a host: there is a space in it",
}


def _canonical_ipv6(host: str) -> str:
    if "%" in host:
        raise ValueError("names an IPv6 address with a zone, which means something on one machine alone: write one without")
    try:
        if not host.endswith("]"):
            raise ValueError
        address = ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        raise ValueError("must name a host: an IPv6 address stands in brackets, such as [::1]") from None
    if address.ipv4_mapped is not None:
        # As browsers write it; Python's form depends on its version.
        low = int(address.ipv4_mapped)
        return f"[::ffff:{low >> 16:x}:{low & 0xFFFF:x}]"
    return f"[{address.compressed}]"


def canonical_port(port: str) -> int:
    """
    :raises ValueError: no number from 1 to 65535.
    """
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError("must name a port from 1 to 65535")
    return int(port)


def canonical_bind(bind: str) -> str:
    """The one form of `address:port`, with any port.

    :raises ValueError: it is none.
    """
    host, _, port = bind.rpartition(":")
    return f"{canonical_host(host)}:{canonical_port(port)}"


def canonical_url(url: str) -> str:
    """The one form of an http or https URL, without its last slash.

    :raises ValueError: it is none, or holds a login, a query, a fragment, or a path that needs encoding; says what to write.
    """
    if re.search(r"[\x00-\x1f\x7f]", url) or url != url.strip():
        raise ValueError("must not hold control characters, nor spaces around it")
    parts = _HTTP_URL.fullmatch(url)
    if parts is None:
        raise ValueError("must be an http:// or https:// URL")
    scheme, authority, path = parts[1].lower(), parts[2], (parts[3] or "").rstrip("/")
    if "@" in authority:
        raise ValueError("must not hold a user or password")
    written = _AUTHORITY.fullmatch(authority)
    if written is None or not written[1]:
        raise ValueError("must name a host, an IPv6 address in brackets")
    host = canonical_host(written[1])
    port = None if written[2] is None else canonical_port(written[2])
    if parts[4] or parts[5]:
        raise ValueError("must not hold a query or fragment")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", path) or {".", ".."} & set(path.split("/")):
        raise ValueError("its path must be plain segments of letters, digits and . _ ~ -, none of them . or ..")
    return f"{scheme}://{host}{'' if port in (None, DEFAULT_PORTS[scheme]) else f':{port}'}{path}"


def authority(url: str) -> str:
    """The host, and the port where it is not the scheme's own, of a URL in its one form: what clients send as Host."""
    return url.split("/")[2]


def endpoint(url: str) -> tuple[str, int]:
    """The host, IPv6 in brackets, and the port of a URL in its one form."""
    named = authority(url)
    host, port = named, ""
    if not named.endswith("]") and ":" in named:
        host, _, port = named.rpartition(":")
    return host, int(port or DEFAULT_PORTS[url.partition(":")[0]])


def is_loopback(host: str) -> bool:
    """Whether a host in its one form is this machine, whichever machine that is."""
    if _LOOPBACK_NAME.fullmatch(host):
        # RFC 6761, 6.3.
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
