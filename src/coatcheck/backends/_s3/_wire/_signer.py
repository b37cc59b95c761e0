"""Signatures of AWS, version 4, for requests to S3.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import time
from functools import lru_cache
from hashlib import sha256
from hmac import digest
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
EMPTY: Final = sha256().hexdigest()
_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Signer:
    """Signs requests; a day's key is derived once.

    Args:
        clock: Tells the time, in seconds since 1970.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._key_for: tuple[str, str, str] | None = None
        self._key = b""

    def sign(
        self,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        payload: str,
        credentials: Any,
        region: str,
    ) -> None:
        """Add to a request's headers what proves who sent it.

        Args:
            method: The HTTP method.
            path: The path, escaped as it is sent.
            query: The query, escaped and in order.
            headers: The headers by lower-case name, `host` among them. All are
                signed; their values are printable ASCII.
            payload: The body's SHA-256 in hex, or `UNSIGNED`.
            credentials: What the SDK gives: access_key, secret_key, token.
            region: The region that the signature names.
        """
        stamp = _stamp(int(self._clock()))
        headers["x-amz-date"] = stamp
        headers["x-amz-content-sha256"] = payload
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        names = sorted(headers)
        signed = ";".join(names)
        lines = "".join([f"{name}:{_trimmed(headers[name])}\n" for name in names])
        request = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload}"
        day = stamp[:8]
        scope = f"{day}/{region}/s3/aws4_request"
        hashed = sha256(request.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashed}"
        key = self._signing_key(credentials.secret_key, day, region)
        signature = digest(key, text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope},"
            f" SignedHeaders={signed}, Signature={signature}"
        )

    def _signing_key(self, secret: str, day: str, region: str) -> bytes:
        if self._key_for != (secret, day, region):
            key = f"AWS4{secret}".encode()
            for part in (day, region, "s3", "aws4_request"):
                key = digest(key, part.encode(), "sha256")
            self._key_for, self._key = (secret, day, region), key
        return self._key


@lru_cache(maxsize=2)
def _stamp(seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def _trimmed(text: str) -> str:
    """Return a header's value with its spaces as signatures count them."""
    return " ".join(text.split()) if " " in text else text
