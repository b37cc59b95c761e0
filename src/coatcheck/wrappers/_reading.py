"""Reads and readers that hand everything to others; wrappers override some."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Self

    from coatcheck.abc import DigestAlgorithm, ObjectInfo, Reader, Verified


class ForwardingRead:
    """What `get` returns, around what another `get` returned.

    Args:
        read: The inner context manager.
    """

    def __init__(self, read: AbstractAsyncContextManager[Reader]) -> None:
        self._read = read

    async def __aenter__(self) -> Reader:
        return await self._read.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._read.__aexit__(exc_type, exc, traceback)


class ForwardingReader:
    """A reader around a reader.

    Args:
        reader: The inner one.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._chunks = aiter(reader)

    @property
    def info(self) -> ObjectInfo:
        return self._reader.info

    @property
    def range(self) -> range:
        return self._reader.range

    @property
    def verified(self) -> Verified:
        return self._reader.verified

    def pin(
        self, algorithm: DigestAlgorithm, digest: str, *, size: int | None = None
    ) -> None:
        self._reader.pin(algorithm, digest, size=size)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._chunks)

    async def read(self, size: int = -1) -> bytes:
        return await self._reader.read(size)
