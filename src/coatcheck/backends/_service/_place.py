"""What all verbs of a bucket in a service stand on."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from coatcheck._core.headers import WRITE_ID
from coatcheck._core.names import check_key, shown
from coatcheck._core.scopes import Location
from coatcheck._core.writes import Limits
from coatcheck.abc import Capability
from coatcheck.errors import (
    CoatcheckError,
    InvalidName,
    ObjectNotFound,
    Outcome,
    OutcomeUnknown,
    UnsupportedOperation,
)

from ._failures import BACKEND, Doing
from ._messages import OBJECTS, Request
from ._metadata import check_ours, receipt_of, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from coatcheck.abc import Backend, Credentials, Receipt

    from ._messages import Answer
    from ._wire import Wire

LIMITS: Final = Limits(max_metadata=2048, max_batch=1000, max_batch_body=1024 * 1024)
_ALWAYS: Final = frozenset(
    {
        *(Capability.BATCH, Capability.EXPIRES, Capability.MULTIPART),
        *(Capability.RESUME, Capability.SCAN),
    }
)
_WITH_ETAGS: Final = frozenset(
    {Capability.CREATE, Capability.REPLACE_IF, Capability.DELETE_IF}
)


class ServicePlace:
    """A bucket whose keys are stored keys; the service has no buckets of its own.

    Args:
        name: What errors call it.
        backend: The backend that opened it.
        wire: The connections.
        check_open: Raises Closed when the backend is not open here.
        signer: Signs links.
    """

    def __init__(
        self,
        name: str,
        *,
        backend: Backend,
        wire: Wire,
        check_open: Callable[[], None],
        signer: Credentials | None,
    ) -> None:
        self._name = name
        self._backend = backend
        self.wire = wire
        self._check_open = check_open
        self.signer = signer

    @property
    def name(self) -> str:
        return self._name

    @property
    def backend(self) -> Backend:
        return self._backend

    @property
    def limits(self) -> Limits:
        return LIMITS

    @property
    def capabilities(self) -> frozenset[Capability]:
        found = _ALWAYS
        if self.signer is not None:
            found |= {Capability.SIGN}
        return found | _WITH_ETAGS if self.wire.offers_etags else found

    def now(self) -> datetime:
        """Return the time of this machine's clock, or of the one that was given."""
        return self._backend.now()

    def require(self, capability: Capability, what: str) -> None:
        """Refuse what this service does not offer.

        Raises:
            UnsupportedOperation: It does not, as far as its answers have told.
        """
        if capability not in self.capabilities:
            raise UnsupportedOperation(
                f"the service offers no ETags, so it cannot {what}", backend=BACKEND
            )

    def writable(self, key: str) -> Location:
        """Return where a key that is to be written stands.

        Raises:
            InvalidName: It is not canonical, or in no usecase and scope.
        """
        check_key(key)
        location = Location.parse(key)
        if not location.key:
            raise InvalidName(f"key {shown(key)} names a scope and no object")
        return location

    def readable(self, key: str) -> Location:
        """Return where a key stands.

        Raises:
            ObjectNotFound: No object can stand there.
        """
        try:
            return self.writable(key)
        except InvalidName as error:
            raise ObjectNotFound(
                f"no object {shown(key)}: {error.message}", key=key, backend=BACKEND
            ) from None

    def request(
        self,
        method: str,
        location: Location,
        what: str,
        *,
        writes: bool = False,
        route: str = OBJECTS,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        repeatable: bool = True,
    ) -> Request:
        """Return a request; nothing is sent."""
        key = location.stored_key
        return Request(
            method=method,
            doing=Doing(what=f"{what} {shown(key)}", key=key, writes=writes),
            location=location,
            route=route,
            query=query or {},
            headers=headers or {},
            body=body,
            repeatable=repeatable,
        )

    async def look(self, location: Location) -> Answer:
        """Ask for what is known of an object.

        Raises:
            ObjectNotFound: It is not there.
            CoatcheckError: As the wire tells.
        """
        request = self.request("HEAD", location, "head of")
        answer = await self.wire.exchange(request, HTTPStatus.OK, HTTPStatus.NO_CONTENT)
        check_ours(answer.headers, location.stored_key)
        return answer

    async def made(self, location: Location, write_id: str) -> Receipt | None:
        """Return the receipt of a write if its object stands, else None.

        Raises:
            CoatcheckError: The service cannot be asked.
        """
        try:
            headers = (await self.look(location)).headers
        except ObjectNotFound:
            return None
        if headers.get(WRITE_ID) != write_id:
            return None
        return receipt_of(headers, write_id, size=size_of(headers) or 0)

    async def settled(
        self, failure: CoatcheckError, location: Location, write_id: str
    ) -> Receipt:
        """Return the receipt of a write that failed, if it was done all the same.

        Raises:
            OutcomeUnknown: Nothing can be proven.
            CoatcheckError: The failure itself, when it says that nothing was done.
        """
        if failure.outcome is not Outcome.UNKNOWN:
            raise failure
        try:
            receipt = await self.made(location, write_id)
        except CoatcheckError:
            receipt = None
        if receipt is not None:
            return receipt
        unknown = OutcomeUnknown(
            f"{failure.message}; it cannot be told whether it was done",
            key=location.stored_key,
            backend=BACKEND,
        )

        async def probe() -> Outcome:
            done = await self.made(location, write_id)
            return Outcome.UNKNOWN if done is None else Outcome.APPLIED

        unknown.probe = probe
        raise unknown from failure
