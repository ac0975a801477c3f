"""Ways to run an instance without one of the things that make it fast, or cost, as arguments of `changed`."""

from __future__ import annotations

from typing import Any

_MULTIPART = """
from app.storage.node import Node
Node.probe_put = lambda self: None
"""

_KEY_EACH_TIME = """
from app.storage.signing import Presigner
kept = Presigner._signer
def signer(self, day):
    self._of_day = None
    return kept(self, day)
Presigner._signer = signer
"""

_HMAC_DIGEST = """
import hmac
from app.storage import signing
signing._hmac_under = lambda key: lambda message: hmac.digest(key, message, "sha256").hex()
"""

_PARTS_ALONE = """
from app.storage.signing import Presigner
def presign_parts(self, bucket, key, upload, parts, expires, at=None):
    return [
        self.presign(
            "PUT", bucket, key, expires,
            {"partNumber": str(number), "uploadId": upload}, {"content-length": str(length)}, at,
        )
        for number, length in parts
    ]
Presigner.presign_parts = presign_parts
"""

_SQLALCHEMY = """
from app.records.store import Records
def execute(self, compiled, values):
    if not self._prepared:
        self._prepare()
    statements = {self._get_sql: self._select, self._find_sql: self._select_hash, self._put_sql: self._upsert}
    with self._engine.connect() as connection:
        found = connection.execute(statements[compiled], values)
        return list(found) if compiled.reads else []
Records._execute = execute
"""

_NO_METRICS = """
from app.observability import metrics
metrics.start = lambda *_: None
"""


def _remember_no_token(document: dict[str, Any]) -> None:
    document["auth"]["remember"] = "0s"


STEPS: dict[str, dict[str, Any]] = {
    "write-once PUTs: a multipart upload of one part instead": {"prelude": _MULTIPART},
    "our worker: gunicorn's threaded one instead": {"settings": 'worker_class = "gthread"\n'},
    "gunicorn_h1c: gunicorn's parser in Python instead": {"settings": 'http_parser = "python"\n'},
    "signing keys kept for the day: derived for each request instead": {"prelude": _KEY_EACH_TIME},
    "HMAC that keeps Python's lock: hmac.digest instead": {"prelude": _HMAC_DIGEST},
    "parts signed together: each alone instead": {"prelude": _PARTS_ALONE},
    "tokens remembered: verified at each request instead": {"change": _remember_no_token},
    "hot statements past SQLAlchemy: its own execution instead": {"prelude": _SQLALCHEMY},
    "metrics (which only cost)": {"prelude": _NO_METRICS},
    "the request log (which only costs)": {"options": ("--no-request-log",)},
}
