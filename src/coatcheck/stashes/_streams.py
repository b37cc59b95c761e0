"""Stashes that are too large to hold: written and read chunk by chunk."""

from __future__ import annotations

import weakref
from abc import ABC
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, cast
from uuid import uuid4

from coatcheck._core.address import Address, check_stash_name
from coatcheck._core.digests import DigestAlgorithm, algorithm_of, digest_of
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck._core.ranges import ByteRange, resolve_range
from coatcheck.payloads._body import OneChunk, Source, open_source
from coatcheck.payloads._integrity import VerifiedReader
from coatcheck.payloads._threads import in_thread
from coatcheck.wrappers import expiring_info

from ._claiming import ZSTD
from ._download import part_file
from ._ground import MSGPACK_TYPE
from ._pins import RAW, check_pinned, pin_to
from ._places import check_admitted, naming, parsed, place_of_new
from ._stash import Stash
from ._store import StashStore

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable

    from coatcheck._core.expiry import Expiry
    from coatcheck.abc import Body, Reader

    from ._stash import StashOwner

STREAM_TYPE: Final = "application/octet-stream"


class StashStreams(StashStore, ABC):
    """The verbs of stashes that flow."""

    async def create_stream(
        self,
        name: str,
        source: Body,
        namespace: str = "default",
        *,
        content_type: str = STREAM_TYPE,
        expires: Expiry | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Stash[None]:
        """Store bytes of any length in one pass, in constant memory.

        They are stored as they are, under a new key each time; the address pins
        their SHA-256 and length. Atomic: until the source has ended and all is
        stored, nothing is there.

        Args:
            name: As in `create`.
            source: Bytes, a path, an open file, or an async iterable of bytes.
            namespace: As in `create`.
            content_type: Media type of the bytes.
            expires: As in `create`.
            progress: Called in the event loop with the number of bytes of each
                chunk once it is written, such as a progress bar's `update`.

        Returns:
            The stash, without its data.

        Raises:
            InvalidName: An address could not carry the name or namespace.
            InvalidInput: The source cannot be read, or the content type is none.
            UnsupportedBackend: No configured backend can keep it.
            AtCapacity: The storage is full.
            BackendError: The storage failed.
            Closed: Not open here.
        """
        self._check_usable()
        check_stash_name(namespace, name, DigestAlgorithm.MD5.hex_length)
        place = place_of_new(self.config, namespace)
        address = Address(
            scheme=place.scheme, namespace=namespace, name=name, digest=uuid4().hex
        )
        with naming(address):
            bucket = await self._bucket(place)
            now = bucket.backend.now()
            info = expiring_info(
                PutInfo(content_type=content_type, codec=RAW), expires, now
            )
            async with open_source(source) as opened:
                receipt = await bucket.put(
                    address.key,
                    _reported(opened, progress),
                    info=info,
                    size=opened.size,
                )
        return Stash(
            namespace=namespace,
            name=name,
            digest=address.digest or "",
            address=replace(address, sha256=receipt.sha256, size=receipt.size),
            data=None,
            size=receipt.size,
            content_type=content_type,
            created=now,
            deadline=info.deadline,
            _owner=weakref.ref(cast("StashOwner", self)),
        )

    @asynccontextmanager
    async def open(
        self, address: str | Address, *, byte_range: ByteRange | None = None
    ) -> AsyncGenerator[Reader]:
        """Read a stash's bytes as a stream: `async with cc.open(address) as reader`.

        A whole read is verified against the address before its last chunk is
        released; `reader.verified` says so. A stash made by `create` gives its
        encoded bytes. One that is compressed is decoded in memory first, which
        `max_payload_bytes` bounds. Reading renews a TimeToIdle.

        Args:
            address: What `create` or `create_stream` returned, or its text.
            byte_range: Only these bytes.

        Raises:
            InvalidRange: The range lies outside the stash.
            InvalidAddress: The text is not an address.
            UnsupportedBackend: The address's backend is not configured.
            StashNotFound: Never created, deleted, or expired.
            IntegrityError: The stored bytes are not those of the address; while
                reading, instead of the last chunk.
            BackendError: The storage failed.
            Closed: Not open here.
        """
        self._check_usable()
        found = parsed(address)
        if found.data is not None:
            check_admitted(self.config, found)
            yield self._held_reader(found, found.data, None, byte_range)
            return
        with naming(found):
            async with await self._reading(found, byte_range) as reader:
                check_pinned(found, reader.info)
                if reader.info.encoding != ZSTD:
                    if byte_range is None:
                        pin_to(reader, found)
                    yield reader
                    return
            body, info = await self._read_payload(await self._reading(found), found)
            yield self._held_reader(found, body, info, byte_range)

    def _held_reader(
        self,
        address: Address,
        body: bytes,
        info: ObjectInfo | None,
        byte_range: ByteRange | None,
    ) -> Reader:
        """Return a reader over a body that is in memory and verified."""
        now = datetime.now(UTC)
        described = ObjectInfo.of(
            PutInfo(content_type=MSGPACK_TYPE) if info is None else info.put_info(),
            key=address.name if info is None else info.key,
            size=len(body),
            etag="" if info is None else info.etag,
            modified=now if info is None else info.modified,
        )
        described = replace(described, encoding=None, sha256=None)
        span = None if byte_range is None else resolve_range(byte_range, len(body))
        held = body if span is None else body[span.start : span.stop]
        reader = VerifiedReader(described, OneChunk(held), span=span)
        if span is None:
            algorithm = DigestAlgorithm(self.config.digest)
            if address.digest is not None:
                algorithm = algorithm_of(address.digest)
            reader.pin(algorithm, address.digest or digest_of(body, algorithm))
        return reader

    async def download(
        self,
        address: str | Address,
        path: str | os.PathLike[str],
        *,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Write a stash's bytes to a file.

        Atomic: the file appears whole and verified, replacing what stood there, or
        the path is left as it was. With `Config.durable` it has reached the disk.

        Args:
            address: What `create` or `create_stream` returned, or its text.
            path: The file; its folder must exist.
            progress: Called in the event loop with the bytes of each chunk.

        Raises:
            InvalidInput: Nothing can be written to the path.
            AtCapacity: The disk is full.
            CoatcheckError: As `open`.
        """
        async with (
            self.open(address) as reader,
            part_file(path, durable=self.config.durable) as part,
        ):
            async for chunk in reader:
                await in_thread(partial(part.write, chunk))
                if progress is not None:
                    progress(len(chunk))
            await in_thread(part.finish)


async def _reported(
    source: Source, progress: Callable[[int], object] | None
) -> AsyncGenerator[bytes]:
    """Tell of each chunk when the next is asked for: then it is written."""
    async for chunk in source:
        yield chunk
        if progress is not None:
            progress(len(chunk))
