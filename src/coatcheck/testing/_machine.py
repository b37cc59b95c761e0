"""A random walk over a bucket beside a plain dict that says what must be there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from coatcheck._core.expiry import Expiry, TimeToIdle, TimeToLive
from coatcheck.abc import Capability, PutInfo
from coatcheck.errors import CoatcheckError
from coatcheck.wrappers import ExpiringBucket, expiring

from ._bodies import pattern
from ._clock import ManualClock
from ._stage import WalkDeviation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from types import TracebackType

    from anyio.from_thread import BlockingPortal

    from coatcheck.abc import Backend, Part, Upload
    from coatcheck.wrappers import AnyBucket

    from ._stage import Subject

_T = TypeVar("_T")

KEYS: Final = ("a", "a/b", "a/b/c", "a.b", "A", "\u00e9 %41", "b", "x" * 300)
SOURCES: Final = st.runner().flatmap(lambda walk: st.sampled_from(walk.keys))
CONTROL: Final = ".coatcheck/"
"""What keys of coatcheck's own begin with."""


class _Long(bytes):
    """A body that does not fill pages when a walk is printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"pattern({len(self)})"


BODIES: Final = st.binary(max_size=12) | st.sampled_from(
    [_Long(pattern(5000)), _Long(pattern(70_000))]
)
GRACE: Final = timedelta(minutes=5)
"""How long what has expired is left to reapers where an ETag is no generation."""
POLICIES: Final = st.sampled_from(
    [
        None,
        None,
        TimeToLive(timedelta(minutes=10)),
        TimeToIdle(timedelta(minutes=10)),
        TimeToIdle(timedelta(days=8)),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the model knows of one object."""

    body: bytes
    etag: str
    origin: str | None = None
    expiry: Expiry | None = None
    deadline: datetime | None = None
    created: datetime | None = None


class _Leeway:
    """Forgives a failure in its block, if the subject declares the deviation."""

    def __init__(self, walk: BucketWalk, deviation: WalkDeviation | None) -> None:
        self._walk = walk
        self._deviation = deviation

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        declared = self._deviation in self._walk.subject.walk_deviations
        forgiven = declared and isinstance(exc, AssertionError | CoatcheckError)
        if forgiven and self._deviation is not None:
            self._walk.shown.add(self._deviation)
        return forgiven


class BucketWalk(RuleBasedStateMachine):
    """What all rules stand on: an open bucket, a clock, and the model.

    Subclasses get their subject and portal from `run_machine`.
    """

    subject_type: ClassVar[type[Subject]]
    portal: ClassVar[BlockingPortal]
    steps: ClassVar[int] = 0
    shown: ClassVar[set[WalkDeviation]]

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="coatcheck-machine-")
        self.clock = ManualClock()
        self.subject = self.subject_type(self.clock, Path(self._folder.name))
        self.keys = tuple(filter(self.subject.storable, KEYS))
        self.model: dict[str, Held] = {}
        self.over: dict[str, datetime] = {}
        self.parts: dict[Upload, dict[int, tuple[bytes, Part]]] = {}
        self.infos: dict[Upload, PutInfo] = {}
        self.abandoned: list[Backend] = []
        self.serial = 0

    @initialize()
    def open(self) -> None:
        """Open the first backend."""
        self.backend = self.subject.backend()
        self.run(self.backend.__aenter__)
        self._look()

    def _look(self) -> None:
        self.raw: AnyBucket = self.subject.bucket(self.backend)
        self.bucket: ExpiringBucket = expiring(self.raw, grace=GRACE)
        self.generations = Capability.GENERATION in self.bucket.capabilities

    def reopen(self, *, dirty: bool) -> None:
        """Go on with another backend; a dirty restart does not close this one."""
        if dirty:
            self.abandoned.append(self.backend)
            self.subject.litter()
        else:
            self.run(self.backend.aclose)
        self.open()

    def teardown(self) -> None:
        """Look at everything once more, and close all backends."""
        try:
            if hasattr(self, "bucket"):
                self.check_everything()
        finally:
            for backend in (*self.abandoned, getattr(self, "backend", None)):
                if backend is not None:
                    self.run(backend.aclose)
            self.run(self.subject.discard)
            self._folder.cleanup()

    def run(self, call: Callable[..., Awaitable[_T]], *args: Any, **named: Any) -> _T:
        """Await a call in the portal's event loop, and count the step."""

        async def called() -> _T:
            return await call(*args, **named)

        type(self).steps += 1
        return self.portal.call(called)

    def fails(
        self, error: type[Exception], call: Any, *args: Any, **named: Any
    ) -> None:
        """Check that a call fails, with this error."""
        try:
            self.run(call, *args, **named)
        except error:
            return
        raise AssertionError(f"no {error.__name__}")

    def deviating(self, deviation: WalkDeviation) -> _Leeway:
        """Hold the storage to what the block asserts, unless it deviates in this."""
        return _Leeway(self, deviation)

    def creating(self, key: str) -> _Leeway:
        """Hold the storage to a creation, unless the key may be a folder to it."""
        is_folder = any(other.startswith(f"{key}/") for other in self.keys)
        return _Leeway(self, WalkDeviation.FOLDERS if is_folder else None)

    def clear(self, key: str) -> None:
        """Delete what a refused creation left or did not leave."""
        self.run(self.raw.delete, key)
        self.forget(key)

    def info(self, expiry: Expiry | None = None) -> PutInfo:
        """Return metadata that no other write has."""
        self.serial += 1
        now = self.clock()
        deadline = None if expiry is None else now + expiry.duration
        return PutInfo(origin=f"write {self.serial}", expiry=expiry, deadline=deadline)

    def keep(self, key: str, body: bytes, etag: str, info: PutInfo) -> None:
        """Let the model know of a write."""
        self.model[key] = Held(
            body=body,
            etag=etag,
            origin=info.origin,
            expiry=info.expiry,
            deadline=info.deadline,
            created=self.clock(),
        )
        self.over.pop(key, None)

    def forget(self, key: str) -> None:
        """Let the model know of a deletion."""
        self.model.pop(key, None)
        self.over.pop(key, None)

    def forget_expired(self) -> None:
        """Let the model lose what is over; it stands there until it is reaped."""
        now = self.clock()
        for key, held in tuple(self.model.items()):
            if held.deadline is not None and held.deadline <= now:
                self.over[key] = held.deadline
                del self.model[key]

    def due(self) -> set[str]:
        """Return what a reaper may delete now."""
        grace = timedelta(0) if self.generations else GRACE
        now = self.clock()
        return {key for key, deadline in self.over.items() if deadline + grace <= now}

    def check_stored(self) -> None:
        """Compare what is listed beside the expiry wrapper with the model."""

        async def listed() -> set[str]:
            return {e.key async for page in self.raw.scan() for e in page.entries}

        stored = {key for key in self.run(listed) if not key.startswith(CONTROL)}
        assert stored == {*self.model, *self.over}

    def check_object(self, key: str) -> None:
        """Compare one object with the model, without reading its body."""
        info, held = self.run(self.bucket.head, key), self.model[key]
        assert (info.key, info.size, info.etag) == (key, len(held.body), held.etag)
        assert (info.origin, info.expiry) == (held.origin, held.expiry)
        assert (info.deadline, info.created) == (held.deadline, held.created)

    def check_everything(self) -> None:
        """Compare all objects and uploads that are listed with the model."""
        assert self.run(self.listed, "", None) == sorted(self.model, key=str.encode)
        for key in self.model:
            self.check_object(key)
        self.check_uploads()

    def check_uploads(self) -> dict[Upload, datetime]:
        """Compare what is in progress with the model; return when each began."""

        async def listed() -> set[Upload]:
            return {upload async for upload in self.bucket.list_uploads()}

        found = {upload: upload.started for upload in self.run(listed)}
        assert set(found) == set(self.parts)
        for upload in self.parts:
            with self.deviating(WalkDeviation.DATES_UPLOADS):
                assert found[upload] == upload.started
        return found

    async def listed(self, prefix: str, delimiter: str | None) -> list[str]:
        """Return what a scan lists."""
        found: list[str] = []
        async for page in self.bucket.scan(prefix, delimiter=delimiter):
            found += sorted(
                [*(entry.key for entry in page.entries), *page.prefixes],
                key=str.encode,
            )
        return found

    async def body_of(self, key: str) -> bytes:
        """Read an object in pieces."""
        async with self.bucket.get(key) as reader:
            return b"".join([chunk async for chunk in reader])

    def renewed(self, held: Held) -> Held:
        """Return what the model knows after a read: TimeToIdle may count anew."""
        if not isinstance(held.expiry, TimeToIdle) or held.deadline is None:
            return held
        idle = held.expiry.duration
        fresh = self.clock() + idle
        if held.deadline >= fresh - min(idle / 4, timedelta(days=1)):
            return held
        return replace(held, deadline=fresh)


async def failing(body: bytes) -> AsyncGenerator[bytes]:
    """Yield a body and then fail."""
    yield body
    raise ZeroDivisionError
