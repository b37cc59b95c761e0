"""What wrappers add to small objects that are created and read in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck._core.digests import digest_of
from coatcheck._core.expiry import is_as_read
from coatcheck._core.names import check_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coatcheck.abc import DigestAlgorithm, Held, Named, OneStep, PutInfo

    from ._bounds import BoundedBucket


class ScopedOneStep:
    """Puts a prefix before every key.

    Args:
        inner: What is wrapped.
        prefix: The prefix.
    """

    __slots__ = ("_inner", "_prefix", "most")

    def __init__(self, inner: OneStep, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix
        self.most = inner.most

    async def create(
        self, stem: str, body: bytes, *, algorithm: DigestAlgorithm, info: PutInfo
    ) -> Named:
        stem = self._prefix + stem
        # With prefix and digest it may be too long.
        check_key(f"{stem}.{'0' * algorithm.hex_length}")
        return await self._inner.create(stem, body, algorithm=algorithm, info=info)

    async def read(self, key: str, digest: str) -> Held | None:
        return await self._inner.read(self._prefix + key, digest)


class BoundedOneStep:
    """Holds calls to bounds.

    Args:
        inner: What is wrapped.
        bucket: The bucket whose bounds these are.
    """

    __slots__ = ("_bucket", "_inner", "most")

    def __init__(self, inner: OneStep, bucket: BoundedBucket) -> None:
        self._inner = inner
        self._bucket = bucket
        self.most = inner.most

    async def create(
        self, stem: str, body: bytes, *, algorithm: DigestAlgorithm, info: PutInfo
    ) -> Named:
        key = stem
        if self._bucket.bounds.observer is not None:
            key = f"{stem}.{digest_of(body, algorithm)}"
        return await self._bucket.bounded(
            "put",
            key,
            lambda: self._inner.create(stem, body, algorithm=algorithm, info=info),
        )

    async def read(self, key: str, digest: str) -> Held | None:
        return await self._bucket.bounded(
            "get", key, lambda: self._inner.read(key, digest)
        )


class ExpiringOneStep:
    """Leaves to the bucket what is over, and reads that count.

    Args:
        inner: What is wrapped; its bucket has GENERATION.
        now: Tells the time that deadlines go by.
    """

    __slots__ = ("_now", "_read", "create", "most")

    def __init__(self, inner: OneStep, now: Callable[[], datetime]) -> None:
        self._read = inner.read
        self._now = now
        # Where nothing is there is nothing expired.
        self.create = inner.create
        self.most = inner.most

    async def read(self, key: str, digest: str) -> Held | None:
        held = await self._read(key, digest)
        if held is None or held.info.deadline is None:
            return held
        info = held.info
        return held if is_as_read(info.expiry, info.deadline, self._now()) else None


if TYPE_CHECKING:
    _scoped: type[OneStep] = ScopedOneStep
    _bounded: type[OneStep] = BoundedOneStep
    _expiring: type[OneStep] = ExpiringOneStep
