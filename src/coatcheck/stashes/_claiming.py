"""Reading stashes whole, and holding them against their addresses."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any, Final

from coatcheck._core.digests import (
    DigestAlgorithm,
    algorithm_of,
    digest_of,
    is_digest_of,
)
from coatcheck.errors import IntegrityError, PayloadError
from coatcheck.payloads._compression import decompress, size_in_frame
from coatcheck.payloads._integrity import OFF_LOOP, off_loop
from coatcheck.payloads._msgpack import decode
from coatcheck.payloads._typed import as_type as typed

from ._ground import StashGround
from ._pins import VerifiedBody, check_pinned, pin_to
from ._places import check_admitted, naming

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from coatcheck._core.address import Address
    from coatcheck._core.objects import ObjectInfo, PutInfo
    from coatcheck._core.ranges import ByteRange
    from coatcheck.abc import Held, Reader
    from coatcheck.wrappers import ExpiringBucket

    from ._budget import Portion
    from ._stash import Stash

ZSTD: Final = "zstd"


class StashClaims(StashGround, ABC):
    """What claims stashes; the verbs are built on it."""

    def _opened(
        self,
        address: Address,
        body: bytes,
        info: PutInfo | ObjectInfo | None,
        created: datetime | None,
        as_type: type[Any] | None,
    ) -> Stash[Any]:
        """Decode a claimed body; every caller gets objects of its own."""
        data: Any = body
        if address.sha256 is None:
            data = decode(body, max_bytes=self.config.max_payload_bytes)
        if as_type is not None:
            data = typed(data, as_type)
        return self._stash(address, data, body, info, created)

    def _at_hand(self, address: Address) -> Held | None:
        """Return what is in memory, small, stored as it is, and of the right digest.

        None for everything else: how that is read, or what is wrong with it, shows
        when it is read.
        """
        place = self._places.known(address)
        at_once = None if place is None else self._at_once.get(place)
        if at_once is None:
            return None
        digest = address.digest or ""
        held = at_once.read(f"{address.name}.{digest}")
        if held is None or held.info.encoding or held.info.codec:
            return None
        body = held.body
        if len(body) > OFF_LOOP or len(body) > self.config.max_payload_bytes:
            return None
        return held if is_digest_of(digest, body) else None

    async def _claim(
        self, address: Address, portion: Portion | None = None
    ) -> VerifiedBody:
        """Read a stash's whole body, or take what an equal call brings.

        Raises:
            NoRoom: The portion is too small, and cannot grow.
        """
        with naming(address):
            if address.url is not None:
                return await self._traffic.get_link(
                    await self._links(),
                    address,
                    lambda: self._read_plainly(address, portion),
                )
            place = self._places.of_address(address)
            bucket = await self._bucket(place)
            if bucket.is_immediate:
                return await self._read_plainly(address, portion)
            return await self._traffic.get(
                place, bucket, address, lambda: self._read(bucket, address, portion)
            )

    async def _read(
        self, bucket: ExpiringBucket, address: Address, portion: Portion | None = None
    ) -> VerifiedBody:
        """Read a stored stash, in one step if that is enough."""
        small = await self._read_in_one_step(bucket, address)
        if small is None:
            return await self._read_plainly(address, portion)
        if portion is not None:
            portion.fit(len(small.body))
        return small

    async def _read_in_one_step(
        self, bucket: ExpiringBucket, address: Address
    ) -> VerifiedBody | None:
        """Read a small stash that is stored as it is; None for all others."""
        steps, digest, config = bucket.in_one_step, address.digest, self.config
        if steps is None or digest is None or address.streamed:
            return None
        if config.compression == ZSTD:
            return None
        held = await steps.read(address.key, digest)
        if held is None or held.info.encoding or held.info.codec:
            return None
        if len(held.body) > config.max_payload_bytes:
            return None
        return VerifiedBody(held.body, held.info, held.created)

    async def _read_plainly(
        self, address: Address, portion: Portion | None
    ) -> VerifiedBody:
        reading = await self._reading(address)
        body, info = await self._read_payload(reading, address, portion)
        return VerifiedBody(body, info, info.created)

    async def _reading(
        self, address: Address, byte_range: ByteRange | None = None
    ) -> AbstractAsyncContextManager[Reader]:
        """Return a read of the object behind an address, not yet entered.

        Raises:
            UnsupportedBackend: The address's backend is not configured.
            InvalidAddress: The namespaces are mapped, and not to there.
        """
        if address.url is not None:
            check_admitted(self.config, address)
            links = await self._links()
            return links.get(address.url.partition("#")[0], byte_range=byte_range)
        bucket = await self._bucket(self._places.of_address(address))
        return bucket.get(address.key, byte_range=byte_range)

    async def _read_payload(
        self,
        reading: AbstractAsyncContextManager[Reader],
        address: Address,
        portion: Portion | None = None,
    ) -> tuple[bytes, ObjectInfo]:
        """Read a stash's whole body and hold it against its address.

        Raises:
            NoRoom: The portion cannot hold it.
        """
        limit = self.config.max_payload_bytes
        async with reading as reader:
            info = reader.info
            check_pinned(address, info)
            if info.size > limit:
                raise PayloadError(
                    f"the stash has {info.size} bytes and max_payload_bytes is {limit};"
                    " use open()"
                )
            if info.encoding != ZSTD:
                if portion is not None:
                    portion.fit(info.size)
                pin_to(reader, address)
                return await reader.read(), info
            if portion is not None:
                # Not less than before: the decompressed size was the reason for it.
                portion.grow(info.size)
            stored = await reader.read()
        if portion is not None:
            portion.fit(len(stored) + size_in_frame(stored, unknown=limit))
        body = await off_loop(lambda raw: decompress(raw, max_bytes=limit), stored)
        algorithm = algorithm_of(address.digest or "")
        if await stash_digest(body, algorithm) != address.digest:
            raise IntegrityError(
                f"the bytes at {address.redacted!r} do not match its digest; they were"
                " damaged or replaced"
            )
        return body, info


async def stash_digest(body: bytes, algorithm: DigestAlgorithm) -> str:
    """Return the digest of a payload, in a thread when it is large."""
    return await off_loop(lambda whole: digest_of(whole, algorithm), body)
