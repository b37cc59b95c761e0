"""Bringing a body to a bucket: at once, as it flows, or so that it can go on."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from coatcheck.abc import Body, Capability
from coatcheck.errors import AtCapacity, BackendError
from coatcheck.payloads._body import size_of, whole_bytes
from coatcheck.payloads._compression import compressed
from coatcheck.payloads._threads import in_thread, to_its_end

from ._encoding import Flow, Plan, compressed_body
from ._usecase import Threshold

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import BinaryIO

    from coatcheck.abc import Receipt
    from coatcheck.wrappers import AnyBucket


@dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """A body and where it goes."""

    plan: Plan
    """What is to be done."""
    contents: Body
    """What the caller gave."""
    flow: Flow
    """The same, opened."""
    size: int | None
    """Its length when opening it told."""
    threshold: Threshold
    """From how many bytes on it shall resume."""
    spool_dir: str | os.PathLike[str] | None
    """The folder of temporary files."""

    async def to(self, bucket: AnyBucket) -> Receipt:
        """Write it."""
        held = whole_bytes(self.contents)
        resumes = await self._resumes(bucket)
        if not self.plan.encoding.compresses:
            body: Body = self.flow if held is None else held
            if resumes is None:
                return await self._put(bucket, body, self.size)
            return await bucket.put_resumable(
                self.plan.stored, body, info=self.plan.info, size=resumes
            )
        if resumes is None:
            return await self._put(bucket, await compressed_body(self.flow, held))
        chunks = compressed(self.flow)
        async with aclosing(chunks), spool(self.spool_dir) as file:
            if file is None:
                return await self._put(bucket, chunks)
            size = await _written(chunks, file)
            return await bucket.put_resumable(
                self.plan.stored, file, info=self.plan.info, size=size
            )

    async def _put(
        self, bucket: AnyBucket, body: Body, size: int | None = None
    ) -> Receipt:
        return await bucket.put(self.plan.stored, body, info=self.plan.info, size=size)

    async def _resumes(self, bucket: AnyBucket) -> int | None:
        """Return the size of a body that shall resume, else None."""
        least = self.threshold
        if isinstance(least, str) or Capability.RESUME not in bucket.capabilities:
            return None
        size = self.size
        if size is None:
            size = await size_of(self.contents)
        return None if size is None or size < least else size


@asynccontextmanager
async def spool(
    folder: str | os.PathLike[str] | None,
) -> AsyncGenerator[BinaryIO | None]:
    """Open a temporary file; None when there is no place for one."""
    file = await in_thread(lambda: _temporary(folder), discard=_closed)
    try:
        yield file
    finally:
        await to_its_end(lambda: _closed(file))


def _temporary(folder: str | os.PathLike[str] | None) -> BinaryIO | None:
    try:
        made = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # by who asked
    except OSError:
        return None
    return cast("BinaryIO", made)


def _closed(file: BinaryIO | None) -> None:
    if file is not None:
        file.close()


async def _written(chunks: AsyncGenerator[bytes], file: BinaryIO) -> int:
    """Write what flows to a file, and return how much it was."""
    size = 0
    try:
        async for chunk in chunks:
            size += len(chunk)
            await in_thread(partial(file.write, chunk))
        await in_thread(partial(file.seek, 0))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (AtCapacity if full else BackendError)(
            f"cannot keep the compressed body in a temporary file: {error.strerror}"
        ) from error
    return size
