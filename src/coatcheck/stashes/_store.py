"""Creating and claiming stashes."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, overload

from anyio.lowlevel import checkpoint

from coatcheck._core.address import INLINE, Address, check_stash_name, made_address
from coatcheck._core.digests import digest_of
from coatcheck._core.expiry import deadline_from
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck.errors import ObjectNotFound
from coatcheck.payloads._compression import compress
from coatcheck.payloads._integrity import OFF_LOOP, off_loop
from coatcheck.payloads._msgpack import encode

from ._claiming import ZSTD, StashClaims, stash_digest
from ._ground import PLAIN
from ._places import check_admitted, naming
from ._stash import Stash
from ._traffic import Kept

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from coatcheck._core.expiry import Expiry
    from coatcheck.abc import AtOnce, OneStep
    from coatcheck.config import Place
    from coatcheck.wrappers import ExpiringBucket

_T = TypeVar("_T")

_ATTEMPTS: Final = 8
"""How often a payload is stored again when others delete it meanwhile."""
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

    def address(self, digest: str) -> Address:
        """Return the address of the stash that it becomes."""
        return made_address(self.place.scheme, self.namespace, self.name, digest)


class StashStore(StashClaims, ABC):
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
        steps = await self._steps_for(draft)
        if steps is None:
            digest = await stash_digest(draft.body, self._algorithm)
            kept = await self._put_under(draft.address(digest), draft)
        else:
            kept = await self._put_in_one_step(steps, draft)
        address = draft.address(kept.digest)
        return self._stash(address, draft.decoded, draft.body, kept.info, kept.created)

    async def _steps_for(self, draft: Draft[_T]) -> OneStep | None:
        """Return what stores a payload in one step, if it is small and as it is."""
        if self.config.compression == ZSTD:
            return None
        steps = (await self._bucket(draft.place)).in_one_step
        return None if steps is None or len(draft.body) > steps.most else steps

    async def _put_in_one_step(self, steps: OneStep, draft: Draft[_T]) -> Kept:
        """Store a small body; its digest is known afterwards."""
        place, _, name, body, _, expires = draft
        bucket = await self._bucket(place)

        async def write() -> Kept:
            info = PLAIN if expires is None else _info(expires, bucket.now(), {})
            named = await steps.create(name, body, algorithm=self._algorithm, info=info)
            if named.created is not None:
                return Kept(named.digest, info, named.created)
            address = draft.address(named.digest)
            return await self._put(bucket, address, body, expires, taken=True)

        try:
            kept = await self._traffic.put(
                place, bucket, name, expires, write, body=body
            )
        except BaseException:
            address = draft.address(digest_of(body, self._algorithm))
            self._traffic.forget_reads(place, address)
            with naming(address):
                raise
        self._traffic.forget_reads(place, draft.address(kept.digest))
        return kept

    async def _put_under(self, address: Address, draft: Draft[_T]) -> Kept:
        """Store a body under the address that its digest gives it."""
        place, _, _, body, _, expires = draft
        with naming(address):
            bucket = await self._bucket(place)
            if bucket.is_immediate:
                return await self._put(bucket, address, body, expires)
            try:
                return await self._traffic.put(
                    place,
                    bucket,
                    address.key,
                    expires,
                    lambda: self._put(bucket, address, body, expires),
                )
            finally:
                self._traffic.forget_reads(place, address)

    async def _put(
        self,
        bucket: ExpiringBucket,
        address: Address,
        body: bytes,
        expires: Expiry | None,
        *,
        taken: bool = False,
    ) -> Kept:
        """Store the body under its key, or prove that it stands there already."""
        stored, digest = body, address.digest or ""
        known: dict[str, str] = {self.config.digest: digest}
        if self.config.compression == ZSTD:
            stored, known = await off_loop(compress, body), {"encoding": ZSTD}
        info = _info(expires, bucket.backend.now(), known)
        for _ in range(_ATTEMPTS):
            receipt, standing = await bucket.put_later(
                address.key, stored, info=info, taken=taken
            )
            try:
                if receipt is None and not _is_known(standing, info):
                    # Somebody stored under this address; it must be this payload.
                    await self._read(bucket, address)
            except ObjectNotFound:
                # And somebody has deleted it since.
                taken = False
            else:
                return Kept(digest, standing, standing.created)
        raise bucket.contended(address.key)

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
        return self._opened(found, *await self._claim(found), as_type)


def _info(expires: Expiry | None, now: datetime, known: Mapping[str, Any]) -> PutInfo:
    """Return the metadata of a payload that is stored now, with what else is known."""
    return PLAIN.with_valid(
        expiry=expires, deadline=deadline_from(expires, now), created=now, **known
    )


def _is_known(standing: PutInfo | ObjectInfo, info: PutInfo) -> bool:
    """Tell whether an ETag proves what stands: S3's is the MD5 of what it holds."""
    return isinstance(standing, ObjectInfo) and standing.etag == info.md5


def base64_length(body: bytes) -> int:
    """Return how many characters the body has in base64, without encoding it."""
    return -(-len(body) // 3) * 4
