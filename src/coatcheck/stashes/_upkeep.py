"""What is done to stashes that stand: looking, touching, deleting, sharing."""

from __future__ import annotations

from abc import ABC
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from coatcheck._core.address import INLINE, LINK, Address
from coatcheck.abc import Capability, SignGet, require
from coatcheck.errors import (
    BucketNotFound,
    InvalidInput,
    ObjectNotFound,
    UnsupportedOperation,
)

from ._places import check_admitted, naming, parsed, place_of_address, refuse_unstored
from ._store import StashStore

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from coatcheck.wrappers import ExpiringBucket


class StashUpkeep(StashStore, ABC):
    """The verbs of single stashes that were created before."""

    async def exists(self, address: str | Address) -> bool:
        """Tell whether a stash can be claimed; an inline one always can.

        Raises:
            InvalidAddress: The text is not an address.
            UnsupportedBackend: The address's backend is not configured.
            BackendError: The storage failed.
            Closed: Not open here.
        """
        self._check_usable()
        found = parsed(address)
        if found.scheme == INLINE:
            check_admitted(self.config, found)
            return True
        try:
            if found.url is not None:
                async with await self._reading(found):
                    return True
            place = place_of_address(self.config, found)
            await (await self._bucket(place)).head(found.key)
        except (ObjectNotFound, BucketNotFound):
            if found.url is None:
                self._forget(found)
            return False
        return True

    async def touch(self, address: str | Address) -> datetime | None:
        """Renew a stash's TimeToIdle from now on.

        Atomic against a reap: either the stash lives on, or it is not found.

        Returns:
            The new deadline, None when the stash never expires.

        Raises:
            ExpiryNotExtendable: The stash has a TimeToLive.
            StashNotFound: Never created, deleted, or expired.
            UnsupportedOperation: The stash is inline.
            InvalidAddress: The text is not an address.
            BackendError: The storage failed.
            Closed: Not open here.
        """
        found, bucket = await self._stored(address, "touch")
        with naming(found), self._changing(found):
            return await bucket.touch(found.key)

    async def delete(self, address: str | Address) -> None:
        """Delete a stash; one that is absent or expired is success.

        Raises:
            UnsupportedOperation: The stash is inline.
            InvalidAddress: The text is not an address.
            BackendError: The storage failed.
            Closed: Not open here.
        """
        found, bucket = await self._stored(address, "delete")
        with naming(found), self._changing(found):
            await bucket.delete(found.key)

    async def share(
        self, address: str | Address, *, ttl_sec: int | None = None
    ) -> Address:
        """Make a link that opens a stash without credentials, and never outlives it.

        Args:
            address: The stash.
            ttl_sec: Seconds that the link works; None is the configured time.

        Returns:
            The link as an address; `str()` of it is the URL.

        Raises:
            UnsupportedOperation: The stash's backend makes no links, and none are
                configured for it (`Config.public_url`, `Config.signing_key`).
            StashNotFound: Never created, deleted, or expired.
            InvalidInput: The time is under a second or beyond a week.
            BackendError: The storage failed.
            Closed: Not open here.
        """
        seconds = self.config.share_ttl_sec if ttl_sec is None else ttl_sec
        if seconds < 1:
            raise InvalidInput(f"a link works for at least a second, not {seconds}")
        found, bucket = await self._stored(address, "share")
        with naming(found):
            self._check_shareable(found, bucket)
            signer = require(bucket, Capability.SIGN)
            signed = await signer.sign(
                SignGet(), found.key, expires_in=timedelta(seconds=seconds)
            )
        url = signed.url
        if found.streamed:
            url += f"#sha256={found.sha256}&size={found.size}"
        return replace(found, scheme=LINK, url=url)

    def _check_shareable(self, address: Address, bucket: ExpiringBucket) -> None:
        """Say what to set where links need a service, and none is configured."""
        if Capability.SIGN in bucket.capabilities:
            return
        config = self.config
        fields = {"public_url": config.public_url, "signing_key": config.signing_key}
        missing = [f"Config.{name}" for name, given in fields.items() if given is None]
        raise UnsupportedOperation(
            f"cannot share {address.redacted!r}: {address.scheme!r} makes no links of"
            f" its own; set {' and '.join(missing)}, and let coatcheck.service answer"
            " links at the public URL",
            address=address.redacted,
            backend=address.scheme,
        )

    @contextmanager
    def _changing(self, address: Address) -> Generator[None]:
        """Count on nothing from before, whether the change succeeds or not."""
        try:
            yield
        finally:
            self._forget(address)

    def _forget(self, address: Address) -> None:
        self._traffic.forget(place_of_address(self.config, address), address)

    async def _stored(
        self, address: str | Address, doing: str
    ) -> tuple[Address, ExpiringBucket]:
        """Return a stored stash's address and its bucket."""
        self._check_usable()
        found = parsed(address)
        check_admitted(self.config, found)
        refuse_unstored(found, doing)
        return found, await self._bucket(place_of_address(self.config, found))
