"""Uploads as OpenIM's SDKs do: hash, initiate, PUT the parts, complete; and downloads again."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import requests

from app.core.errors import NetworkError
from app.core.unreachable import reason
from app.operations.recovery import Patience
from app.routing.http_client import check_end

T = TypeVar("T")

#: Signatures in one request, as the Go SDK has them.
_SIGN_BATCH = 20
_API_TIMEOUT = 30
_PUT_TIMEOUT = 300
#: Statuses of a balancer, or of a storage, that cannot serve now.
_GATEWAY = (502, 503, 504)


class ClientError(Exception):
    """The server, or the way to it, refused; says at which step and why."""


class _Passing(NetworkError):
    """What may pass by itself: no answer, a cut one, or HTTP 503. Every call here may be made twice."""


class Client:
    """
    :param api_url: the balancer, as clients call it.
    :param keep_cookies: false does as OpenIM's own SDKs do.
    :param patience: for what fails in passing.
    """

    def __init__(self, api_url: str, token: str, keep_cookies: bool = True, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self.api_url = api_url.rstrip("/")
        self._token = token
        self._keep_cookies = keep_cookies
        self._session = requests.Session()
        #: Value of each instance cookie that an answer set, in order.
        self.cookies_seen: list[str] = []

    def call(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST to an object route; the answer's `data`.

        :raises ClientError: no answer, no envelope, or an errCode other than 0.
        """
        return self._again(lambda: self._call(route, body))

    def _again(self, do: Callable[[], T]) -> T:
        """
        :raises ClientError: it did not pass.
        """
        try:
            return self._patience.call("the API", do)
        except _Passing as e:
            raise ClientError(e.detail) from e

    def _call(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        if not self._keep_cookies:
            self._session.cookies.clear()
        try:
            response = self._session.post(
                f"{self.api_url}/object/{route}",
                json=body,
                headers={"token": self._token, "operationID": uuid.uuid4().hex},
                timeout=_API_TIMEOUT,
            )
        except requests.RequestException as e:
            raise _Passing(f"{route}: no answer from {self.api_url} ({reason(e)})") from e
        self.cookies_seen += [c.value or "" for c in response.cookies]
        try:
            envelope = response.json()
            code, detail = envelope["errCode"], envelope["errDlt"]
        except (ValueError, KeyError, TypeError):
            # Without a byte: cut within its header.
            message = f"{route}: HTTP {response.status_code}, and no OpenIM answer"
            passing = response.status_code in _GATEWAY or not response.content
            raise (_Passing(message) if passing else ClientError(message)) from None
        if code != 0:
            message = f"{route}: errCode {code} {envelope.get('errMsg', '')}: {detail}"
            raise _Passing(message) if response.status_code == 503 else ClientError(message)
        data: dict[str, Any] = envelope.get("data") or {}
        return data

    def upload(
        self, file: Path, name: str, content_type: str, on_progress: Callable[[int], None] = lambda _: None
    ) -> tuple[str, bool]:
        """Upload a file.

        :param on_progress: called with the number of bytes sent since the last call.
        :returns: the URL, and whether the content was there already and no byte was sent.
        """
        size = file.stat().st_size
        if size == 0:
            raise ClientError(f"{file} is empty, and OpenIM takes no empty files")
        part_size: int = self.call("part_size", {"size": size})["size"]
        with file.open("rb") as f:
            # Parts have 5 MiB up to a file of 50 GB. MD5s are the wire format's.
            hashes = [hashlib.md5(part).hexdigest() for part in iter(lambda: f.read(part_size), b"")]  # noqa: S324
        begun = self.call(
            "initiate_multipart_upload",
            {
                "hash": hashlib.md5(",".join(hashes).encode()).hexdigest(),  # noqa: S324
                "size": size,
                "partSize": part_size,
                "maxParts": min(_SIGN_BATCH, len(hashes)),
                "cause": "",
                "name": name,
                "contentType": content_type,
            },
        )
        if begun["upload"] is None:
            on_progress(size)
            return begun["url"], True
        upload_id = begun["upload"]["uploadID"]
        signed = {p["partNumber"]: p for p in begun["upload"]["sign"]["parts"]}
        with file.open("rb") as f:
            for number in range(1, len(hashes) + 1):
                if number not in signed:
                    batch = list(range(number, min(number + _SIGN_BATCH, len(hashes) + 1)))
                    sign = self.call("auth_sign", {"uploadID": upload_id, "partNumbers": batch})
                    signed = {p["partNumber"]: p for p in sign["parts"]}
                part = f.read(part_size)
                self._again(partial(self._put, number, signed[number], part))
                on_progress(len(part))
        done = self.call(
            "complete_multipart_upload",
            {"uploadID": upload_id, "parts": hashes, "name": name, "contentType": content_type, "cause": ""},
        )
        return done["url"], False

    def download(self, url: str) -> bytes:
        """The content behind a returned URL, redirects followed."""
        return self._again(lambda: self._download(url))

    def _download(self, url: str) -> bytes:
        try:
            response = self._session.get(url, timeout=_PUT_TIMEOUT)
            check_end(response)
        except requests.RequestException as e:
            raise _Passing(f"GET {url}: no answer ({reason(e)})") from e
        if response.status_code in _GATEWAY:
            raise _Passing(f"GET {url}: HTTP {response.status_code}")
        if response.status_code != 200:
            raise ClientError(f"GET {url}: HTTP {response.status_code} {response.text[:200]}")
        return response.content

    def _put(self, number: int, signed: dict[str, Any], part: bytes) -> None:
        headers = {h["key"]: h["values"][0] for h in signed.get("header") or []}
        try:
            response = requests.put(signed["url"], data=part, headers=headers, timeout=_PUT_TIMEOUT)
        except requests.RequestException as e:
            where = signed["url"].partition("?")[0]
            raise _Passing(f"PUT of part {number}: no answer from {where} ({reason(e)})") from e
        if response.status_code in _GATEWAY:
            raise _Passing(f"PUT of part {number}: HTTP {response.status_code} {response.text[:300]}")
        # 412: the object is there, by a PUT whose answer was cut; completing compares its content.
        if response.status_code not in (200, 412):
            raise ClientError(f"PUT of part {number}: HTTP {response.status_code} {response.text[:300]}")
