"""Checks a node: its addresses, clock, keys and bucket, and that objects can be written, read and removed there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from app.config.models import Deployment
from app.config.models import Node as NodeConfig
from app.core.errors import APIError
from app.operations.checks.addresses import check_sign_endpoint, reach
from app.operations.checks.result import FAULT, OK, WARNING, Check
from app.storage.node import Node

#: Seconds by which clocks may differ; S3 refuses signatures from 15 minutes on.
_SKEW_WARNING, _SKEW_FAULT = 60, 840
_PROBE = b"openim-direct check"


def check_node(config: NodeConfig, node: Node | None, deployment: Deployment) -> Iterator[Check]:
    subject = f"nodes.{config.id}"
    reached = [(endpoint, *reach(endpoint, config.ca_file)) for endpoint in config.endpoints]
    for endpoint, result, detail in reached:
        # Of a cluster each is named: one that is down goes unnoticed otherwise.
        yield Check(subject, "address" if len(reached) == 1 else f"address {endpoint}", result, detail)
    if all(result == FAULT for _, result, _ in reached):
        return
    if node is None:
        yield Check(subject, "keys", WARNING, "this file holds none: views of its objects are sent to its own instances")
        return
    try:
        code, date = node.diagnose()
        yield Check(subject, "clock", *_clock(date))
        fault = _REFUSALS.get(code, f"the node answers {code}: is it MinIO's S3 port, and not its console?")
        yield Check(subject, "credentials", FAULT if fault else OK, fault)
        if not fault:
            yield Check(subject, "bucket", *(_make_bucket(config, node) if code else (OK, "")))
            objects = _objects(node)
            yield Check(subject, "PUT, GET, DELETE", *objects)
            if objects == (OK, ""):
                yield Check(subject, "write-once PUT", *((OK, "") if node.write_once else (WARNING, _NOT_WRITE_ONCE)))
            yield check_sign_endpoint(subject, config)
            yield Check(subject, "unfinished uploads", *_unfinished(node, deployment.uploads.expire))
    except APIError as e:
        yield Check(subject, "storage", FAULT, e.detail)


#: What S3's error codes say of the keys; the first two that these are good.
_REFUSALS = {
    "": "",
    "NoSuchBucket": "",
    "InvalidAccessKeyId": "the node does not know this access_key",
    "SignatureDoesNotMatch": "the secret_key is wrong",
    "RequestTimeTooSkewed": "the clocks differ too much for any signature: see the clock",
    "AccessDenied": "the keys lack rights on the bucket: `openim-direct policy` prints what they need",
    "InvalidTokenId": "the session_token has expired, or is not of these keys",
}
_NOT_WRITE_ONCE = (
    "the node does not keep to If-None-Match or signed lengths: small files take multipart uploads, which is slower"
)


def _make_bucket(config: NodeConfig, node: Node) -> tuple[str, str]:
    try:
        node.make_missing_bucket()
    except APIError as e:
        return FAULT, f"{config.bucket} is not there, and may not be made with these keys ({e.detail}): make it by hand"
    return OK, f"{config.bucket} was not there, and was made"


def _clock(date: str) -> tuple[str, str]:
    """
    :param date: the Date header of an answer, or nothing.
    """
    if not date:
        return WARNING, "the node does not say its time"
    try:
        skew = abs(time.time() - parsedate_to_datetime(date).timestamp())
    except ValueError:
        return WARNING, "the node's time cannot be read"
    detail = f"differs by {skew:.0f} s from this machine's: synchronise both (NTP); S3 refuses signatures from 15 minutes on"
    if skew > _SKEW_WARNING:
        return FAULT if skew > _SKEW_FAULT else WARNING, detail
    return OK, ""


def _objects(node: Node) -> tuple[str, str]:
    key = f"openim/probe/{secrets.token_hex(8)}"
    try:
        node.put(key, _PROBE)
        if node.read(key, 100) != _PROBE:
            return FAULT, "an object did not read back as it was written"
        node.remove(key)
        node.probe_writes()
        node.accept()
        node.probe_put()
    except APIError as e:
        return FAULT, e.detail
    return OK, ""


def _unfinished(node: Node, expire: int) -> tuple[str, str]:
    seconds = node.unfinished_expiry()
    if seconds is None:
        return OK, "MinIO's stale_uploads_expiry is an admin's to ask; it must not be under uploads.expire"
    if seconds < expire:
        return (
            FAULT,
            f"MinIO removes them after {seconds} s, uploads.expire promises {expire} s: raise api stale_uploads_expiry",
        )
    return OK, ""
