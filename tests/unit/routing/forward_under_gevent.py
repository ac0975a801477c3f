"""Forwards a request under gevent, with 1 s for all of it, to instances at the URLs given; prints how long it took and why
it failed.

Run by test_forwarding.py as `python -m gevent.monkey --module ...`, which patches the process before this is imported.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import yaml

from app.auth.sealing import Sealer
from app.config.load import parse
from app.config.models import Instance
from app.core.errors import NetworkError
from app.routing import forwarding


def owners(*urls: str) -> list[Instance]:
    """Instances i1, i2... of the node m1."""
    document = {
        "public_url": "http://127.0.0.1:1",
        "auth": {"secret": "s3cr3t"},
        "nodes": {"m1": {"endpoint": "http://127.0.0.1:2"}},
        "instances": {f"i{n}": {"node": "m1", "bind": f"127.0.0.1:{n}", "url": url} for n, url in enumerate(urls, 1)},
    }
    return list(parse(yaml.safe_dump(document), {}, Path("/base")).instances.values()) if urls else []


def main(*urls: str) -> None:
    forwarding.TOTAL_TIMEOUT = 1.0
    start = time.monotonic()
    try:
        forwarding.Forwarder("i9", Sealer(["secret"]), 2).forward("m1", owners(*urls), "/object/auth_sign", {}.get, b"{}")
    except NetworkError as e:
        print(json.dumps({"seconds": time.monotonic() - start, "detail": e.detail}))


if __name__ == "__main__":
    main(*sys.argv[1:])
