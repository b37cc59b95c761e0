"""The stage on which a contract's scenarios are played, and how they are run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import anyio
import pytest

from coatcheck.abc import Capability, innermost, require
from coatcheck.errors import UnsupportedOperation
from coatcheck.wrappers import closed_after

from ._clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from pathlib import Path

    from coatcheck.abc import Backend, ByteRange
    from coatcheck.wrappers import AnyBucket

_ContractT = TypeVar("_ContractT", bound="Contract")
BUCKET = "contract"


class WalkDeviation(StrEnum):
    """What a storage may be unable to do as `run_machine` expects it."""

    DATES_UPLOADS = "uploads in progress are dated by a clock of its own"
    FORGETS_UPLOADS = "an upload that is gone is not answered with NotFound"
    FOLDERS = "nothing is created under a key that is a folder of others"


class Subject(ABC):
    """One storage that the contract is held against; yours is a subclass.

    Args:
        clock: The clock that its backends must go by.
        folder: An empty folder that the subject may use.
    """

    deviations: ClassVar[Mapping[str, str]] = {}
    """Scenarios that the storage cannot pass, by name, each with the reason. They
    are run all the same, and one that passes fails the suite."""

    walk_deviations: ClassVar[Mapping[WalkDeviation, str]] = {}
    """What `run_machine` does not hold the storage to, each with the reason. One that
    shows nowhere fails a random walk."""

    def __init__(self, clock: ManualClock, folder: Path) -> None:
        self.clock = clock
        self.folder = folder

    @abstractmethod
    def backend(self) -> Backend:
        """Return a new backend over the storage, not yet entered.

        All backends of one subject see the same objects.
        """

    def bucket(self, backend: Backend, name: str = BUCKET) -> AnyBucket:
        """Return a bucket of an open backend; override it to test a wrapper."""
        return as_any(backend.bucket(name))

    @abstractmethod
    async def damage(self, bucket: str, key: str, body: bytes) -> None:
        """Replace an object's stored bytes behind the backend's back.

        Args:
            bucket: The bucket's name.
            key: The object's key, as the innermost bucket knows it.
            body: What stands there from now on, under the old metadata.
        """

    def storable(self, key: str) -> bool:  # noqa: ARG002  # overrides look at it
        """Tell whether the storage can hold this canonical key; all can, by default.

        Override it when yours cannot hold some, and say which and why in its
        documentation.
        """
        return True

    def litter(self) -> None:  # noqa: B027  # most storages leave nothing
        """Leave what a process that was killed while it wrote would leave.

        Does nothing unless it is overridden.
        """

    async def discard(self) -> None:  # noqa: B027  # a folder is removed anyway
        """Remove what the storage still keeps, when all backends are closed.

        Does nothing unless it is overridden.
        """


def as_any(bucket: object) -> AnyBucket:
    """Return a bucket typed with all abilities; `capabilities` tells the real ones."""
    return cast("AnyBucket", bucket)


class Stage:
    """An open backend of a subject, and what scenarios do again and again."""

    def __init__(self, subject: Subject, backend: Backend) -> None:
        self.subject = subject
        self.clock = subject.clock
        self.backend = backend
        self.bucket = subject.bucket(backend)

    def second_bucket(self) -> AnyBucket:
        """Return another bucket of the same backend."""
        return self.subject.bucket(self.backend, "second")

    async def reopen(self) -> None:
        """Close the backend and open another one over the same storage."""
        await self.backend.aclose()
        self.backend = self.subject.backend()
        await self.backend.__aenter__()
        self.bucket = self.subject.bucket(self.backend)

    async def read(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes:
        """Read an object or a range of it."""
        async with self.bucket.get(
            key,
            byte_range=byte_range,
            if_match=if_match,
            if_none_match=if_none_match,
        ) as reader:
            return await reader.read()

    async def keys(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
        ordered: bool = True,
    ) -> list[str]:
        """Return what a scan lists, common prefixes among the keys."""
        found: list[str] = []
        pages = self.bucket.scan(prefix, start_after=start_after, delimiter=delimiter)
        async with closed_after(pages):
            async for page in pages:
                assert page.entries or page.prefixes, "an empty page"
                keys = [each.key for each in page.entries]
                for listed in (keys, list(page.prefixes)) if ordered else ():
                    assert listed == sorted(listed, key=str.encode), "not in order"
                found += sorted([*keys, *page.prefixes], key=str.encode)
        return found

    async def expect_empty(self) -> None:
        """Check that the bucket holds nothing, if it can list."""
        if Capability.SCAN in self.bucket.capabilities:
            assert await self.keys() == []

    async def damage(self, key: str, body: bytes) -> None:
        """Replace an object's stored bytes behind the backend's back."""
        inner, inner_key = innermost(self.bucket, key)
        await self.subject.damage(inner.name, inner_key, body)


class Contract:
    """What all groups of scenarios share; a subclass names its subject."""

    subject: ClassVar[type[Subject]]
    """What the scenarios are played on."""
    loop: ClassVar[str] = "asyncio"
    """The event loop: `asyncio` or `trio`."""

    @asynccontextmanager
    async def staged(self, folder: Path) -> AsyncGenerator[Stage]:
        """Open a new subject."""
        subject = self.subject(ManualClock(), folder)
        backend = subject.backend()
        await backend.__aenter__()
        stage = Stage(subject, backend)
        try:
            yield stage
        finally:
            await stage.backend.aclose()
            await subject.discard()


def scenario(
    *needs: Capability,
) -> Callable[
    [Callable[[_ContractT, Stage], Awaitable[None]]],
    Callable[[_ContractT, Path, pytest.FixtureRequest], None],
]:
    """Turn an async method into a test on a stage.

    Args:
        needs: Abilities without which the scenario makes no sense. On a bucket that
            lacks one, asking for it must be refused instead.
    """

    def decorate(
        play: Callable[[_ContractT, Stage], Awaitable[None]],
    ) -> Callable[[_ContractT, Path, pytest.FixtureRequest], None]:
        def test(
            self: _ContractT, tmp_path: Path, request: pytest.FixtureRequest
        ) -> None:
            reason = self.subject.deviations.get(play.__name__)
            if reason is not None:
                request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

            async def played() -> None:
                async with self.staged(tmp_path) as stage:
                    missing = set(needs) - stage.bucket.capabilities
                    for need in missing:
                        _check_refused(stage.bucket, need)
                    if not missing:
                        await play(self, stage)

            anyio.run(played, backend=self.loop)

        test.__name__, test.__qualname__ = play.__name__, play.__qualname__
        test.__doc__, test.__module__ = play.__doc__, play.__module__
        return test

    return decorate


def _check_refused(bucket: AnyBucket, need: Any) -> None:
    with pytest.raises(UnsupportedOperation):
        require(bucket, need)
