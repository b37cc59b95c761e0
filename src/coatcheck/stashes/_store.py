"""Creating, claiming and keeping stashes."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast, overload

from anyio import to_thread
from anyio.lowlevel import checkpoint

from coatcheck._core.address import INLINE, Address, check_stash_name
from coatcheck._core.digests import DigestAlgorithm, algorithm_of, digest_of
from coatcheck._core.expiry import deadline_from
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck.errors import (
    IntegrityError,
    PayloadError,
)
from coatcheck.payloads._compression import compress, decompress
from coatcheck.payloads._integrity import OFF_LOOP
from coatcheck.payloads._msgpack import decode, encode
from coatcheck.payloads._typed import as_type as typed

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
    from datetime import datetime

    from coatcheck._core.expiry import Expiry
    from coatcheck._core.ranges import ByteRange
    from coatcheck.abc import AtOnce, Bucket, Held, Reader
    from coatcheck.config import Config, Place
    from coatcheck.wrappers import ExpiringBucket

    from ._stash import StashOwner

_T = TypeVar("_T")

MSGPACK_TYPE: Final = "application/msgpack"
ZSTD: Final = "zstd"
RAW: Final = "raw"
"""The codec of streamed stashes."""
_PLAIN: Final = PutInfo(content_type=MSGPACK_TYPE, pinned=True)
"""What is said of a payload that never expires and is stored as it is."""
_TURN: Final = 64
"""So many calls in a row may run before others have their turn."""


class Standing(Protocol):
    """What is known of a stored stash."""

    @property
    def content_type(self) -> str | None:
        """Media type of the encoded payload."""
        ...

    @property
    def created(self) -> datetime | None:
        """When it was stored."""
        ...

    @property
    def deadline(self) -> datetime | None:
        """From when on it does not exist."""
        ...


class StashStore(ABC):
    """The verbs of stashes over buckets that somebody else opens."""

    _calls = 0

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
        create them at once; of their expiries the latest deadline holds. Atomic:
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
        if self._is_turn():
            await checkpoint()
        config = self.config
        algorithm = DigestAlgorithm(config.digest)
        check_stash_name(namespace, name, algorithm.hex_length)
        place = None if self._is_inline(expires) else place_of_new(config, namespace)
        encoded = encode(data, max_bytes=config.max_payload_bytes)
        body = encoded.body
        if place is None and base64_length(body) <= config.max_inline_len:
            config.place(namespace)
            address = Address(scheme=INLINE, namespace=namespace, name=name, data=body)
            return self._stash(address, encoded.data, body)
        place = place or place_of_new(config, namespace)
        digest = await _digest(body, algorithm)
        address = Address(
            scheme=place.scheme, namespace=namespace, name=name, digest=digest
        )
        with naming(address):
            standing = await self._put(
                await self._bucket(place), address, body, expires
            )
        return self._stash(address, encoded.data, body, standing)

    def _is_turn(self) -> bool:
        """Count a call, and tell whether others should have their turn first.

        What is inline or in memory never waits, so a row of such calls would keep
        every other task waiting.
        """
        self._calls += 1
        return self._calls % _TURN == 0

    def _is_inline(self, expires: Expiry | None) -> bool:
        return expires is None and INLINE in self.config.backends

    async def _put(
        self,
        bucket: ExpiringBucket,
        address: Address,
        body: bytes,
        expires: Expiry | None,
    ) -> Standing:
        """Store the body under its key, or prove that it stands there already."""
        stored, encoding = body, None
        if self.config.compression == ZSTD:
            stored, encoding = await _off_loop(compress, body), ZSTD
        info = None
        if bucket.at_once is not None:
            if encoding is not None or expires is not None:
                info = _info(encoding, expires, bucket.backend.now())
            held = bucket.at_once.create(address.key, stored, info=info or _PLAIN)
            if held is not None:
                return held
        if info is None:
            info = _info(encoding, expires, bucket.backend.now())
        receipt, standing = await bucket.put_later(address.key, stored, info=info)
        if receipt is None:
            # Somebody stored under this address before; it must be this payload.
            await self._read_payload(bucket.get(address.key), address)
        return standing

    def _stash(
        self,
        address: Address,
        data: _T,
        body: bytes,
        info: Standing | None = None,
    ) -> Stash[_T]:
        digest = address.digest
        return Stash(
            namespace=address.namespace,
            name=address.name,
            digest=digest or digest_of(body, DigestAlgorithm(self.config.digest)),
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
        returned. Reading renews a TimeToIdle.

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
        if self._is_turn():
            await checkpoint()
        found = parsed(address)
        info: Standing | None = None
        if found.data is not None:
            check_admitted(self.config, found)
            body = found.data
        else:
            body, info = await self._claim(found)
        data: Any = body
        if not found.streamed:
            data = decode(body, max_bytes=self.config.max_payload_bytes)
        if as_type is not None:
            data = typed(data, as_type)
        return self._stash(found, data, body, info)

    async def _claim(self, address: Address) -> tuple[bytes, Standing]:
        with naming(address):
            if address.url is not None:
                return await self._read_payload(await self._reading(address), address)
            bucket = await self._home(address)
            if bucket.at_once is not None:
                held = self._at_hand(bucket.at_once, address)
                if held is not None:
                    return held.body, held
            return await self._read_payload(bucket.get(address.key), address)

    def _at_hand(self, bucket: AtOnce, address: Address) -> Held | None:
        """Return a payload that is in memory, plain, small, and the right one.

        None for every other: how that is read, or what is wrong with it, is seen by
        reading it.
        """
        held = None if address.streamed else bucket.read(address.key)
        if held is None or held.codec is not None or held.encoding is not None:
            return None
        if len(held.body) > min(OFF_LOOP, self.config.max_payload_bytes):
            return None
        digest = address.digest or ""
        right = digest_of(held.body, algorithm_of(digest)) == digest
        return held if right else None

    async def _home(self, address: Address) -> ExpiringBucket:
        """Return the bucket of a stored stash, open.

        Raises:
            UnsupportedBackend: The address's backend is not configured.
            InvalidAddress: The namespaces are mapped, and not to there.
        """
        return await self._bucket(place_of_address(self.config, address))

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
        bucket = await self._home(address)
        return bucket.get(address.key, byte_range=byte_range)

    async def _read_payload(
        self, reading: AbstractAsyncContextManager[Reader], address: Address
    ) -> tuple[bytes, ObjectInfo]:
        """Read a stash's whole body and hold it against its address."""
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
                pin_to(reader, address)
                return await reader.read(), info
            stored = await reader.read()
        body = await _off_loop(lambda raw: decompress(raw, max_bytes=limit), stored)
        algorithm = algorithm_of(address.digest or "")
        if await _digest(body, algorithm) != address.digest:
            raise IntegrityError(
                f"the bytes at {address.redacted!r} do not match its digest; they were"
                " damaged or replaced"
            )
        return body, info


def _info(encoding: str | None, expires: Expiry | None, now: datetime) -> PutInfo:
    """Return the metadata of a payload that is stored now."""
    return PutInfo(
        content_type=MSGPACK_TYPE,
        encoding=encoding,
        pinned=True,
        expiry=expires,
        deadline=deadline_from(expires, now),
        created=now,
    )


def check_pinned(address: Address, info: ObjectInfo) -> None:
    """Refuse to read a stream by an address that does not say what it holds.

    Raises:
        IntegrityError: The object is a stream, and its address lacks the pins.
    """
    if info.codec == RAW and not address.streamed:
        raise IntegrityError(
            f"{address.redacted!r} is a stream, and without the sha256 and size in the"
            " address that create_stream returned nothing of it can be verified"
        )


def base64_length(body: bytes) -> int:
    """Return how many characters the body has in base64, without encoding it."""
    return -(-len(body) // 3) * 4


def pin_to(reader: Reader, address: Address) -> None:
    """Hold what a reader reads against the digest that an address names."""
    if address.sha256 is not None:
        reader.pin(DigestAlgorithm.SHA256, address.sha256, size=address.size)
    else:
        digest = address.digest or ""
        reader.pin(algorithm_of(digest), digest)


async def _digest(body: bytes, algorithm: DigestAlgorithm) -> str:
    return await _off_loop(lambda whole: digest_of(whole, algorithm), body)


async def _off_loop(call: Callable[[bytes], _T], body: bytes) -> _T:
    """Call with a body, in a thread when it is large."""
    if len(body) <= OFF_LOOP:
        return call(body)
    return await to_thread.run_sync(call, body)
