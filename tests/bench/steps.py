"""Ways to run an instance without one of the things that make it fast, or cost, as arguments of `changed`."""

from __future__ import annotations

from typing import Any

_MULTIPART = """
from app.storage.node import Node
Node.probe_put = lambda self: None
"""

_KEY_EACH_TIME = """
from app.storage.signing import Presigner
kept = Presigner._begin
def begin(self, *arguments, **options):
    self._of_day = None
    return kept(self, *arguments, **options)
Presigner._begin = begin
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

_NO_METRICS = """
from app.observability import metrics
metrics.start = lambda *_: None
"""


def _remember_no_token(document: dict[str, Any]) -> None:
    document["auth"]["remember"] = "0s"


STEPS: dict[str, dict[str, Any]] = {
    "write-once PUTs: a multipart upload of one part instead": {"prelude": _MULTIPART},
    "gunicorn_h1c: gunicorn's parser in Python instead": {"settings": 'http_parser = "python"\n'},
    "signing keys kept for the day: derived for each request instead": {"prelude": _KEY_EACH_TIME},
    "parts signed together: each alone instead": {"prelude": _PARTS_ALONE},
    "tokens remembered: verified at each request instead": {"change": _remember_no_token},
    "metrics (which only cost)": {"prelude": _NO_METRICS},
    "the request log (which only costs)": {"options": ("--no-request-log",)},
}
