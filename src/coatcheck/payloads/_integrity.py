"""Reading that is verified while it flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from anyio import to_thread

from coatcheck._core.digests import DigestAlgorithm
from coatcheck.abc import Verified
from coatcheck.errors import CoatcheckError, IntegrityError, InvalidInput

from ._hashing import StreamDigest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Self

    from coatcheck._core.digests import Hasher
    from coatcheck.abc import ObjectInfo, Reader

_T = TypeVar("_T")
OFF_LOOP: Final = 64 * 1024
"""Bytes from which hashing and compressing leave the event loop."""


async def feed(running: Hasher, chunk: bytes | memoryview) -> None:
    """Hash one more chunk, in a thread when it is large."""
    if len(chunk) <= OFF_LOOP:
        running.update(chunk)
    else:
        await to_thread.run_sync(running.update, chunk)


async def off_loop(call: Callable[[bytes], _T], body: bytes) -> _T:
    """Call with a body, in a thread when it is large."""
    if len(body) <= OFF_LOOP:
        return call(body)
    return await to_thread.run_sync(call, body)


class VerifiedReader:
    """A `Reader` over chunks that a driver delivers.

    One chunk is held back until the whole is verified. The driver owns the chunks'
    source and closes it when the context of `get` ends. A read that is cancelled
    loses nothing: the next one goes on where it began.

    Args:
        info: The object.
        chunks: Its bytes, or those of the span.
        span: The offsets that are read when a range was asked for.
    """

    __slots__ = (
        "_chunks",
        "_digest",
        "_expected",
        "_failure",
        "_held",
        "_info",
        "_left",
        "_received",
        "_span",
        "_started",
        "_verified",
    )

    def __init__(
        self,
        info: ObjectInfo,
        chunks: AsyncIterator[bytes],
        *,
        span: range | None = None,
    ) -> None:
        self._info = info
        self._chunks: AsyncIterator[bytes] | None = chunks
        self._span = span
        self._expected = info.size if span is None else len(span)
        self._received = 0
        self._held = b""
        self._left = b""
        self._started = False
        self._failure: CoatcheckError | None = None
        self._digest: StreamDigest | None = None
        self._verified = Verified.LENGTH
        if span is None and info.sha256 is not None:
            self._digest = StreamDigest(DigestAlgorithm.SHA256, info.sha256)
            self._verified = Verified.SHA256

    @property
    def info(self) -> ObjectInfo:
        return self._info

    @property
    def range(self) -> range:
        return range(self._info.size) if self._span is None else self._span

    @property
    def verified(self) -> Verified:
        return self._verified

    def pin(
        self, algorithm: DigestAlgorithm, digest: str, *, size: int | None = None
    ) -> None:
        if self._started:
            raise InvalidInput("a reader is pinned before its first read")
        if self._span is not None:
            raise InvalidInput("a range cannot be pinned to the digest of the whole")
        self._digest = StreamDigest(algorithm, digest)
        self._verified = Verified.DIGEST
        if size is not None and size != self._expected:
            self._failure = self._mismatch(f"has {self._expected} bytes, not {size}")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = self._left or await self._next()
        self._left = b""
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def read(self, size: int = -1) -> bytes:
        pieces: list[bytes] = []
        try:
            await self._gather(size if size >= 0 else self._expected, pieces)
        except CoatcheckError:
            raise
        except BaseException:
            self._left = b"".join([*pieces, self._left])
            raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _gather(self, wanted: int, pieces: list[bytes]) -> None:
        """Add the next bytes to the pieces, fewer than wanted only at the end."""
        while wanted > 0:
            chunk = self._left or await self._next()
            self._left = b""
            if not chunk:
                break
            if len(chunk) > wanted:
                chunk, self._left = chunk[:wanted], chunk[wanted:]
            pieces.append(chunk)
            wanted -= len(chunk)
        if self._expected == 0:
            # Nothing to read, but nothing is not yet what was pinned.
            await self._next()

    async def _next(self) -> bytes:
        """Return the next chunk that may be released, `b""` at the end."""
        if self._failure is not None:
            raise self._failure
        try:
            return await self._advance()
        except CoatcheckError as failure:
            self._failure = failure
            raise

    async def _advance(self) -> bytes:
        while not self._at_end():
            self._started = True
            chunk = None if self._chunks is None else await anext(self._chunks, None)
            if chunk is None:
                raise self._mismatch(
                    f"ended after {self._received} of {self._expected} bytes"
                )
            self._received += len(chunk)
            if self._received > self._expected:
                raise self._mismatch(f"has more than {self._expected} bytes")
            released, self._held = self._held, chunk
            if self._digest is not None:
                await self._take(self._digest, chunk, released)
            if released:
                return released
        more = None if self._chunks is None else await anext(self._chunks, None)
        if more:
            raise self._mismatch(f"has more than {self._expected} bytes")
        self._chunks = None
        await self._check_digest()
        last, self._held = self._held, b""
        return last

    def _at_end(self) -> bool:
        return self._received == self._expected

    async def _take(self, digest: StreamDigest, chunk: bytes, released: bytes) -> None:
        try:
            await digest.take(chunk)
        except BaseException:
            self._left = released
            raise

    async def _check_digest(self) -> None:
        if self._digest is None:
            return
        if not await self._digest.is_as_expected():
            raise self._mismatch(f"does not match its {self._verified.value}")
        self._digest = None

    def _mismatch(self, what: str) -> IntegrityError:
        return IntegrityError(
            f"object {self._info.key!a} {what}; it was damaged or replaced",
            key=self._info.key,
        )


if TYPE_CHECKING:
    _conforms: Callable[..., Reader] = VerifiedReader
