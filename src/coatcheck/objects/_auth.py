"""Keys that sign tokens and links for a service."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from coatcheck._core.expiry import utc_now
from coatcheck._core.permissions import Permission
from coatcheck._core.scopes import check_usecase
from coatcheck.errors import InvalidConfig, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coatcheck._core.scopes import Scope
    from coatcheck.abc import Credentials

_EXTRA = (
    "signing tokens needs pyjwt and cryptography; install them with"
    " pip install 'coatcheck[service]'"
)


_MOST_ISSUED: Final = 1024


class _Issued(NamedTuple):
    token: str
    at: datetime
    until: datetime


class SecretKey:
    """An Ed25519 key that a service trusts; needs the extra `coatcheck[service]`.

    Args:
        kid: The name under which the service knows the key.
        secret_key: The private key as PEM text.
        expiry_seconds: How long tokens are good.
        permissions: The most that its tokens may allow; None is everything.
        clock: Tells the time that tokens go by.

    Raises:
        InvalidInput: The name is empty, or the time is not positive.
    """

    __slots__ = (
        "_clock",
        "_issued",
        "_key",
        "_kid",
        "_pem",
        "expiry_seconds",
        "permissions",
    )

    def __init__(
        self,
        kid: str,
        secret_key: str,
        expiry_seconds: int = 60,
        permissions: Sequence[Permission] | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        if not kid:
            raise InvalidInput("a key has a name, its kid")
        self._kid = kid
        self._pem = secret_key
        self._key: Any = None
        self._clock = clock
        self._issued: dict[tuple[str, Scope], _Issued] = {}
        self.expiry_seconds = _checked_seconds(expiry_seconds)
        self.permissions = (
            Permission.max()
            if permissions is None
            else [Permission(each) for each in permissions]
        )

    def __repr__(self) -> str:
        return f"SecretKey(kid={self._kid!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretKey is not pickled; make it where it is needed")

    @property
    def kid(self) -> str:
        """The name under which the service knows the key."""
        return self._kid

    def token_for_scope(
        self,
        usecase: str,
        scope: Scope,
        permissions: Sequence[Permission] | None = None,
        expiry_seconds: int | None = None,
    ) -> str:
        """Return a JWT for one usecase and scope.

        Args:
            usecase: The usecase's name.
            scope: The scope.
            permissions: What it allows; None is all that this key may.
            expiry_seconds: How long it is good; None is the key's own time.

        Raises:
            InvalidInput: The key may not all of that, or the time is not positive.
            InvalidConfig: The key is no Ed25519 key, or the extra is missing.
        """
        check_usecase(usecase)
        allowed = self.permissions if permissions is None else list(permissions)
        if not set(allowed) <= set(self.permissions):
            raise InvalidInput(f"key {self._kid!r} may not sign all of {allowed}")
        seconds = self.expiry_seconds if expiry_seconds is None else expiry_seconds
        expires = self._clock() + timedelta(seconds=_checked_seconds(seconds))
        claims = {
            "res": {"os:usecase": usecase, **dict(scope.pairs)},
            "permissions": [str(each) for each in allowed],
            "exp": int(expires.timestamp()),
        }
        try:
            import jwt
        except ImportError as error:
            raise InvalidConfig(_EXTRA) from error
        headers = {"kid": self._kid}
        return jwt.encode(claims, self._loaded(), algorithm="EdDSA", headers=headers)

    def request_token(self, usecase: str, scope: Scope) -> str:
        """Return a token for a request that is sent now.

        It is signed anew when half of its time is over; the other half is left for
        the request, and for clocks that differ.

        Raises:
            InvalidConfig: The key is no Ed25519 key, or the extra is missing.
        """
        now = self._clock()
        issued = self._issued.get((usecase, scope))
        if issued is None or not issued.at <= now < issued.until:
            half = timedelta(seconds=self.expiry_seconds) / 2
            token = self.token_for_scope(usecase, scope)
            issued = _Issued(token, now, now + half)
            self._issued.pop((usecase, scope), None)
            self._issued[usecase, scope] = issued
            if len(self._issued) > _MOST_ISSUED:
                del self._issued[next(iter(self._issued))]
        return issued.token

    def signature_for_canonical_form(self, canonical_form: str) -> str:
        """Return the signature of a text in base64url without padding.

        Raises:
            InvalidConfig: The key is no Ed25519 key, or the extra is missing.
        """
        signature: bytes = self._loaded().sign(canonical_form.encode())
        return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()

    def _loaded(self) -> Any:
        """Return the key; it is read once."""
        if self._key is None:
            self._key = self._load()
        return self._key

    def _load(self) -> Any:
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import (
                Ed25519PrivateKey,
            )
            from cryptography.hazmat.primitives.serialization import (
                load_pem_private_key,
            )
        except ImportError as error:
            raise InvalidConfig(_EXTRA) from error
        try:
            key = load_pem_private_key(self._pem.encode(), password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            # What was read stays out of the error and of its cause.
            raise InvalidConfig(f"key {self._kid!r} is no Ed25519 private key in PEM")
        return key


def _checked_seconds(seconds: int) -> int:
    if type(seconds) is not int or seconds < 1:
        raise InvalidInput(f"a token is good for a second or more, not {seconds!r}")
    return seconds


if TYPE_CHECKING:
    _conforms: type[Credentials] = SecretKey
