"""Creating, claiming and keeping stashes."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from anyio import to_thread
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
from coatcheck.errors import (
    IntegrityError,
    PayloadError,
)
from coatcheck.payloads._compression import compress, decompress
from coatcheck.payloads._integrity import OFF_LOOP
from coatcheck.payloads._msgpack import decode, encode
from coatcheck.payloads._typed import as_type as typed

from ._places import Places, check_admitted, naming
from ._stash import made_stash

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from coatcheck._core.expiry import Expiry
    from coatcheck._core.ranges import ByteRange
    from coatcheck.abc import AtOnce, Bucket, Held, Reader
    from coatcheck.config import Config, Place
    from coatcheck.wrappers import ExpiringBucket

    from ._stash import Stash, StashOwner

_T = TypeVar("_T")

MSGPACK_TYPE: Final = "application/msgpack"
ZSTD: Final = "zstd"
RAW: Final = "raw"
"""The codec of streamed stashes."""
_PLAIN: Final = PutInfo(content_type=MSGPACK_TYPE, pinned=True)
"""What is said of a payload that never expires and is stored as it is."""
_TURN: Final = 64
"""So many calls in a row may run before others have their turn."""


class StashStore(ABC):
    """The verbs of stashes over buckets that somebody else opens."""

    _at_once: dict[Place, AtOnce]
    """What the buckets that were asked for can do at once; `_bucket` fills it."""

    @cached_property
    def _calls(self) -> count[int]:
        return count(1)

    @cached_property
    def _algorithm(self) -> DigestAlgorithm:
        return DigestAlgorithm(self.config.digest)

    @cached_property
    def _digest_length(self) -> int:
        return self._algorithm.hex_length

    @cached_property
    def _places(self) -> Places:
        return Places(self.config)

    @cached_property
    def _owner(self) -> weakref.ref[StashOwner]:
        return weakref.ref(cast("StashOwner", self))

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
        if not next(self._calls) % _TURN:
            await checkpoint()
        config = self.config
        algorithm = self._algorithm
        check_stash_name(namespace, name, self._digest_length)
        inline = expires is None and INLINE in config.backends
        place = None if inline else self._places.of_new(namespace)
        body, decoded = encode(data, max_bytes=config.max_payload_bytes)
        if inline and base64_length(body) <= config.max_inline_len:
            config.place(namespace)
            address = made_address(INLINE, namespace, name, None, body)
            return self._stash(address, decoded, body, None)
        place = place or self._places.of_new(namespace)
        if len(body) <= OFF_LOOP:
            digest = digest_of(body, algorithm)
        else:
            digest = await _digest(body, algorithm)
        address = made_address(place.scheme, namespace, name, digest)
        at_once = self._at_once.get(place)
        if at_once is not None and config.compression != ZSTD:
            info = _PLAIN if expires is None else _info(None, expires, at_once.now())
            held = at_once.create(f"{name}.{digest}", body, info=info)
            if held is not None:
                return self._stash(address, decoded, body, held.info, held.created)
        with naming(address):
            standing = await self._put(
                await self._bucket(place), address, body, expires
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
        stored, encoding = body, None
        if self.config.compression == ZSTD:
            stored, encoding = await _off_loop(compress, body), ZSTD
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
        info: PutInfo | ObjectInfo | None,
        created: datetime | None = None,
    ) -> Stash[_T]:
        digest = address.digest
        if digest is None:
            digest = digest_of(body, self._algorithm)
        info = _PLAIN if info is None else info
        return made_stash(
            address,
            digest,
            data,
            len(body),
            info.content_type,
            created,
            info.deadline,
            self._owner,
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
        if not next(self._calls) % _TURN:
            await checkpoint()
        found = address if isinstance(address, Address) else Address.parse(address)
        info: PutInfo | ObjectInfo | None = None
        created: datetime | None = None
        if found.data is not None:
            check_admitted(self.config, found)
            body = found.data
        elif (held := self._at_hand(found)) is not None:
            body, info, created = held.body, held.info, held.created
        else:
            body, info = await self._claim(found)
            created = info.created
        data: Any = body
        if found.sha256 is None:
            data = decode(body, max_bytes=self.config.max_payload_bytes)
        if as_type is not None:
            data = typed(data, as_type)
        return self._stash(found, data, body, info, created)

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

    async def _claim(self, address: Address) -> tuple[bytes, ObjectInfo]:
        with naming(address):
            return await self._read_payload(await self._reading(address), address)

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
