"""What a page of another origin is told, by instances and balancers alike: v3.4.0's CORS headers, and more by name."""

from __future__ import annotations

import re

#: As v3.4.0 sends it with every answer.
EXPOSED = (
    "Content-Length, Access-Control-Allow-Origin, Access-Control-Allow-Headers,"
    "Cache-Control,Content-Language,Content-Type,Expires,Last-Modified,Pragma,FooBar"
)
#: Seconds for which a browser need not ask again; v3.4.0's.
MAX_AGE = 172_800
#: v3.4.0's answer to OPTIONS on any path.
PREFLIGHT_BODY = '"Options Request!"'
#: For listed origins: in answers to requests with credentials `*` is the name of a method (Fetch standard, CORS protocol).
METHODS = "*, GET, HEAD, POST, PUT, PATCH, DELETE"
#: The longest such list, in bytes: more than a hundred names, and far less than a balancer's buffer for an answer's headers.
MAX_ASKED = 4096

_ASKED = re.compile(f"[A-Za-z0-9_., -]{{1,{MAX_ASKED}}}")


def allowed_headers(asked: str) -> str:
    """Return what a preflight may send: v3.4.0's `*`, and by name what it asked for.

    `*` means no Authorization, and nothing but itself in requests with credentials (Fetch standard, CORS protocol).

    :param asked: the value of Access-Control-Request-Headers, empty where there was none.
    """
    return f"*, {asked}" if _ASKED.fullmatch(asked) else "*"
