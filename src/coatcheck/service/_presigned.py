"""URLs that were signed as a whole, for one read."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from coatcheck._core.canonical import SIGNATURE, canonical_request
from coatcheck._core.permissions import Permission

from ._grants import ReadGrant
from ._refusals import Refusal

if TYPE_CHECKING:
    from ._keys import Keyring

_KID: Final = "os_kid"
_TIMESTAMP: Final = "os_timestamp"
_DURATION: Final = "os_duration"
_FORM: Final = "%Y-%m-%dT%H:%M:%SZ"
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,7}")
_LONGEST: Final = timedelta(days=7)
_LEEWAY: Final = timedelta(seconds=60)
_SIGNATURE_SIZE: Final = 64


def is_presigned(raw_query: str) -> bool:
    """Tell whether a query carries a signature; then no token counts."""
    return any(name == SIGNATURE for name, _ in pairs_of(raw_query))


def pairs_of(raw_query: str) -> list[tuple[str, str]]:
    """Return the undecoded names and values of a query."""
    parts = [pair.partition("=") for pair in raw_query.split("&") if pair]
    return [(name, text) for name, _, text in parts]


def presigned_grant(
    keys: Keyring, *, method: str, raw_path: str, raw_query: str, now: datetime
) -> ReadGrant:
    """Return what a presigned URL allows: this one read.

    Raises:
        Refusal: It was not signed so, or not for now.
    """
    if method not in ("GET", "HEAD"):
        raise Refusal(403, "auth error: a presigned URL is for GET and HEAD")
    kid, timestamp, duration, signature = _parameters(raw_query)
    signer = keys[kid]
    if not timestamp - _LEEWAY <= now <= timestamp + duration:
        raise Refusal(401, "auth error: the presigned URL is not valid at this time")
    text = canonical_request(method, raw_path, raw_query).encode()
    if not signer.signed(signature, text):
        raise Refusal(401, "auth error: the signature of the URL is wrong")
    if Permission.OBJECT_READ not in signer.permissions:
        raise Refusal(403, "auth error: this key may not allow reads")
    return ReadGrant()


def _parameters(raw_query: str) -> tuple[str, datetime, timedelta, bytes]:
    found: dict[str, str] = {}
    for name, text in pairs_of(raw_query):
        if name in (_KID, _TIMESTAMP, _DURATION, SIGNATURE):
            if name in found:
                raise Refusal(400, f"auth error: {name} is given twice")
            found[name] = unquote(text)
    missing = {_KID, _TIMESTAMP, _DURATION} - found.keys()
    if missing:
        raise Refusal(400, f"auth error: {min(missing)} is missing")
    signature = _decoded(found[SIGNATURE])
    return found[_KID], _time(found[_TIMESTAMP]), _length(found[_DURATION]), signature


def _time(text: str) -> datetime:
    if _TIME.fullmatch(text) is not None:
        try:
            return datetime.strptime(text, _FORM).replace(tzinfo=UTC)
        except ValueError:
            pass
    raise Refusal(400, f"auth error: {_TIMESTAMP} is no time like 2030-01-31T10:00:00Z")


def _length(text: str) -> timedelta:
    if _SECONDS.fullmatch(text) is None:
        raise Refusal(400, f"auth error: {_DURATION} is no number of seconds")
    duration = timedelta(seconds=int(text))
    if duration > _LONGEST:
        raise Refusal(400, "auth error: a presigned URL is valid for at most 7 days")
    return duration


def _decoded(text: str) -> bytes:
    """Return a signature, of which each has exactly one text."""
    try:
        signature = base64.b64decode(f"{text}==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    again = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    if len(signature) != _SIGNATURE_SIZE or again != text:
        raise Refusal(401, "auth error: the signature of the URL is wrong")
    return signature
