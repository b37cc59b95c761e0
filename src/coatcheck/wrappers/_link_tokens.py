"""Tokens of links: what a link allows, signed so that nobody can alter it."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from coatcheck._core.signing import LinkGrant
from coatcheck.errors import AccessDenied, InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST_KEY: Final = 16
"""Bytes that a signing key has at least."""
_TOKEN: Final = re.compile(r"\.?[A-Za-z0-9_-]{1,8192}\.[A-Za-z0-9_-]{43}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# The grant's fields that may be left out, by their names in a token.
_OPTIONAL: Final = {
    "type": "content_type",
    "disposition": "content_disposition",
    "max_size": "max_size",
}


class LinkSigner:
    """Makes the tokens of links, and reads them again.

    Args:
        key: What tokens are signed with: at least 16 bytes, better 32 random ones.
        retired: Keys that tokens were signed with before; they are still read.

    Raises:
        InvalidConfig: A key is too short.
    """

    def __init__(
        self, key: str | bytes, *, retired: Iterable[str | bytes] = ()
    ) -> None:
        keys = [_bytes_of(each) for each in (*retired, key)]
        # The last one signs; each has a key of its own derived for this purpose.
        self._serializer = URLSafeSerializer(
            keys,
            salt=b"coatcheck.links",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def sign(self, grant: LinkGrant) -> str:
        """Return the token of a grant, of letters, digits and `_.-`."""
        fields: dict[str, str | int] = {
            "method": grant.method,
            "backend": grant.backend,
            "bucket": grant.bucket,
            "key": grant.key,
            "exp": (grant.expires_at - _EPOCH) // _MICROSECOND,
        }
        for name, field in _OPTIONAL.items():
            if getattr(grant, field) is not None:
                fields[name] = getattr(grant, field)
        return self._serializer.dumps(fields)

    def read(self, token: str) -> LinkGrant:
        """Return the grant of a token, expired or not.

        Raises:
            AccessDenied: It is no token that was signed with one of the keys, to the
                character.
        """
        try:
            if _TOKEN.fullmatch(token) is None:
                raise _refusal()
            # Of base64 many spellings mean the same bytes; only one was signed.
            signature = token.rpartition(".")[2]
            if base64_encode(base64_decode(signature)).decode() != signature:
                raise _refusal()
            fields = self._serializer.loads(token)
        except BadData:
            raise _refusal() from None
        return LinkGrant(
            method=fields["method"],
            backend=fields["backend"],
            bucket=fields["bucket"],
            key=fields["key"],
            expires_at=_EPOCH + fields["exp"] * _MICROSECOND,
            **{field: fields.get(name) for name, field in _OPTIONAL.items()},
        )


def _bytes_of(key: str | bytes) -> bytes:
    key = key.encode() if isinstance(key, str) else key
    if len(key) < LEAST_KEY:
        raise InvalidConfig(
            f"a signing key for links has at least {LEAST_KEY} bytes, this one has"
            f" {len(key)}; make one with python -c 'import secrets;"
            " print(secrets.token_urlsafe())'"
        )
    return key


def _refusal() -> AccessDenied:
    return AccessDenied(
        "the link is not as it was signed, or was signed with another key"
    )
