"""The multipart verbs of a memory bucket, and what all its verbs share."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from anyio import to_thread
from anyio.lowlevel import checkpoint

from coatcheck._core.names import check_key, check_prefix, shown
from coatcheck._core.writes import DEFAULT_SWEEP_AGE, Limits, Swept, Write
from coatcheck.abc import NO_INFO
from coatcheck.errors import IntegrityError, InvalidInput, ObjectNotFound
from coatcheck.payloads._body import open_source, whole_bytes
from coatcheck.payloads._integrity import feed

from ._uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from datetime import datetime, timedelta

    from coatcheck._core.digests import Hasher
    from coatcheck.abc import Backend, Body, Part, PutInfo, Receipt, Upload, WriteMode

    from ._store import MemoryStore

LIMITS: Final = Limits()
_JOIN_OFF_LOOP: Final = 1024 * 1024


class MultipartBucket:
    """What a bucket does with uploads.

    Args:
        name: The bucket's name.
        backend: The backend that opened it.
        store: The objects.
        clock: The backend's clock.
        check_open: Raises Closed when the backend is not open here.
    """

    def __init__(
        self,
        name: str,
        *,
        backend: Backend,
        store: MemoryStore,
        clock: Callable[[], datetime],
        check_open: Callable[[], None],
    ) -> None:
        self._name = name
        self._backend = backend
        self._clock = clock
        self.store = store
        self._check_open = check_open
        self._uploads = Uploads(store, name)

    @property
    def name(self) -> str:
        return self._name

    @property
    def backend(self) -> Backend:
        return self._backend

    @property
    def limits(self) -> Limits:
        return LIMITS

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        check_key(key)
        await self._turn()
        return self._uploads.begin(key, info, mode, now=self._clock())

    async def put_part(
        self,
        upload: Upload,
        number: int,
        body: Body,
        *,
        size: int,
        content_md5: bytes | None = None,
    ) -> Part:
        if not 1 <= number <= LIMITS.max_parts:
            raise InvalidInput(
                f"part numbers are 1 to {LIMITS.max_parts}, not {number}"
            )
        if size < 0:
            raise InvalidInput(f"a part's size is not negative: {size}")
        await self._turn()
        self._uploads.check(upload)
        running = hashlib.md5(usedforsecurity=False)
        whole = await self._received(
            body, size, running, lambda more: self._uploads.check(upload, more)
        )
        if content_md5 is not None and content_md5 != running.digest():
            raise IntegrityError(
                f"part {number} of {shown(upload.key)} has another MD5 than declared",
                bucket=self._name,
                key=upload.key,
                backend="mem",
            )
        etag, now = running.hexdigest(), self._backend.now()
        return self._uploads.add(upload, number, whole, etag, now=now)

    async def list_parts(self, upload: Upload) -> AsyncGenerator[Part]:
        await self._turn()
        for part in self._uploads.parts(upload):
            yield part

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        await self._turn()
        try:
            bodies = self._uploads.bodies(upload, parts)
            whole = await _joined(bodies)
            now = self._clock()
            return self._uploads.finish(upload, parts, whole, now=now)
        except ObjectNotFound:
            repeated = self._uploads.finished(upload)
            if repeated is None:
                raise
            return repeated

    async def abort(self, upload: Upload) -> None:
        await self._turn()
        self._uploads.remove(upload)

    def list_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None
    ) -> AsyncIterator[Upload]:
        check_prefix(prefix)
        return self._listed(prefix, older_than)

    async def _listed(
        self, prefix: str, older_than: timedelta | None
    ) -> AsyncGenerator[Upload]:
        await self._turn()
        until = None if older_than is None else self._clock() - older_than
        for upload in self._uploads.all(prefix, until):
            yield upload

    async def sweep(self, *, older_than: timedelta = DEFAULT_SWEEP_AGE) -> Swept:
        await self._turn()
        stale = self._uploads.all("", self._clock() - older_than)
        return Swept(uploads=sum(self._uploads.remove(upload) for upload in stale))

    async def _turn(self) -> None:
        """Admit one call: the backend is open, and others had their turn."""
        if self.store.is_turn():
            await checkpoint()
        self._check_open()

    async def _received(
        self,
        body: Body,
        size: int | None,
        running: Hasher | None,
        check_room: Callable[[int], None],
    ) -> bytes:
        """Return the whole body as bytes of our own, hashed while it came."""
        whole = whole_bytes(body, size)
        if whole is not None:
            if running is not None:
                await feed(running, whole)
            return whole
        chunks: list[bytes] = []
        received = 0
        async with open_source(body, size) as source:
            check_room(source.size or 0)
            async for chunk in source:
                received += len(chunk)
                check_room(received)
                if running is not None:
                    await feed(running, chunk)
                chunks.append(chunk)
                await self._turn()
        return await _joined(chunks)


async def _joined(chunks: list[bytes]) -> bytes:
    """Join bytes, in a thread when they are many."""
    if len(chunks) == 1:
        return chunks[0]
    if sum(map(len, chunks)) <= _JOIN_OFF_LOOP:
        return b"".join(chunks)
    return await to_thread.run_sync(b"".join, chunks)
