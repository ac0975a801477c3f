"""The kinds of values in instances.yaml: how each is written, and what is wrong with one that is not.

No fault repeats a value: any of them may be a password in the wrong place.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, core_schema

#: Within a text: `${VAR}`, or `${VAR:-what stands for it where it is not set}`.
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
#: Pattern of a text that holds one.
VARIABLE_BEGINS = r"\$\{[A-Za-z_]"
_DURATION = re.compile(r"(\d+(?:_\d+)*)\s*([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
#: As YAML 1.1 has them, in which the file was read at first.
_FLAGS = dict.fromkeys(("true", "yes", "on"), True) | dict.fromkeys(("false", "no", "off"), False)


@dataclass(frozen=True)
class Written:
    """How a value is written in the file.

    :ivar words: for people.
    :ivar forms: JSON types that an editor takes such a value for where it stands without quotes.
    :ivar pattern: of its text; any by default.
    """

    words: str
    forms: tuple[str, ...] = ()
    pattern: str = ""

    def schema(self, low: int | None = None, high: int | None = None) -> list[dict[str, Any]]:
        """The forms of JSON Schema that such a value may have; any may come from the environment."""
        limits = {word: bound for word, bound in (("minimum", low), ("maximum", high)) if bound is not None}
        text = {"type": "string", "pattern": f"{self.pattern}|{VARIABLE_BEGINS}"} if self.pattern else {"type": "string"}
        return [*({"type": form} | (limits if form == "integer" else {}) for form in self.forms), text]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": self.schema()}


ANY_TEXT = Written("text", ("number", "boolean"))


class Secret(str):
    """A text that shows neither in `repr`, and so in no log line of what holds it, nor in `config show`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def masked(self) -> str:
        return "***"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(), serialization=core_schema.plain_serializer_function_ser_schema(cls.masked)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": ANY_TEXT.schema()}


class SecretURL(Secret):
    """A URL whose password is secret."""

    __slots__ = ()

    def masked(self) -> str:
        return re.sub(r"://(?:([^:/?#@]*):)?[^/?#@]*@", lambda m: f"://{'' if m[1] is None else m[1] + ':'}***@", self)


def seconds_of(text: str) -> int | None:
    """Of `90s`, `15m`, `24h`, `7d` or a plain number; None where it is no duration."""
    match = _DURATION.fullmatch(text)
    return None if match is None or len(text) > 20 else int(match.group(1)) * _UNITS[match.group(2)]


def duration_of(seconds: int) -> str:
    """As it is written, in the largest unit that is whole."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def kind_of(value: Any) -> str:
    names = {bool: "true or false", dict: "a mapping", list: "a list", str: "a string", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")


def _flag(value: Any) -> bool:
    if isinstance(value, str) and value in (value.lower(), value.upper(), value.capitalize()):
        value = _FLAGS.get(value.lower(), value)
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, is {kind_of(value)}")
    return value


def _whole(value: Any) -> int:
    try:
        number = int(value, 0) if isinstance(value, str) and len(value) < 40 else value
    except ValueError:
        number = value
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"must be a whole number, is {kind_of(value)}")
    return number


def _seconds(value: Any) -> int:
    seconds = seconds_of(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise ValueError("must be a duration such as 90s, 15m, 24h or 7d")
    return seconds


def matching(pattern: str, says: str) -> AfterValidator:
    def check(text: str | None) -> str | None:
        if text is not None and not re.fullmatch(pattern, text):
            raise ValueError(says)
        return text

    return AfterValidator(check)


def plain_url(path_allowed: bool) -> Callable[[str], str]:
    """Checks an http(s) URL, and takes its last slash off."""

    def check(text: str) -> str:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("is no URL: its host or port cannot be read; a port is from 1 to 65535") from None
        # Both are left out by urlsplit, and would stay in the text.
        if re.search(r"[\x00-\x1f\x7f]", text) or text != text.strip():
            raise ValueError("must not hold control characters, nor spaces around it")
        if parts.scheme not in ("http", "https"):
            raise ValueError("must begin with http:// or https://")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not hold a user or password")
        if not parts.hostname or not re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname) or port == 0:
            raise ValueError("must name a host, and a port from 1 to 65535 where it names one")
        if parts.query or parts.fragment or "?" in text or "#" in text:
            raise ValueError("must not hold a query or fragment")
        path = parts.path.rstrip("/")
        if path and not path_allowed:
            raise ValueError("must not hold a path")
        if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
            raise ValueError("its path must be plain segments of letters, digits and . _ ~ -")
        return text.rstrip("/")

    return check


def host_ok(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return re.fullmatch(r"[A-Za-z0-9._-]+", host) is not None


def port_ok(port: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", port) is not None and 0 < int(port) < 65536


def _bind(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not port_ok(port) or not host_ok(host):
        raise ValueError("must be address:port, such as 127.0.0.1:10011")
    return text


def _listen(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not port_ok(port) or not (host in ("", "*") or host_ok(host)):
        raise ValueError("must be a port or address:port")
    return text


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
_ENCODE = "in a user and password, # is written %23, @ %40, / %2F, ? %3F, [ %5B, ] %5D, : %3A and % itself %25"
_URL = re.compile(r"[a-z+]+://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?", re.DOTALL)
_ADDRESS = re.compile(r"(?P<host>\[.*\]|[^:]*)(?P<port>:.*)?", re.DOTALL)


def _check_server(url: str, form: str, path: str, options: dict[str, str]) -> None:
    """Refuses what redis-py and SQLAlchemy would take for something else, or fail on with a piece of the password.

    :param form: how such a URL is written.
    :param path: pattern of what follows the address.
    """
    parts = _URL.fullmatch(url)
    if parts is None or not parts["authority"]:
        raise ValueError(f"must be {form}")
    login, at, address = parts["authority"].rpartition("@")
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise ValueError("holds a control character: percent-encode it, a tab as %09")
    if re.search(r"[@\[\]]", login) or parts["fragment"] or (not at and "@" in url):
        raise ValueError(f"holds a character that has a meaning in URLs: {_ENCODE}")
    where = _ADDRESS.fullmatch(address)
    if where is None or (where["host"] and not host_ok(where["host"])):
        raise ValueError(f"must name a host; {_ENCODE}")
    if where["port"] and not port_ok(where["port"][1:]):
        raise ValueError(f"must name a port from 1 to 65535; {_ENCODE}")
    if not re.fullmatch(path, parts["path"]):
        raise ValueError(f"must be {form}; {_ENCODE}")
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


def redis_url(url: SecretURL | None) -> SecretURL | None:
    if url is None:
        return None
    form = "redis://:password@host:6379/0, or rediss:// for TLS"
    if not re.match(r"rediss?://", url):
        raise ValueError(f"must be {form}")
    _check_server(url, form, r"(/[0-9]{1,5})?", _REDIS_OPTIONS)
    if url.startswith("redis:") and any(key.startswith("ssl_") for key, _ in parse_qsl(url.partition("?")[2])):
        raise ValueError("its options ssl_... need rediss://")
    return url


def records_url(url: SecretURL) -> SecretURL:
    form = "sqlite:///path/records.db or mysql+pymysql://user:password@host:3306/database"
    if url.startswith("sqlite:///"):
        file = url.removeprefix("sqlite:///")
        if not file or file.startswith(":memory:"):
            raise ValueError("must name a file: workers and instances share it")
        if re.search(r"[?%]", file):
            raise ValueError("must be a path without ? and %, and takes no options")
        return url
    if not url.startswith("mysql+pymysql://"):
        raise ValueError(f"must be {form}")
    _check_server(url, form, r"/[^/%]+", _MYSQL_OPTIONS)
    password = unquote(url.partition("://")[2].partition("@")[0].partition(":")[2])
    if any(ord(c) > 255 for c in password):
        raise ValueError("has a password that PyMySQL cannot send: all its characters must be of Latin-1")
    return url


Text = Annotated[str, ANY_TEXT]
Flag = Annotated[bool, BeforeValidator(_flag), Written("true or false", ("boolean",), r"^(true|yes|on|false|no|off)$")]
Whole = Annotated[int, BeforeValidator(_whole), Written("whole number", ("integer",), r"^[-+]?\d[\d_]*$")]
Duration = Annotated[
    int,
    BeforeValidator(_seconds),
    PlainSerializer(duration_of, return_type=str),
    Written("duration", ("integer",), r"^\d[\d_]*\s*[smhd]?$"),
]
URL = Annotated[str, AfterValidator(plain_url(path_allowed=False)), Written("URL", (), r"^https?://")]
URLWithPath = Annotated[str, AfterValidator(plain_url(path_allowed=True)), Written("URL", (), r"^https?://")]
Bind = Annotated[str, AfterValidator(_bind), Written("address:port", (), r":\d+$")]
Listen = Annotated[str, AfterValidator(_listen), Written("port or address:port", ("integer",), r"^(.*:)?\d+$")]
