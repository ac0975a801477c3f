"""Ways to run an instance without one of the things that make it fast, as arguments of `deployment`."""

from __future__ import annotations

from typing import Any

_MULTIPART = """
from app.node import Node
Node.probe_put = lambda self: None
"""

_KEY_EACH_TIME = """
from app.signing import Presigner
kept = Presigner._signer
def signer(self, day):
    self._of_day = None
    return kept(self, day)
Presigner._signer = signer
"""

_HMAC_DIGEST = """
import hmac
from app import signing
signing._hmac_under = lambda key: lambda message: hmac.digest(key, message, "sha256").hex()
"""

_PARTS_ALONE = """
from app.signing import Presigner
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
from app.records import Records
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
from app import metrics
metrics.start = lambda *_: None
"""


def _remember_no_token(document: dict[str, Any]) -> None:
    document["auth"]["remember"] = "0s"


STEPS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "small files by multipart of one part": {"prelude": _MULTIPART},
    "gunicorn's own threaded worker": {"settings": 'worker_class = "gthread"\n'},
    "gunicorn's parser in Python": {"settings": 'http_parser = "python"\n'},
    "signing keys derived for each request": {"prelude": _KEY_EACH_TIME},
    "hmac.digest, which gives up Python's lock": {"prelude": _HMAC_DIGEST},
    "each part signed alone": {"prelude": _PARTS_ALONE},
    "tokens verified at each request": {"change": _remember_no_token},
    "records by SQLAlchemy's own execution": {"prelude": _SQLALCHEMY},
    "no metrics (a cost, not a gain)": {"prelude": _NO_METRICS},
    "no request log (a cost, not a gain)": {"options": ("--no-request-log",)},
}
