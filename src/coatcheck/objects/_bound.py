"""What every verb of a session stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck._core.scopes import Location
from coatcheck.errors import InvalidName

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from coatcheck._core.scopes import Scope
    from coatcheck.wrappers import AnyBucket

    from ._client import Client
    from ._telemetry import Operation
    from ._usecase import Usecase


class BoundSession:
    """A client, a usecase and a scope.

    Args:
        client: The client.
        usecase: The usecase.
        scope: The scope.
    """

    def __init__(self, client: Client, usecase: Usecase, scope: Scope) -> None:
        self._client = client
        self._usecase = usecase
        self._scope = scope
        self._prefix = Location(usecase.name, scope, "").stored_key

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._usecase.name}, {self._scope})"

    @property
    def usecase(self) -> Usecase:
        """The usecase."""
        return self._usecase

    @property
    def scope(self) -> Scope:
        """The scope."""
        return self._scope

    @property
    def _bucket(self) -> AnyBucket:
        """The bucket, of an open client."""
        return self._client.bucket

    def _now(self) -> datetime:
        return self._bucket.backend.now()

    def _stored(self, key: str) -> str:
        """Return the key under which an object stands in the bucket.

        Raises:
            InvalidName: The key is empty or not canonical.
        """
        if not key:
            raise InvalidName("key is empty")
        return Location(self._usecase.name, self._scope, key).stored_key

    def _told(
        self, operation: str, *, metered: bool = True, **attributes: object
    ) -> AbstractContextManager[Operation]:
        """Tell of an operation of this session."""
        return self._client.telemetry.operation(
            operation, self._usecase.name, self._scope, metered=metered, **attributes
        )
