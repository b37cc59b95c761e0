"""Creating, claiming and keeping stashes."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    NamedTuple,
    TypeVar,
    cast,
    overload,
)

from anyio import to_thread

from coatcheck._core.address import INLINE, Address, check_stash_name
from coatcheck._core.digests import DigestAlgorithm, algorithm_of, digest_of
from coatcheck._core.expiry import deadline_from
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck.errors import (
    IntegrityError,
    PayloadError,
)
from coatcheck.payloads._compression import compress, decompress, size_in_frame
from coatcheck.payloads._integrity import OFF_LOOP
from coatcheck.payloads._msgpack import decode, encode
from coatcheck.payloads._typed import as_type as typed

from ._pins import check_pinned, pin_to
from ._places import (
    check_admitted,
    naming,
    parsed,
    place_of_address,
    place_of_new,
)
from ._stash import Stash

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from coatcheck._core.expiry import Expiry
    from coatcheck._core.ranges import ByteRange
    from coatcheck.abc import Bucket, Reader
    from coatcheck.config import Config, Place
    from coatcheck.payloads._msgpack import Encoded
    from coatcheck.wrappers import ExpiringBucket

    from ._budget import Portion
    from ._stash import StashOwner
    from ._traffic import Traffic

_T = TypeVar("_T")

MSGPACK_TYPE: Final = "application/msgpack"
ZSTD: Final = "zstd"


class Draft(NamedTuple, Generic[_T]):
    """A payload that was encoded, and where it shall be stored."""

    place: Place
    namespace: str
    name: str
    encoded: Encoded[_T]
    expires: Expiry | None


class StashStore(ABC):
    """The verbs of stashes over buckets that somebody else opens."""

    _traffic: Traffic
    """What is under way, and what is kept; who composes sets it."""

    @property
    @abstractmethod
    def config(self) -> Config:
        """The configuration."""

    @abstractmethod
    async def _bucket(self, place: Place) -> ExpiringBucket:
        """Return the bucket of a place, open.

        Raises:
            UnsupportedBackend: The place's backend cannot be opened here.
        """

    @abstractmethod
    async def _links(self) -> Bucket:
        """Return the bucket in which share links are keys, open."""

    @abstractmethod
    def _check_usable(self) -> None:
        """Raise Closed when the store is not open here."""

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
        draft = self._drafted(name, data, namespace, expires)
        return draft if isinstance(draft, Stash) else await self._kept(draft)

    def _drafted(
        self, name: str, data: _T, namespace: str, expires: Expiry | None
    ) -> Stash[_T] | Draft[_T]:
        """Encode a payload; return its stash at once when it becomes its address."""
        config = self.config
        algorithm = DigestAlgorithm(config.digest)
        check_stash_name(namespace, name, algorithm.hex_length)
        place = None if self._is_inline(expires) else place_of_new(config, namespace)
        encoded = encode(data, max_bytes=config.max_payload_bytes)
        body = encoded.body
        if place is None and base64_length(body) <= config.max_inline_len:
            config.place(namespace)
            address = Address(scheme=INLINE, namespace=namespace, name=name, data=body)
            return self._stash(address, encoded.data, body, algorithm)
        place = place or place_of_new(config, namespace)
        return Draft(place, namespace, name, encoded, expires)

    async def _kept(self, draft: Draft[_T]) -> Stash[_T]:
        """Store what was encoded."""
        place, namespace, name, encoded, expires = draft
        body, algorithm = encoded.body, DigestAlgorithm(self.config.digest)
        digest = await _digest(body, algorithm)
        address = Address(
            scheme=place.scheme, namespace=namespace, name=name, digest=digest
        )
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
        return self._stash(address, encoded.data, body, algorithm, standing)

    def _is_inline(self, expires: Expiry | None) -> bool:
        return expires is None and INLINE in self.config.backends

    async def _put(
        self,
        bucket: ExpiringBucket,
        address: Address,
        body: bytes,
        expires: Expiry | None,
    ) -> ObjectInfo:
        """Store the body under its key, or prove that it stands there already."""
        now = bucket.backend.now()
        known: dict[str, Any] = {}
        stored = body
        if self.config.compression == ZSTD:
            stored = await _off_loop(compress, body)
            known["encoding"] = ZSTD
        else:
            # What the address pins is hashed once.
            known[self.config.digest] = address.digest
        info = PutInfo(
            content_type=MSGPACK_TYPE,
            pinned=True,
            created=now,
            expiry=expires,
            deadline=deadline_from(expires, now),
            **known,
        )
        receipt, standing = await bucket.put_later(address.key, stored, info=info)
        if receipt is None and standing.etag != info.md5:
            # Somebody stored under this address before; it must be this payload. An
            # ETag that is its MD5 says so: S3's is that of what it holds.
            await self._read_payload(bucket.get(address.key), address)
        return standing

    def _stash(
        self,
        address: Address,
        data: _T,
        body: bytes,
        algorithm: DigestAlgorithm,
        info: ObjectInfo | None = None,
    ) -> Stash[_T]:
        return Stash(
            namespace=address.namespace,
            name=address.name,
            digest=address.digest or digest_of(body, algorithm),
            address=address,
            data=data,
            size=len(body),
            content_type=MSGPACK_TYPE if info is None else info.content_type,
            created=None if info is None else info.created,
            deadline=None if info is None else info.deadline,
            _owner=weakref.ref(cast("StashOwner", self)),
        )

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
        found = parsed(address)
        if found.data is not None:
            check_admitted(self.config, found)
            return self._opened(found, found.data, None, as_type)
        return self._opened(found, *await self._claim(found), as_type)

    def _opened(
        self,
        address: Address,
        body: bytes,
        info: ObjectInfo | None,
        as_type: type[Any] | None,
    ) -> Stash[Any]:
        """Decode a claimed body; every caller gets objects of its own."""
        data: Any = body
        if not address.streamed:
            data = decode(body, max_bytes=self.config.max_payload_bytes)
        if as_type is not None:
            data = typed(data, as_type)
        algorithm = DigestAlgorithm(self.config.digest)
        if address.digest is not None:
            algorithm = algorithm_of(address.digest)
        return self._stash(address, data, body, algorithm, info)

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
            place = place_of_address(self.config, address)
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
        bucket = await self._bucket(place_of_address(self.config, address))
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
        body = await _off_loop(lambda raw: decompress(raw, max_bytes=limit), stored)
        algorithm = algorithm_of(address.digest or "")
        if await _digest(body, algorithm) != address.digest:
            raise IntegrityError(
                f"the bytes at {address.redacted!r} do not match its digest; they were"
                " damaged or replaced"
            )
        return body, info


def base64_length(body: bytes) -> int:
    """Return how many characters the body has in base64, without encoding it."""
    return -(-len(body) // 3) * 4


async def _digest(body: bytes, algorithm: DigestAlgorithm) -> str:
    return await _off_loop(lambda whole: digest_of(whole, algorithm), body)


async def _off_loop(call: Callable[[bytes], _T], body: bytes) -> _T:
    """Call with a body, in a thread when it is large."""
    if len(body) <= OFF_LOOP:
        return call(body)
    return await to_thread.run_sync(call, body)
