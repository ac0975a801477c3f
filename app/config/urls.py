"""The kinds of URLs and addresses in instances.yaml, each read into its one form (`core.addresses`).

No fault repeats a piece of one: it may be a password's.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import parse_qsl, unquote

from pydantic import AfterValidator

from app.config.values import SecretURL, Text, Written
from app.core.addresses import canonical_bind, canonical_host, canonical_port, canonical_url

_URL = re.compile(
    r"(?P<scheme>[a-z+]+)://(?:(?P<login>[^/?#]*)@)?(?P<host>\[[^/?#]*\]|[^/?#:]*)(?P<port>:[^/?#]*)?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?",
    re.DOTALL,
)
_ENCODE = "; in a user and password, # is written %23, @ %40, / %2F, ? %3F, [ %5B, ] %5D, : %3A and % itself %25"
_SECONDS = r"[1-9][0-9]{0,6}"
_FLAG = r"true|false"
#: Options of a URL, and the pattern of what each may be.
_REDIS_OPTIONS = {
    "db": r"[0-9]{1,5}",
    "protocol": r"2|3",
    **dict.fromkeys(("socket_timeout", "socket_connect_timeout"), r"[0-9]{1,7}(\.[0-9]{1,3})?"),
    "health_check_interval": _SECONDS,
    **dict.fromkeys(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"), r".+"),
    "ssl_cert_reqs": r"none|optional|required",
    "ssl_check_hostname": _FLAG,
}
_MYSQL_OPTIONS = {
    "charset": r"utf8mb4|utf8mb3|utf8",
    **dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), _SECONDS),
    **dict.fromkeys(("init_command", "sql_mode", "program_name"), r".+"),
    **dict.fromkeys(("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher"), r".+"),
    **dict.fromkeys(("ssl_check_hostname", "ssl_verify_cert", "ssl_verify_identity"), _FLAG),
}


def _host_ok(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return re.fullmatch(r"[A-Za-z0-9._-]+", host) is not None


def _port_ok(port: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", port) is not None and 0 < int(port) < 65536


def _bind(text: str) -> str:
    if ":" not in text:
        raise ValueError("must be address:port, such as 127.0.0.1:10011")
    try:
        return canonical_bind(text)
    except ValueError as e:
        raise ValueError(f"{e}; it is an address:port, such as 127.0.0.1:10011") from None


def _listen(text: str) -> str:
    host, _, port = text.rpartition(":")
    try:
        if host in ("", "*"):
            return text.removesuffix(port) + str(canonical_port(port))
        return canonical_bind(text)
    except ValueError as e:
        raise ValueError(f"{e}; it is a port or address:port") from None


def _origin(text: str) -> str:
    # Of apps that are made of pages, such as capacitor://localhost.
    if re.fullmatch(r"(?!https?:)[a-z][a-z0-9+.-]*://[A-Za-z0-9.-]+(:\d{1,5})?", text):
        return text
    try:
        return _no_path(canonical_url(text))
    except ValueError as e:
        raise ValueError(f"{e}: an origin is scheme, host and port, such as https://web.example.com") from None


def _domain(text: str) -> str:
    name = canonical_host(text.removeprefix("."))
    if not name[-1].isalnum():
        raise ValueError("must be a host name, and without a dot at its end: browsers drop such a cookie otherwise")
    return "." * text.startswith(".") + name


def _parts(url: str, schemes: tuple[str, ...], form: str, hint: str = "") -> re.Match[str]:
    """
    :param form: how such a URL is written.
    :param hint: what else may be wrong where an address cannot be read.
    :raises ValueError: it is written otherwise, or what should be its host and port is none.
    """
    parts = _URL.fullmatch(url)
    if re.search(r"[\x00-\x1f\x7f]", url) or url != url.strip():
        raise ValueError("must not hold control characters, nor spaces around it; a tab in a password is written %09")
    if parts is None or parts["scheme"] not in schemes:
        raise ValueError(f"must be {form}")
    if parts["host"] and not _host_ok(parts["host"]):
        raise ValueError(f"must name a host{hint}")
    if parts["port"] and not _port_ok(parts["port"][1:]):
        raise ValueError(f"must name a port from 1 to 65535{hint}")
    return parts


def _no_path(url: str) -> str:
    if "/" in url.partition("://")[2]:
        raise ValueError("must not hold a path")
    return url


def _server_url(url: str, schemes: tuple[str, ...], form: str, path: str, options: dict[str, str]) -> re.Match[str]:
    """Refuses what redis-py and SQLAlchemy would take for something else, or fail on with a piece of the password.

    :param path: pattern of what follows the address.
    """
    parts = _parts(url, schemes, form, _ENCODE)
    if parts["login"] is None and not (parts["host"] or parts["port"]):
        raise ValueError(f"must be {form}")
    if re.search(r"[@\[\]]", parts["login"] or "") or parts["fragment"] or (parts["login"] is None and "@" in url):
        raise ValueError(f"holds a character that has a meaning in URLs{_ENCODE}")
    if not re.fullmatch(path, parts["path"] or ""):
        raise ValueError(f"must be {form}{_ENCODE}")
    seen: set[str] = set()
    for key, value in parse_qsl((parts["query"] or "")[1:], keep_blank_values=True):
        if key not in options:
            raise ValueError(f"has an option that is not known here; known are {', '.join(options)}")
        if not re.fullmatch(options[key], value):
            choices = f": write {options[key].replace('|', ' or ')}" if "|" in options[key] else ""
            raise ValueError(f"its option {key} has a value that it cannot have{choices}")
        if key in seen:
            raise ValueError(f"has the option {key} twice")
        seen.add(key)
    return parts


def _redis_url(url: SecretURL) -> SecretURL:
    form = "redis://:password@host:6379/0, or rediss:// for TLS; host1:6379,host2:6379 for a cluster"
    # A comma ends a server only behind the login and before path and options, of which both may hold one.
    listed = re.fullmatch(r"([a-z]+://(?:[^/?#]*@)?)([^/?#@]*)((?:[/?#].*)?)", url, re.DOTALL)
    servers = listed[2].split(",") if listed else []
    urls = [f"{listed[1]}{server}{listed[3]}" for server in servers] if listed else [url]
    if len(servers) > 1 and not all(servers):
        raise ValueError(f"must name a host before and after each comma{_ENCODE}")
    # A cluster has no other database than 0.
    path = r"(/[0-9]{1,5})?" if len(urls) == 1 else r"(/0*)?"
    parts, *_ = [_server_url(each, ("redis", "rediss"), form, path, _REDIS_OPTIONS) for each in urls]
    if len(servers) > 1 and re.search(r"[?&]db=0*[1-9]", parts["query"] or ""):
        raise ValueError("lists the servers of a cluster, which has no other database than 0")
    if parts["scheme"] == "redis" and "ssl_" in (parts["query"] or ""):
        raise ValueError("its options ssl_... need rediss://")
    return url


def _records_url(url: SecretURL) -> SecretURL:
    form = "sqlite:///path/records.db or mysql+pymysql://user:password@host:3306/database"
    if url.startswith("sqlite:///"):
        file = url.removeprefix("sqlite:///")
        if not file or file.startswith(":memory:"):
            raise ValueError("must name a file: workers and instances share it")
        if re.search(r"[?%]", file):
            raise ValueError("must be a path without ? and %, and takes no options")
        return url
    login = _server_url(url, ("mysql+pymysql",), form, r"/[^/%]+", _MYSQL_OPTIONS)["login"]
    if any(ord(c) > 255 for c in unquote((login or "").partition(":")[2])):
        raise ValueError("has a password that PyMySQL cannot send: all its characters must be of Latin-1")
    return url


URLWithPath = Annotated[str, AfterValidator(canonical_url), Written("URL", (), r"^[Hh][Tt][Tt][Pp][Ss]?://")]
URL = Annotated[URLWithPath, AfterValidator(_no_path)]
Bind = Annotated[str, AfterValidator(_bind), Written("address:port", (), r":\d+$")]
Listen = Annotated[str, AfterValidator(_listen), Written("port or address:port", ("integer",), r"^(.*:)?\d+$")]
Origin = Annotated[Text, AfterValidator(_origin)]
Domain = Annotated[Text, AfterValidator(_domain)]
RedisURL = Annotated[SecretURL, AfterValidator(_redis_url), Written("secret", ("number", "boolean"))]
RecordsURL = Annotated[SecretURL, AfterValidator(_records_url), Written("secret", ("number", "boolean"))]
