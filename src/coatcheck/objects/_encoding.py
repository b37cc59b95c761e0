"""How a body is stored: as it is, or compressed on its way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from coatcheck._core.media import is_dense, media_type_of
from coatcheck.abc import PutInfo
from coatcheck.errors import InvalidInput
from coatcheck.payloads._compression import compress, compressed
from coatcheck.payloads._integrity import OFF_LOOP

from ._usecase import NONE, ZSTD, check_compression

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Self

    from coatcheck.abc import Body

    from ._usecase import Compression

_AT_ONCE: Final = 1024 * 1024
"""Bodies in memory up to so many bytes are compressed in one step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How a body shall be stored."""

    recorded: str | None
    """The encoding that the object gets."""
    compresses: bool
    """Whether the body is compressed on its way."""
    spares_dense: bool = False
    """Whether a body that is dense already is stored as it is."""

    def of(self, content_type: str | None, beginning: bytes) -> Encoding:
        """Return what becomes of a body of this type that begins so."""
        if not self.spares_dense:
            return self
        if is_dense(content_type) or is_dense(media_type_of(beginning)):
            return PLAIN
        return self


PLAIN: Final = Encoding(recorded=None, compresses=False)
"""As it is."""


def encoding_of(
    *,
    compress: Compression | None,
    compression: Compression | None,
    precompressed: str | None,
    default: Compression,
) -> Encoding:
    """Return what a call and its usecase ask for.

    Raises:
        InvalidInput: The call contradicts itself, or names an unknown algorithm.
    """
    if compress is not None and compression is not None:
        raise InvalidInput("compress and compression mean the same; give one of them")
    asked = compression if compress is None else compress
    if asked is not None:
        check_compression(asked)
    if precompressed is not None:
        if asked is not None:
            raise InvalidInput("what is precompressed is not compressed again")
        if precompressed != ZSTD:
            raise InvalidInput(f"precompressed is 'zstd', not {precompressed!r:.40}")
        return Encoding(recorded=ZSTD, compresses=False)
    if (asked or default) == NONE:
        return PLAIN
    return Encoding(recorded=ZSTD, compresses=True, spares_dense=asked is None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a put will do."""

    key: str
    """The key in the session."""
    stored: str
    """The key in the bucket."""
    info: PutInfo
    """The metadata."""
    encoding: Encoding
    """How the body is stored."""

    def after(self, beginning: bytes) -> Plan:
        """Return the plan when the first bytes are known."""
        encoding = self.encoding.of(self.info.content_type, beginning)
        info = replace(self.info, encoding=encoding.recorded)
        return replace(self, encoding=encoding, info=info)


class Flow:
    """A body on its way: counted, looked into, and its progress told.

    Args:
        source: The chunks.
        progress: Called with the bytes of each chunk when the next is asked for: then
            it is written.
    """

    def __init__(
        self, source: AsyncIterator[bytes], progress: Callable[[int], object] | None
    ) -> None:
        self._source = source
        self._progress = progress
        self._held: bytes | None = None
        self._untold = 0
        self.count = 0
        """Bytes so far."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._progress is not None and self._untold:
            self._progress(self._untold)
        self._untold = 0
        chunk, self._held = self._held, None
        if chunk is None:
            chunk = await anext(self._source)
        self._untold = len(chunk)
        self.count += len(chunk)
        return chunk

    async def peek(self) -> bytes:
        """Return the first chunk, which still is to come."""
        if self._held is None:
            self._held = await anext(self._source, None)
        return self._held or b""

    async def drain(self) -> None:
        """Take what is left, all of which is written."""
        async for _ in self:
            continue


async def compressed_body(flow: Flow, held: bytes | None) -> Body:
    """Return a body compressed: in memory when it is short, else as it flows.

    Args:
        flow: The body.
        held: All of it, when it is in memory.
    """
    if held is None or len(held) > _AT_ONCE:
        return compressed(flow)
    return await compressed_bytes(held)


async def compressed_bytes(held: bytes) -> bytes:
    """Return bytes as one frame, which a thread makes when there is much to do."""
    if len(held) <= OFF_LOOP:
        return compress(held)
    return await to_thread.run_sync(compress, held)
