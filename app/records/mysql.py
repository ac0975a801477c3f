"""Opens MySQL and MariaDB: connections, TLS, and what is meant by the numbers of their errors."""

from __future__ import annotations

import ssl
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

#: What to do about an error that waiting does not cure, by the server's number and the driver's own above 2000.
CURES = {
    1044: "the user may not use this database: GRANT ALL ON database.* TO it",
    1045: "the user or password in `records` is wrong",
    1049: "there is no database of this name: CREATE DATABASE it, or correct `records`",
    1142: "the user lacks a right on the table: GRANT ALL ON database.* TO it",
    1071: (
        "the table needs keys of 1,024 bytes: MySQL 5.6 has them with innodb_large_prefix=ON, innodb_file_format=Barracuda "
        "and innodb_file_per_table=ON, later ones as they are, with an innodb_page_size of at least 8k"
    ),
    1021: "its disk is full",
    1030: "its storage fails: is its disk full?",
    1040: "it has no connection left: raise max_connections, by 32 for each worker",
    1114: "its disk, or the table, is full",
    1290: "it takes no writes now: is it a replica?",
    2003: "it cannot be reached: is it running, and are host and port in `records` right?",
    2061: "this login is of a kind that the driver does not have: use caching_sha2_password or mysql_native_password",
}
_NEEDS_CRYPTOGRAPHY = (
    "this login (caching_sha2_password without TLS) needs the Python package cryptography: pip install 'openim-direct[all]'"
)


def create_engine(url: sa.URL, ca_file: str | None, patience: int = 8) -> Engine:
    """
    :param patience: seconds that a statement may take.
    :param ca_file: trusted instead of the system's authorities, where the URL asks for TLS and names no file of its own.
    """
    tls = {key: str(value) for key, value in url.query.items() if key.startswith("ssl_")}
    engine = sa.create_engine(
        url.difference_update_query(tls),
        isolation_level="AUTOCOMMIT",
        pool_size=16,
        max_overflow=16,
        pool_timeout=5,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={"connect_timeout": 3, "read_timeout": patience, "write_timeout": patience},
    )
    if tls:

        @sa.event.listens_for(engine, "do_connect")
        def connect(_dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> None:
            # For each connection anew, so that renewed files are taken.
            options["ssl"] = _context(tls, ca_file)

    return engine


def _context(options: dict[str, str], ca_file: str | None) -> ssl.SSLContext:
    """Verifies certificate and name, unless an option says otherwise.

    :param options: of the URL, by MySQL's own names.
    """
    capath = options.get("ssl_capath")
    cafile = options.get("ssl_ca") or (None if capath else ca_file)
    try:
        context = ssl.create_default_context(cafile=cafile, capath=capath)
    except FileNotFoundError as e:
        # The library does not say which.
        raise FileNotFoundError(e.errno, e.strerror, cafile or capath) from None
    # Python 3.13 asks more of authorities than most private ones have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if "false" in (options.get("ssl_check_hostname"), options.get("ssl_verify_identity")):
        context.check_hostname = False
    if options.get("ssl_verify_cert") == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "ssl_cert" in options:
        context.load_cert_chain(options["ssl_cert"], options.get("ssl_key"))
    if "ssl_cipher" in options:
        context.set_ciphers(options["ssl_cipher"])
    return context


def number(error: BaseException) -> int | None:
    """The server's number of an error, or the driver's."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else None


def cure(error: BaseException) -> str:
    """What to do about an error; nothing where it is not known."""
    if "cryptography" in str(error):
        return _NEEDS_CRYPTOGRAPHY
    return CURES.get(number(error) or 0, "")
