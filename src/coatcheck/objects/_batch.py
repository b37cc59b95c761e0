"""Many operations of one session at once, each with a result of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from coatcheck._core.expiry import Expiry
from coatcheck.abc import Body
from coatcheck.errors import CoatcheckError
from coatcheck.wrappers import in_parallel

from ._metadata import Metadata
from ._reading import SessionReading
from ._upkeep import SessionUpkeep
from ._usecase import Compression, Default
from ._writing import SessionWriting

if TYPE_CHECKING:
    from collections.abc import Iterable

_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Put:
    """Store an object; the fields are those of `Session.put`."""

    contents: Body
    key: str | None = None
    compression: Compression | None = None
    precompressed: str | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] | None = None
    expiration_policy: Expiry | Default | None = Default.USECASE
    origin: str | None = None
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class Get:
    """Read an object, decompressed."""

    key: str


@dataclass(frozen=True, slots=True)
class Head:
    """Look at an object."""

    key: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object; an absent one is success."""

    key: str


BatchOperation: TypeAlias = Put | Get | Head | Delete


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchResult:
    """What became of one operation."""

    key: str | None
    """The object's key; None when a put that should have made one failed."""
    metadata: Metadata | None = None
    """What is known of the object, after Get and Head."""
    payload: bytes | None = None
    """Its payload, after Get."""
    error: CoatcheckError | None = None
    """Why the operation failed."""

    def unwrap(self) -> BatchResult:
        """Return the result, or raise the operation's error."""
        if self.error is not None:
            raise self.error
        return self


class SessionBatches(SessionReading, SessionWriting, SessionUpkeep):
    """The verb of many objects."""

    async def many(
        self, operations: Iterable[BatchOperation], *, at_once: int = _AT_ONCE
    ) -> list[BatchResult]:
        """Do many things, several at a time, in no order among each other.

        Each operation stands for itself: one that fails stops none of the others.

        Args:
            operations: What to do; taken one by one, so it may be a generator.
            at_once: The most operations under way.

        Returns:
            The results in the order of the operations.

        Raises:
            Closed: The client is not open.
        """
        _ = self._bucket
        return await in_parallel(operations, self._result_of, at_once=at_once)

    async def _result_of(self, operation: BatchOperation) -> BatchResult:
        try:
            return await self._done(operation)
        except CoatcheckError as error:
            return BatchResult(key=operation.key, error=error)

    async def _done(self, operation: BatchOperation) -> BatchResult:
        match operation:
            case Put():
                return BatchResult(key=await self._put(operation))
            case Get(key):
                async with self.get(key) as result:
                    payload = await result.payload.read()
                return BatchResult(key=key, metadata=result.metadata, payload=payload)
            case Head(key):
                return BatchResult(key=key, metadata=await self.head(key))
            case Delete(key):
                await self.delete(key)
                return BatchResult(key=key)

    async def _put(self, operation: Put) -> str:
        return await self.put(
            operation.contents,
            operation.key,
            compression=operation.compression,
            precompressed=operation.precompressed,
            content_type=operation.content_type,
            metadata=operation.metadata,
            expiration_policy=operation.expiration_policy,
            origin=operation.origin,
            filename=operation.filename,
        )
