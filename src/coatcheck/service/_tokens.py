"""Tokens: who signed them, for what, until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import jwt

from ._grants import TokenGrant
from ._refusals import Refusal

if TYPE_CHECKING:
    from ._config import ServiceConfig
    from ._keys import Keyring, Signer

_LEEWAY: Final = 60
_REMEMBERED: Final = 1024
_LONGEST: Final = 8192
_USECASE: Final = "os:usecase"
_AUDIENCE: Final = "objectstore"
_ISSUERS: Final = frozenset({"relay", "sentry"})
# Every claim is looked at below, so that no clock but ours is asked.
_SIGNATURE_ALONE: Final[Any] = {
    "verify_aud": False,
    "verify_exp": False,
    "verify_iat": False,
    "verify_iss": False,
    "verify_jti": False,
    "verify_nbf": False,
    "verify_sub": False,
}


@dataclass(frozen=True, slots=True)
class _Token:
    """A token with a sound signature; times in seconds since 1970."""

    grant: TokenGrant
    since: int
    until: int


class Tokens:
    """Verifies tokens.

    Args:
        keys: Who may sign.
        config: How long tokens may live, and what they open.
    """

    def __init__(self, keys: Keyring, config: ServiceConfig) -> None:
        self._keys = keys
        self._opens_wider = config.compat_scopes
        self._longest = config.max_token_lifetime.total_seconds()
        # A client that asks often sends the same token: its text is the key, so
        # nothing but an equal token is ever found.
        self._read = lru_cache(maxsize=_REMEMBERED)(self._read_once)

    def grant(self, token: str, now: datetime) -> TokenGrant:
        """Return what a token allows.

        Raises:
            Refusal: It is none, or it is not valid now.
        """
        if len(token) > _LONGEST or not token.isascii():
            raise _invalid("the token cannot be read")
        found = self._read(token)
        seconds = now.timestamp()
        if seconds >= found.until + _LEEWAY:
            raise _invalid("the token has expired")
        if found.until > seconds + self._longest + _LEEWAY:
            longest = timedelta(seconds=self._longest)
            raise _invalid(f"the token expires more than {longest} from now")
        if found.since > seconds + _LEEWAY:
            raise _invalid("the token is not valid yet")
        return found.grant

    def _read_once(self, token: str) -> _Token:
        signer = self._signer(token)
        claims = _verified(token, signer)
        audience, issuer = claims.get("aud"), claims.get("iss")
        if audience is not None and _AUDIENCE not in _listed(audience):
            raise _invalid(f"the token is not for {_AUDIENCE!r}")
        if issuer is not None and issuer not in _ISSUERS:
            raise _invalid("the token's issuer is unknown")
        since = max(_time(claims, "nbf", 0), _time(claims, "iat", 0))
        until = _time(claims, "exp")
        return _Token(self._granted(claims, signer), since, until)

    def _signer(self, token: str) -> Signer:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _invalid("the token cannot be read") from None
        if header.get("alg") != "EdDSA":
            raise _invalid("the token is not signed with EdDSA")
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise Refusal(400, "auth error: the token names no key id")
        return self._keys[kid]

    def _granted(self, claims: dict[str, Any], signer: Signer) -> TokenGrant:
        resource, permissions = claims.get("res"), claims.get("permissions")
        if not isinstance(resource, dict) or not isinstance(permissions, list):
            raise _invalid("the token has no resource or no permissions")
        if not all(isinstance(text, str) for text in resource.values()):
            raise _invalid("the token's scopes are no texts")
        if _USECASE not in resource:
            raise _invalid("the token names no usecase")
        return TokenGrant(
            permissions=signer.permissions.intersection(
                each for each in permissions if isinstance(each, str)
            ),
            usecase=resource[_USECASE],
            scopes={name: text for name, text in resource.items() if name != _USECASE},
            opens_wider=self._opens_wider,
        )


def _verified(token: str, signer: Signer) -> dict[str, Any]:
    """Return the claims of a token that one of the signer's keys signed."""
    for key in signer.keys:
        try:
            return jwt.decode(
                token, key, algorithms=["EdDSA"], options=_SIGNATURE_ALONE
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.PyJWTError:
            raise _invalid("the token cannot be read") from None
    raise _invalid("the token's signature is wrong")


def _time(claims: dict[str, Any], name: str, default: int | None = None) -> int:
    seconds = claims.get(name, default)
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise _invalid(f"the token's {name!r} is no number of seconds")
    return seconds


def _listed(audience: object) -> list[object]:
    return audience if isinstance(audience, list) else [audience]


def _invalid(why: str) -> Refusal:
    return Refusal(401, f"auth error: {why}")
