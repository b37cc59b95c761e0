"""Creating and claiming stashes."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, overload

from anyio.lowlevel import checkpoint

from coatcheck._core.address import INLINE, Address, check_stash_name, made_address
from coatcheck._core.digests import (
    DigestAlgorithm,
    algorithm_of,
    digest_of,
    is_digest_of,
)
from coatcheck._core.expiry import deadline_from
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck.errors import IntegrityError, PayloadError
from coatcheck.payloads._compression import compress, decompress, size_in_frame
from coatcheck.payloads._integrity import OFF_LOOP, off_loop
from coatcheck.payloads._msgpack import decode, encode
from coatcheck.payloads._typed import as_type as typed

from ._ground import PLAIN, StashGround
from ._pins import check_pinned, pin_to
from ._places import check_admitted, naming
from ._stash import Stash

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from coatcheck._core.expiry import Expiry
    from coatcheck._core.ranges import ByteRange
    from coatcheck.abc import AtOnce, Held, Reader
    from coatcheck.config import Place
    from coatcheck.wrappers import ExpiringBucket

    from ._budget import Portion

_T = TypeVar("_T")

ZSTD: Final = "zstd"
_TURN: Final = 64
"""So many calls in a row may run before others have their turn."""


class Draft(NamedTuple, Generic[_T]):
    """A payload that was encoded, and where it shall be stored."""

    place: Place
    namespace: str
    name: str
    body: bytes
    decoded: _T
    expires: Expiry | None


class StashStore(StashGround, ABC):
    """The verbs of stashes over buckets that somebody else opens."""

    async def create(
        self,
        name: str,
        data: _T,
        namespace: str = "default",
        *,
        expires: Expiry | None = None,
    ) -> Stash[_T]:
        """Store a payload under its name and content, and return its address.

        Equal payloads under one name have one address and one body, however many
        create them at once; of their expiries the latest deadline holds. Creates of
        equal payload and expiry that are under way at one time make one write. Atomic:
        after a failure or cancellation the stash is whole or absent, and creating
        again is safe. A small payload without `expires` becomes its own address
        (`inline`) and is stored nowhere.

        Args:
            name: 1 to about 990 bytes of text; see the README for what is refused.
            data: None, bool, int, float, str, bytes, aware datetime, and lists,
                tuples and dicts of these; tuples come back as lists.
            namespace: The bucket, or what the configuration maps to one.
            expires: When the stash shall cease to exist; None is never.

        Returns:
            The stash, with the payload as `retrieve` will give it.

        Raises:
            InvalidName: An address could not carry the name or namespace.
            PayloadError: The payload would not come back, or is too large.
            IntegrityError: Other bytes stand under the payload's address.
            UnsupportedBackend: No configured backend can keep it.
            AtCapacity: The storage is full.
            BackendError: The storage failed.
            Closed: Not open here.
        """
        self._check_usable()
        if not next(self._calls) % _TURN:
            await checkpoint()
        draft = self._drafted(name, data, namespace, expires)
        return draft if isinstance(draft, Stash) else await self._kept(draft)

    def _drafted(
        self, name: str, data: _T, namespace: str, expires: Expiry | None
    ) -> Stash[_T] | Draft[_T]:
        """Encode a payload; return its stash when that takes no waiting.

        So it is when it becomes its own address, or is small and kept in memory.
        """
        config = self.config
        check_stash_name(namespace, name, self._digest_length)
        inline = expires is None and INLINE in config.backends
        place = None if inline else self._places.of_new(namespace)
        body, decoded = encode(data, max_bytes=config.max_payload_bytes)
        if inline and base64_length(body) <= config.max_inline_len:
            config.place(namespace)
            address = made_address(INLINE, namespace, name, None, body)
            return self._stash(address, decoded, body, None)
        place = place or self._places.of_new(namespace)
        draft = Draft(place, namespace, name, body, decoded, expires)
        at_once = self._at_once.get(place)
        if at_once is None or config.compression == ZSTD or len(body) > OFF_LOOP:
            return draft
        return self._kept_at_once(at_once, draft)

    def _kept_at_once(self, at_once: AtOnce, draft: Draft[_T]) -> Stash[_T] | Draft[_T]:
        """Store what was encoded, if nothing is in its way."""
        place, namespace, name, body, decoded, expires = draft
        digest = digest_of(body, self._algorithm)
        info = PLAIN if expires is None else _info(expires, at_once.now(), {})
        held = at_once.create(f"{name}.{digest}", body, info=info)
        if held is None:
            return draft
        address = made_address(place.scheme, namespace, name, digest)
        return self._stash(address, decoded, body, held.info, held.created)

    async def _kept(self, draft: Draft[_T]) -> Stash[_T]:
        """Store what was encoded."""
        place, namespace, name, body, decoded, expires = draft
        digest = await _digest(body, self._algorithm)
        address = made_address(place.scheme, namespace, name, digest)
        with naming(address):
            bucket = await self._bucket(place)
            if bucket.is_immediate:
                standing = await self._put(bucket, address, body, expires)
            else:
                standing = await self._traffic.put(
                    place,
                    bucket,
                    address.key,
                    expires,
                    lambda: self._put(bucket, address, body, expires),
                )
        return self._stash(address, decoded, body, standing, standing.created)

    async def _put(
        self,
        bucket: ExpiringBucket,
        address: Address,
        body: bytes,
        expires: Expiry | None,
    ) -> PutInfo | ObjectInfo:
        """Store the body under its key, or prove that it stands there already."""
        stored = body
        known: dict[str, str] = {self.config.digest: address.digest or ""}
        if self.config.compression == ZSTD:
            stored, known = await off_loop(compress, body), {"encoding": ZSTD}
        info = _info(expires, bucket.backend.now(), known)
        receipt, standing = await bucket.put_later(address.key, stored, info=info)
        if receipt is None and not _is_known(standing, info):
            # Somebody stored under this address before; it must be this payload.
            await self._read_payload(bucket.get(address.key), address)
        return standing

    @overload
    async def retrieve(
        self, address: str | Address, *, as_type: None = None
    ) -> Stash[Any]: ...
    @overload
    async def retrieve(
        self, address: str | Address, *, as_type: type[_T]
    ) -> Stash[_T]: ...
    async def retrieve(
        self, address: str | Address, *, as_type: type[_T] | None = None
    ) -> Stash[Any]:
        """Claim a payload.

        The bytes are held against the digest in the address before anything is
        returned. Reading renews a TimeToIdle. Retrieves of one address that are under
        way at one time make one read. With `Config.cache_bytes` a stash that was read
        before is served from memory, for at most `cache_ttl`.

        Args:
            address: What `create` returned, or its text.
            as_type: Validate the payload into this type with pydantic.

        Returns:
            The stash. A streamed stash's payload is its bytes.

        Raises:
            InvalidAddress: The text is not an address.
            UnsupportedBackend: The address's backend is not configured.
            StashNotFound: Never created, deleted, or expired.
            IntegrityError: The stored bytes are not those of the address.
            PayloadError: Too large to hold (use `open`), no payload at all, or not
                of `as_type`.
            BackendError: The storage failed.
            Closed: Not open here.
        """
        self._check_usable()
        if not next(self._calls) % _TURN:
            await checkpoint()
        found = address if isinstance(address, Address) else Address.parse(address)
        if found.data is not None:
            check_admitted(self.config, found)
            return self._opened(found, found.data, None, None, as_type)
        held = self._at_hand(found)
        if held is not None:
            return self._opened(found, held.body, held.info, held.created, as_type)
        body, info = await self._claim(found)
        return self._opened(found, body, info, info.created, as_type)

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
    ) -> tuple[bytes, ObjectInfo]:
        """Read a stash's whole body, or take what an equal call brings.

        Raises:
            NoRoom: The portion is too small, and cannot grow.
        """
        with naming(address):
            if address.url is not None:
                check_admitted(self.config, address)
                return await self._traffic.get_link(
                    await self._links(), address, lambda: self._read(address, portion)
                )
            place = self._places.of_address(address)
            bucket = await self._bucket(place)
            if bucket.is_immediate:
                return await self._read_payload(bucket.get(address.key), address)
            return await self._traffic.get(
                place, bucket, address, lambda: self._read(address, portion)
            )

    async def _read(
        self, address: Address, portion: Portion | None
    ) -> tuple[bytes, ObjectInfo]:
        return await self._read_payload(await self._reading(address), address, portion)

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
        if await _digest(body, algorithm) != address.digest:
            raise IntegrityError(
                f"the bytes at {address.redacted!r} do not match its digest; they were"
                " damaged or replaced"
            )
        return body, info


def _info(expires: Expiry | None, now: datetime, known: Mapping[str, Any]) -> PutInfo:
    """Return the metadata of a payload that is stored now, with what else is known."""
    return PutInfo(
        content_type=PLAIN.content_type,
        pinned=True,
        expiry=expires,
        deadline=deadline_from(expires, now),
        created=now,
        **known,
    )


def _is_known(standing: PutInfo | ObjectInfo, info: PutInfo) -> bool:
    """Tell whether an ETag proves what stands: S3's is the MD5 of what it holds."""
    return isinstance(standing, ObjectInfo) and standing.etag == info.md5


def base64_length(body: bytes) -> int:
    """Return how many characters the body has in base64, without encoding it."""
    return -(-len(body) // 3) * 4


async def _digest(body: bytes, algorithm: DigestAlgorithm) -> str:
    return await off_loop(lambda whole: digest_of(whole, algorithm), body)
