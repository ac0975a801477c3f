"""Holds what every check answers with."""

from __future__ import annotations

import msgspec

OK, WARNING, FAULT = "ok", "warning", "fault"


class Check(msgspec.Struct, frozen=True):
    #: What was checked: `deployment`, `records`, `redis`, `nodes.m1`, `instances.i1`.
    subject: str
    name: str
    result: str
    #: The cause and the cure; never holds a secret or a signed URL.
    detail: str = ""
