"""The one place where expiry lives.

Drivers keep policies and deadlines; this wrapper gives them their meaning: from its
deadline on an object does not exist for anybody who looks through it. Every change
of a deadline is a compare-and-set on the ETag, so touch, re-creation and reaping are
each one atomic step.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from coatcheck._core.expiry import Expiry, deadline_from, is_later
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck._core.writes import Update, Write
from coatcheck.abc import NO_INFO, Capability, SignGet, at_once, in_one_step
from coatcheck.errors import (
    AlreadyExists,
    ObjectNotFound,
    PreconditionFailed,
    UnsupportedOperation,
)
from coatcheck.payloads._parallel import in_parallel

from ._at_once import ExpiringAtOnce
from ._deadlines import ATTEMPTS, DeadlinesBucket
from ._forwarding import closed_after
from ._one_step import ExpiringOneStep
from ._reading import ForwardingRead

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime, timedelta

    from coatcheck.abc import (
        AtOnce,
        Body,
        Bucket,
        ByteRange,
        ObjectEntry,
        Observer,
        OneStep,
        Page,
        Part,
        Reader,
        Receipt,
        SignedRequest,
        SignPut,
        Upload,
        WriteMode,
    )

_LOOKS_AT_ONCE: Final = 16
_log = logging.getLogger("coatcheck.expiry")


def expiring_info(info: PutInfo, expiry: Expiry | None, now: datetime) -> PutInfo:
    """Return the metadata with a policy that counts from now."""
    return replace(info, expiry=expiry, deadline=deadline_from(expiry, now))


class ExpiringBucket(DeadlinesBucket):
    """A bucket in which expired objects do not exist.

    Args:
        inner: The bucket that is wrapped.
        observer: Told of renewals that failed, as `touch_failed`.
    """

    def __init__(self, inner: Bucket, observer: Observer | None) -> None:
        super().__init__(inner, observer)
        self.at_once: AtOnce | None = None
        self.in_one_step: OneStep | None = None
        if Capability.GENERATION not in inner.capabilities:
            return
        immediate, short = at_once(inner), in_one_step(inner)
        if immediate is not None:
            self.at_once = ExpiringAtOnce(immediate)
        if short is not None:
            self.in_one_step = ExpiringOneStep(short, self.now)

    @property
    def capabilities(self) -> frozenset[Capability]:
        # A batch would go past what is hidden here.
        return self._inner.capabilities - {Capability.BATCH} | {Capability.EXPIRES}

    async def put(
        self,
        key: str,
        body: Body,
        *,
        info: PutInfo = NO_INFO,
        mode: WriteMode = Write.OVERWRITE,
        size: int | None = None,
    ) -> Receipt:
        self._check_can_expire(info)
        if isinstance(mode, Update):
            await self._refuse_expired_update(key)
        elif mode is Write.CREATE and not isinstance(body, bytes):
            # A stream flows once: what would be in its way goes first.
            await self._clear_expired(key)
        return await self._over_expired(
            key,
            lambda: self._inner.put(key, body, info=info, mode=mode, size=size),
            repeatable=isinstance(body, bytes),
        )

    async def _over_expired(
        self,
        key: str,
        write: Callable[[], Awaitable[Receipt]],
        *,
        repeatable: bool = True,
    ) -> Receipt:
        """Await a write; when only an expired object is in its way, it gives way."""
        for _ in range(ATTEMPTS):
            try:
                return await write()
            except AlreadyExists:
                if not repeatable or not await self._clear_expired(key):
                    raise
        raise self.contended(key)

    async def _clear_expired(self, key: str) -> bool:
        """Delete the object under a key if it has expired or is gone already.

        Returns:
            Whether the key is free now, as far as this call could see.
        """
        try:
            standing = await self._inner.head(key)
        except ObjectNotFound:
            return True
        if not self.is_over(standing):
            return False
        removed = await self.remove_expired(standing)
        if removed is None:
            _log.debug("somebody else replaced an expired object")
        return removed is not False

    async def _refuse_expired_update(self, key: str) -> None:
        try:
            await self.head(key)
        except ObjectNotFound as error:
            raise PreconditionFailed(
                f"{error.message}, and an update needs one", key=key
            ) from error

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        read = self._inner.get(
            key,
            byte_range=byte_range,
            if_match=if_match,
            if_none_match=if_none_match,
        )
        return _ExpiringRead(read, self)

    def is_reapable(self, info: ObjectInfo) -> bool:
        """Tell whether a reaper may delete an object."""
        return self.is_over(info)

    async def remove_expired(self, info: ObjectInfo) -> bool | None:
        """Delete an expired object that was seen.

        Returns:
            True when it was deleted, False when it lives again, None when somebody
            else was faster.
        """
        try:
            await self._inner.delete(info.key, if_match=info.etag)
        except PreconditionFailed:
            return None
        return True

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        if if_match is not None and await self._clear_expired(key):
            return
        await self._inner.delete(key, if_match=if_match)

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        self._check_can_expire(info)
        await self.head(key)
        return await self._inner.update_info(key, info, if_match=if_match)

    async def copy_from(
        self,
        source: Bucket,
        source_key: str,
        key: str,
        *,
        info: PutInfo | None = None,
        mode: WriteMode = Write.OVERWRITE,
        if_match: str | None = None,
    ) -> Receipt:
        if info is not None:
            self._check_can_expire(info)
        if isinstance(mode, Update):
            await self._refuse_expired_update(key)

        async def copy() -> Receipt:
            # The source is looked at through its own wrappers, which may hide it.
            standing = await source.head(source_key)
            self.refuse_expired(standing)
            return await self._inner.copy_from(
                source,
                source_key,
                key,
                info=info,
                mode=mode,
                if_match=if_match or standing.etag,
            )

        return await self._over_expired(key, copy)

    async def sign(
        self, what: SignGet | SignPut, key: str, *, expires_in: timedelta
    ) -> SignedRequest:
        if isinstance(what, SignGet):
            info = await self.head(key)
            if info.deadline is not None:
                expires_in = min(expires_in, info.deadline - self.now())
        return await self._inner.sign(what, key, expires_in=expires_in)

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        self._check_can_expire(info)
        return await self._inner.initiate(key, info=info, mode=mode)

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        return await self._over_expired(
            upload.key, lambda: self._inner.complete(upload, parts)
        )

    async def put_resumable(
        self, key: str, body: Body, *, info: PutInfo = NO_INFO, size: int
    ) -> Receipt:
        self._check_can_expire(info)
        return await self._inner.put_resumable(key, body, info=info, size=size)

    async def scan(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
    ) -> AsyncGenerator[Page]:
        """Iterate as `CanScan.scan`, over what has not expired.

        A common prefix is still shown when all that lies behind it has expired.
        """
        pages = self._inner.scan(prefix, start_after=start_after, delimiter=delimiter)
        async with closed_after(pages):
            async for page in pages:
                entries = self._not_over(await self.looked_at(page))
                if entries or page.prefixes:
                    yield replace(page, entries=entries)

    async def scan_as_listed(self, prefix: str = "") -> AsyncGenerator[Page]:
        """Iterate over what the store lists, looking at nothing in addition.

        What its listing shows to have expired is left out; on plain S3, whose
        listings tell no deadlines, that is nothing.
        """
        pages = self._inner.scan(prefix)
        async with closed_after(pages):
            async for page in pages:
                yield replace(page, entries=self._not_over(page.entries))

    def _not_over(self, entries: Iterable[ObjectEntry]) -> tuple[ObjectEntry, ...]:
        """Return the entries without those that are known to have expired."""
        return tuple(
            entry
            for entry in entries
            if not isinstance(entry, ObjectInfo) or not self.is_over(entry)
        )

    async def looked_at(self, page: Page) -> list[ObjectInfo]:
        """Return all that is known of a page's objects, without those that are gone."""
        unknown = [entry for entry in page.entries if not isinstance(entry, ObjectInfo)]
        if not unknown:
            return [entry for entry in page.entries if isinstance(entry, ObjectInfo)]
        infos = await in_parallel(page.entries, self._look_at, at_once=_LOOKS_AT_ONCE)
        return [info for info in infos if info is not None]

    async def _look_at(self, entry: ObjectEntry) -> ObjectInfo | None:
        if isinstance(entry, ObjectInfo):
            return entry
        try:
            return await self._inner.head(entry.key)
        except ObjectNotFound:
            return None

    async def put_later(
        self, key: str, body: bytes, *, info: PutInfo, taken: bool = False
    ) -> tuple[Receipt | None, PutInfo | ObjectInfo]:
        """Create an object, or let the later of two deadlines hold.

        When a live object stands under the key, its body is left alone, and its
        expiry is replaced if `info.deadline` is the later one (none is the latest).

        Args:
            key: The key.
            body: The bytes.
            info: The metadata.
            taken: Something stood under the key a moment ago.

        Returns:
            The receipt, None when an object stood there already; and what stands,
            as this write said it or as the store tells it.
        """
        if info.created is None:
            info = replace(info, created=self.now())
        for attempt in range(ATTEMPTS):
            if not taken or attempt:
                try:
                    return await self._create(key, body, info), info
                except AlreadyExists:
                    _log.debug("an object is there already")
            standing = await self._with_later_deadline(key, info)
            if standing is not None:
                return None, standing
        raise self.contended(key)

    async def _create(self, key: str, body: bytes, info: PutInfo) -> Receipt:
        """Write where nothing is, also on stores that hold to no conditions.

        There equal keys stand for equal bytes, so it does no harm when two look and
        then both write.
        """
        try:
            return await self.put(key, body, info=info, mode=Write.CREATE)
        except UnsupportedOperation:
            if info.expiry is not None or Capability.CREATE in self.capabilities:
                raise
        try:
            await self.head(key)
        except ObjectNotFound:
            return await self.put(key, body, info=info)
        raise AlreadyExists(f"object {key!a} exists", bucket=self.name, key=key)

    async def _with_later_deadline(self, key: str, info: PutInfo) -> ObjectInfo | None:
        """Return what stands, with the later deadline; None when it changed."""
        try:
            standing = await self.head(key)
        except ObjectNotFound:
            return None
        if not is_later(info.deadline, standing.deadline):
            return standing
        return await self.move_deadline(standing, info.expiry, info.deadline)

    def _check_can_expire(self, info: PutInfo) -> None:
        if info.expiry is None or Capability.GENERATION in self.capabilities:
            return
        raise UnsupportedOperation(
            f"bucket {self.name!a} on {self.backend.scheme!r} cannot change a"
            " deadline atomically, so nothing in it may expire",
            bucket=self.name,
            backend=self.backend.scheme,
        )


class _ExpiringRead(ForwardingRead):
    """A read that finds nothing from the deadline on, and counts for TimeToIdle."""

    def __init__(
        self, read: AbstractAsyncContextManager[Reader], bucket: ExpiringBucket
    ) -> None:
        super().__init__(read)
        self._bucket = bucket

    async def __aenter__(self) -> Reader:
        reader = await super().__aenter__()
        try:
            self._bucket.refuse_expired(reader.info)
            await self._bucket.renew(reader.info)
        except BaseException:
            await super().__aexit__(None, None, None)
            raise
        return reader
