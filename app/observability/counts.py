"""Holds the numbers of one instance that the metrics add up and the status pages show."""

from __future__ import annotations

import msgspec


class Counts(msgspec.Struct, frozen=True):
    """How often things happened in a time."""

    #: Requests of the object API, with those that another instance forwarded here; not health checks and pages.
    requests: int = 0
    #: Of these, failed by no fault of the client's: a node, an instance or the database that cannot serve, or a defect.
    errors: int = 0
    #: GET and HEAD of an object, part of `requests`.
    views: int = 0
    #: Sent on to another instance.
    forwards: int = 0
    uploads_begun: int = 0
    uploads_completed: int = 0
    #: Answered "already there" at once.
    uploads_deduplicated: int = 0
    #: Completions that were refused or failed.
    uploads_failed: int = 0
    #: As declared by the completed uploads.
    upload_bytes: int = 0

    @property
    def uploads(self) -> int:
        """Uploads whose content is stored: sent, or there already."""
        return self.uploads_completed + self.uploads_deduplicated
