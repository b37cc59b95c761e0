"""A request that was admitted: what it is about, and what it may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._bodies import RequestBody
from ._metadata import written_metadata
from ._targets import Kind, parse_target

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from coatcheck.abc import PutInfo
    from coatcheck.wrappers import ExpiringBucket

    from ._exchange import Exchange
    from ._grants import Grant
    from ._service import Service
    from ._targets import Target


class Call:
    """A request, its target, and its grant.

    Args:
        service: The service.
        exchange: The request.
        target: What it is about.
        grant: What it may do.
    """

    def __init__(
        self, service: Service, exchange: Exchange, target: Target, grant: Grant
    ) -> None:
        self.service = service
        self.exchange = exchange
        self.target = target
        self._grant = grant

    @property
    def bucket(self) -> ExpiringBucket:
        """Where the objects are."""
        return self.service.bucket

    @property
    def stored_key(self) -> str:
        """The key of the target in the bucket."""
        return self.target.location.stored_key

    def allow(self, permission: str) -> None:
        """Refuse the request unless it may do this to its target.

        Raises:
            Refusal: It may not.
        """
        self._grant.check(permission, self.target)

    def one_of(self, key: str) -> Call:
        """Return a call for one key of the target, with the same grant.

        Raises:
            InvalidName: The key is none.
        """
        target = self.target.named(key)
        _ = target.location.stored_key
        return Call(self.service, self.exchange, target, self._grant)

    def slot(self, *, bulk: bool = False) -> AbstractAsyncContextManager[None]:
        """Return a context that holds one of the slots of the storage."""
        return self.service.slots.one(bulk=bulk)

    def body(self, *, most: int | None) -> RequestBody:
        """Return the body of the request.

        Args:
            most: The most bytes it may have; None is without a bound.

        Raises:
            Refusal: It is announced to be longer.
        """
        return RequestBody(
            self.exchange,
            pause=self.service.config.body_timeout,
            most=most,
            count=self.count_received,
        )

    def new_info(self) -> PutInfo:
        """Return the metadata of the object that the request begins.

        Raises:
            InvalidInput: A header is malformed.
            Refusal: The usecase has no such objects.
        """
        info = written_metadata(self.exchange, self.bucket.now())
        self.service.policies.check_expiry(self.target, info.expiry)
        return info

    def most_bytes(self) -> int | None:
        """Return the most bytes that an object may have here."""
        return self.service.policies.most_bytes(self.target)

    def count_received(self, size: int) -> None:
        """Count bytes that came."""
        self.service.metrics.received(size)
        self.service.rates.count_bytes(size)

    def count_sent(self, size: int) -> None:
        """Count bytes that went."""
        self.service.metrics.sent(size)
        self.service.rates.count_bytes(size)


def admit(service: Service, exchange: Exchange, path: bytes, kind: Kind) -> Call:
    """Admit a request, in the order of checks that objectstore has.

    Args:
        service: The service.
        exchange: The request.
        path: Its undecoded path below the service's root.
        kind: The kind of route that it is of.

    Raises:
        Refusal: Its credentials are not valid, or it is over a limit.
        InvalidName: Its path is malformed.
    """
    grant = service.auth.grant(exchange, service.bucket.now())
    target = parse_target(path, kind)
    service.policies.check_on(target, exchange.header("x-downstream-service"))
    if kind is not Kind.BATCH:
        # Each operation of a batch is counted by itself.
        service.rates.admit(target)
    return Call(service, exchange, target, grant)
