"""Many operations of one session at once, each with a result of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from coatcheck._core.expiry import Expiry
from coatcheck._core.media import SNIFFED
from coatcheck.abc import (
    BatchOutcome,
    BatchStep,
    BatchVerb,
    Body,
    Capability,
    require,
)
from coatcheck.errors import CoatcheckError, ObjectNotFound, Unsupported
from coatcheck.payloads._body import OneChunk, whole_bytes
from coatcheck.payloads._compression import decompressed
from coatcheck.wrappers import in_parallel

from ._encoding import compressed_bytes
from ._metadata import Metadata
from ._opening import EVERYTHING
from ._reading import SessionReading
from ._upkeep import SessionUpkeep
from ._usecase import Compression, Default
from ._writing import SessionWriting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_AT_ONCE: Final = 16
_IN_ONE: Final = 100
_BYTES_IN_ONE: Final = 8 * 1024 * 1024


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


_Work: TypeAlias = tuple[BatchOperation, BatchStep | None, BatchOutcome | None]


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

        Each operation stands for itself: one that fails stops none of the others. A
        service takes them a hundred in one request, but for puts that flow or have
        more than 1 MiB.

        Args:
            operations: What to do; taken one by one, so it may be a generator.
            at_once: The most operations under way.

        Returns:
            The results in the order of the operations.

        Raises:
            Closed: The client is not open.
        """
        if Capability.BATCH not in self._bucket.capabilities:
            return await in_parallel(operations, self._result_of, at_once=at_once)
        groups = await in_parallel(
            grouped(operations), self._results_of, at_once=max(1, at_once // _AT_ONCE)
        )
        return [result for group in groups for result in group]

    async def _results_of(
        self, operations: Sequence[BatchOperation]
    ) -> list[BatchResult]:
        """Do some operations in one request, and the others one by one."""
        steps = [await self._step_of(operation) for operation in operations]
        outcomes = iter(
            await self._outcomes_of([step for step in steps if step is not None])
        )

        async def result(work: _Work) -> BatchResult:
            operation, step, outcome = work
            if step is None or outcome is None:
                return await self._result_of(operation)
            return await self._read(operation, step, outcome)

        works = [
            (operation, step, None if step is None else next(outcomes, None))
            for operation, step in zip(operations, steps, strict=True)
        ]
        return await in_parallel(works, result, at_once=_AT_ONCE)

    async def _outcomes_of(self, steps: Sequence[BatchStep]) -> list[BatchOutcome]:
        """Return what became of steps; nothing where there are no batches."""
        if not steps:
            return []
        batch = require(self._bucket, Capability.BATCH)
        try:
            with self._told("many", metered=False, count=len(steps)):
                return await batch.batch(steps)
        except (Unsupported, ObjectNotFound):
            # An older service has no such route.
            return []
        except CoatcheckError as error:
            return [BatchOutcome(error=error) for _ in steps]

    async def _step_of(self, operation: BatchOperation) -> BatchStep | None:
        """Return an operation as a step, None when it must be done by itself."""
        try:
            match operation:
                case Put():
                    return await self._put_step(operation)
                case Get(key):
                    verb = BatchVerb.GET
                case Head(key):
                    verb = BatchVerb.HEAD
                case Delete(key):
                    verb = BatchVerb.DELETE
            return BatchStep(verb=verb, key=self._stored(key))
        except CoatcheckError:
            # Doing it by itself tells what is wrong with it.
            return None

    async def _put_step(self, operation: Put) -> BatchStep | None:
        body = whole_bytes(operation.contents)
        most = self._bucket.limits.max_batch_body
        if body is None or len(body) > most:
            return None
        plan = self._planned(**_put_fields(operation))
        plan = plan.after(body[:SNIFFED])
        if plan.encoding.compresses:
            body = await compressed_bytes(body)
        if len(body) > most:
            return None
        return BatchStep(verb=BatchVerb.PUT, key=plan.stored, body=body, info=plan.info)

    async def _read(
        self, operation: BatchOperation, step: BatchStep, outcome: BatchOutcome
    ) -> BatchResult:
        """Return what became of an operation, its payload decompressed."""
        if outcome.error is not None:
            return BatchResult(key=operation.key, error=outcome.error)
        key = step.key.removeprefix(self._prefix)
        if outcome.info is None:
            return BatchResult(key=key)
        metadata, payload = Metadata.of(outcome.info), outcome.body
        if payload is not None:
            try:
                if EVERYTHING.undoes(outcome.info):
                    chunks = decompressed(OneChunk(payload))
                    payload = b"".join([chunk async for chunk in chunks])
                    metadata = metadata.decoded()
            except CoatcheckError as error:
                return BatchResult(key=key, error=error)
        return BatchResult(key=key, metadata=metadata, payload=payload)

    async def _result_of(self, operation: BatchOperation) -> BatchResult:
        try:
            return await self._done(operation)
        except CoatcheckError as error:
            return BatchResult(key=operation.key, error=error)

    async def _done(self, operation: BatchOperation) -> BatchResult:
        match operation:
            case Put():
                put = self.put(operation.contents, **_put_fields(operation))
                return BatchResult(key=await put)
            case Get(key):
                async with self.get(key) as result:
                    payload = await result.payload.read()
                return BatchResult(key=key, metadata=result.metadata, payload=payload)
            case Head(key):
                return BatchResult(key=key, metadata=await self.head(key))
            case Delete(key):
                await self.delete(key)
                return BatchResult(key=key)


def _put_fields(operation: Put) -> dict[str, Any]:
    """Return a put's fields as `Session.put` takes them, the contents excepted."""
    return {
        each.name: getattr(operation, each.name)
        for each in fields(operation)
        if each.name != "contents"
    }


def grouped(operations: Iterable[BatchOperation]) -> Iterator[list[BatchOperation]]:
    """Yield operations in groups that are not too large to be held."""
    group: list[BatchOperation] = []
    size = 0
    for operation in operations:
        group.append(operation)
        if isinstance(operation, Put) and isinstance(operation.contents, bytes):
            size += len(operation.contents)
        if len(group) == _IN_ONE or size >= _BYTES_IN_ONE:
            yield group
            group, size = [], 0
    if group:
        yield group
