"""Presigned URLs: AWS Signature Version 4 in the query, over any signed headers. Pure, and no call to the storage.

minio-py signs only `host`; here a part's URL also binds the exact Content-Length, so that nobody fills a disk with the
URL of a 5-byte upload. The key derivation is done once a day instead of once a URL.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote

from app.core.addresses import authority, canonical_url

#: SigV4's longest life of a signed URL, seconds.
MAX_EXPIRES = 7 * 86400
_PLAIN = re.compile(r"[A-Za-z0-9._~-]*")


def _quote(text: str) -> str:
    """RFC 3986 encoding, as SigV4 wants it: only A-Z a-z 0-9 - . _ ~ stay."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="~")


class Presigner:
    """Signs for one endpoint as clients call it.

    :param endpoint: may end in a path that a proxy strips on the way: it is in the URL, not in the signature.
    """

    def __init__(
        self, endpoint: str, access_key: str, secret_key: str, region: str, session_token: str | None = None
    ) -> None:
        self._token_pair = [] if session_token is None else [f"X-Amz-Security-Token={_quote(session_token)}"]
        # In its one form, since the Host header is signed, and clients differ in what they make of any other.
        self._base = canonical_url(endpoint)
        self._host = authority(self._base)
        self._credential = _quote(f"{access_key}/")
        self._secret_key = secret_key
        self._region = region
        self._of_day: tuple[str, hmac.HMAC] | None = None

    def presign(
        self,
        method: str,
        bucket: str,
        key: str,
        expires: int,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        at: float | None = None,
    ) -> str:
        """
        :param expires: seconds from `at`; cut to S3's 1 s to 7 days.
        :param headers: sent by the client with exactly these values, or the storage answers 403; names in lower case.
        :param at: Unix time of the signature; now by default.
        """
        signed = sorted([("host", self._host), *(headers or {}).items()])
        names = ";".join([name for name, _ in signed])
        path, pairs, sign = self._begin(bucket, key, expires, names, at)
        # Sorted by encoded name; the values after it do not matter, since no name is there twice.
        pairs += [f"{_quote(name)}={_quote(value)}" for name, value in (query or {}).items()]
        canonical_query = "&".join(sorted(pairs))
        canonical_headers = "".join([f"{name}:{value}\n" for name, value in signed])
        signature = sign(f"{method}\n{path}\n{canonical_query}\n{canonical_headers}\n{names}\nUNSIGNED-PAYLOAD")
        return f"{self._base}{path}?{canonical_query}&X-Amz-Signature={signature}"

    def presign_parts(
        self, bucket: str, key: str, upload: str, parts: Iterable[tuple[int, int]], expires: int, at: float | None = None
    ) -> list[str]:
        """The URLs to PUT parts of a multipart upload to: what `presign` gives for each, at a fraction of its cost, since
        they differ only in number and length.

        :param parts: number and exact bytes of each.
        """
        path, pairs, sign = self._begin(bucket, key, expires, "content-length;host", at)
        # In the order that the signature wants: capitals come first.
        head = "&".join(sorted(pairs)) + "&partNumber="
        tail = f"&uploadId={_quote(upload)}"
        before, after = f"PUT\n{path}\n{head}", f"\nhost:{self._host}\n\ncontent-length;host\nUNSIGNED-PAYLOAD"
        base = f"{self._base}{path}?{head}"
        urls = []
        for number, length in parts:
            signature = sign(f"{before}{number}{tail}\ncontent-length:{length}{after}")
            urls.append(f"{base}{number}{tail}&X-Amz-Signature={signature}")
        return urls

    def plain(self, bucket: str, key: str, query: Mapping[str, str]) -> str:
        """The URL without a signature, for what everyone may do."""
        pairs = "&".join([f"{_quote(name)}={_quote(value)}" for name, value in query.items()])
        return f"{self._base}/{bucket}/{quote(key, safe='/~')}" + (f"?{pairs}" if pairs else "")

    def _begin(
        self, bucket: str, key: str, expires: int, signed_headers: str, at: float | None
    ) -> tuple[str, list[str], Callable[[str], str]]:
        """What all URLs of one moment share: the path, the query's pairs, and a function that signs a canonical request."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        day = stamp[:8]
        scope = f"{day}/{self._region}/s3/aws4_request"
        pairs = [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            f"X-Amz-Credential={self._credential}{_quote(scope)}",
            f"X-Amz-Date={stamp}",
            f"X-Amz-Expires={max(1, min(MAX_EXPIRES, expires))}",
            f"X-Amz-SignedHeaders={_quote(signed_headers)}",
            *self._token_pair,
        ]
        known = self._of_day
        if known is None or known[0] != day:
            derived = f"AWS4{self._secret_key}".encode()
            for step in (day, self._region, "s3", "aws4_request"):
                derived = hmac.digest(derived, step.encode(), "sha256")
            # Threads may both derive it; they agree.
            known = self._of_day = (day, hmac.new(derived, digestmod="sha256"))
        keyed = known[1]

        def sign(request: str) -> str:
            # A copy, so that the key is hashed once a day and not once a URL.
            signature = keyed.copy()
            digest = hashlib.sha256(request.encode()).hexdigest()
            signature.update(f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode())
            return signature.hexdigest()

        return f"/{bucket}/{quote(key, safe='/~')}", pairs, sign
