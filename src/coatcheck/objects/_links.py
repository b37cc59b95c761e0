"""URLs of objects, and tokens for those who fetch them."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from coatcheck._core.permissions import Permission
from coatcheck._core.scopes import Location
from coatcheck._core.wire import object_path
from coatcheck.abc import Capability, SignGet, require
from coatcheck.errors import InvalidConfig, InvalidInput, UnsupportedOperation

from ._bound import BoundSession

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coatcheck.abc import Credentials

_READS: Final = ("GET", "HEAD")


class SessionLinks(BoundSession):
    """The verbs that let others reach objects."""

    def object_url(self, key: str, *, token_validity: timedelta | None = None) -> str:
        """Return the URL of an object in the service.

        Args:
            key: The key.
            token_validity: Put a token into the URL that may read the session's
                objects for so long. Whoever sees the URL has it, and URLs end up in
                logs: rather use `presigned_object_url`, which opens one object.

        Raises:
            UnsupportedOperation: The client is over a bucket and no service.
            InvalidConfig: A token is asked for, and the client has no SecretKey.
            InvalidName: The key is not canonical.
        """
        url = self._client.service_url
        if url is None:
            raise UnsupportedOperation(
                "only objects of a service have URLs; over a bucket that can sign,"
                " use presigned_object_url"
            )
        self._stored(key)
        location = Location(self._usecase.name, self._scope, key)
        url += object_path(location)
        if token_validity is None:
            return url
        token = self.mint_token(
            [Permission.OBJECT_READ], math.ceil(token_validity.total_seconds())
        )
        return f"{url}?os_auth={quote(token, safe='')}"

    async def presigned_object_url(
        self, method: str, key: str, duration: timedelta = timedelta(hours=1)
    ) -> str:
        """Return a URL that reads one object without credentials for a time.

        Args:
            method: `GET` or `HEAD`; in a service each of them allows both.
            key: The key.
            duration: How long it works, at most 7 days.

        Raises:
            UnsupportedOperation: The storage makes no links.
            ObjectNotFound: Over a bucket: there is no such object.
            InvalidInput: Another method, or too long a time.
            InvalidConfig: Over a service: the client has no SecretKey.
            InvalidName: The key is not canonical.
            BackendError: The storage failed.
            Closed: The client is not open.
        """
        if method not in _READS:
            raise InvalidInput(f"only GET and HEAD are presigned, not {method!r:.20}")
        if self._client.service_url is not None:
            self._credentials()
        elif method == "HEAD":
            raise UnsupportedOperation("a bucket's links are for GET alone")
        stored, signer = self._stored(key), require(self._bucket, Capability.SIGN)
        with self._told("presign", metered=False, key=key, method=method):
            signed = await signer.sign(SignGet(), stored, expires_in=duration)
        return signed.url

    def mint_token(
        self,
        permissions: Sequence[Permission] | None = None,
        expiry_seconds: int | None = None,
    ) -> str:
        """Return a token for this usecase and scope, to hand to somebody else.

        Args:
            permissions: What it allows; None is all that the client's key may.
            expiry_seconds: How long it is good; None is the key's own time.

        Raises:
            InvalidConfig: The client has no SecretKey.
            InvalidInput: The key may not all of that, or the time is not positive.
        """
        with self._told("mint_token", metered=False, expiry_seconds=expiry_seconds):
            return self._credentials().token_for_scope(
                self._usecase.name, self._scope, permissions, expiry_seconds
            )

    def _credentials(self) -> Credentials:
        token = self._client.token
        if token is None or isinstance(token, str):
            raise InvalidConfig(
                "no secret key is configured; give Client(token=SecretKey(...))"
            )
        return token
