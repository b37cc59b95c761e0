"""Share links as a bucket: each link is the key of one object that can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from coatcheck._core.writes import Limits, Write
from coatcheck.abc import NO_INFO
from coatcheck.errors import UnsupportedOperation

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from coatcheck.abc import (
        Backend,
        Body,
        Bucket,
        ByteRange,
        Capability,
        ObjectInfo,
        PutInfo,
        Reader,
        Receipt,
        WriteMode,
    )

    from ._backend import LinkBackend


class LinkBucket:
    """What the links of a backend open; nothing can be written.

    Args:
        backend: The backend that fetches them.
        name: What errors call it.
    """

    def __init__(self, backend: LinkBackend, name: str) -> None:
        self._links = backend
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def backend(self) -> Backend:
        return self._links

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset()

    @property
    def limits(self) -> Limits:
        return Limits()

    async def put(
        self,
        key: str,  # noqa: ARG002  # refused whatever it is, and so below
        body: Body,  # noqa: ARG002
        *,
        info: PutInfo = NO_INFO,  # noqa: ARG002
        mode: WriteMode = Write.OVERWRITE,  # noqa: ARG002
        size: int | None = None,  # noqa: ARG002
    ) -> Receipt:
        _refuse()

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        if if_match is not None or if_none_match is not None:
            raise UnsupportedOperation("a share link is read without conditions")
        return self._links.get(key, byte_range=byte_range)

    async def head(self, key: str) -> ObjectInfo:
        async with self._links.get(key) as reader:
            return reader.info

    async def delete(
        self,
        key: str,  # noqa: ARG002
        *,
        if_match: str | None = None,  # noqa: ARG002
    ) -> None:
        _refuse()


def _refuse() -> NoReturn:
    raise UnsupportedOperation("a share link only reads", backend="https")


if TYPE_CHECKING:
    _conforms: type[Bucket] = LinkBucket
