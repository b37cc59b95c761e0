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
from coatcheck.abc import PutInfo
from coatcheck.wrappers import ExpiringBucket, expiring

from ._bodies import pattern
from ._clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.from_thread import BlockingPortal

    from coatcheck.abc import Backend
    from coatcheck.wrappers import AnyBucket

    from ._stage import Subject

_T = TypeVar("_T")

KEYS: Final = ("a", "a/b", "a/b/c", "a.b", "A", "\u00e9 %41", "b", "x" * 300)
SOURCES: Final = st.sampled_from(KEYS)
BODIES: Final = st.binary(max_size=12) | st.sampled_from(
    [pattern(5000), pattern(70_000)]
)
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


class BucketWalk(RuleBasedStateMachine):
    """What all rules stand on: an open bucket, a clock, and the model.

    Subclasses get their subject and portal from `run_machine`.
    """

    subject_type: ClassVar[type[Subject]]
    portal: ClassVar[BlockingPortal]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="coatcheck-machine-")
        self.clock = ManualClock()
        self.subject = self.subject_type(self.clock, Path(self._folder.name))
        self.model: dict[str, Held] = {}
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
        self.bucket: ExpiringBucket = expiring(self.raw)

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

    def forget_expired(self) -> None:
        """Let the model lose what is over."""
        now = self.clock()
        self.model = {
            key: held
            for key, held in self.model.items()
            if held.deadline is None or now < held.deadline
        }

    def check_object(self, key: str) -> None:
        """Compare one object with the model, without reading its body."""
        info, held = self.run(self.bucket.head, key), self.model[key]
        assert (info.key, info.size, info.etag) == (key, len(held.body), held.etag)
        assert (info.origin, info.expiry) == (held.origin, held.expiry)
        assert (info.deadline, info.created) == (held.deadline, held.created)

    def check_everything(self) -> None:
        """Compare all that is listed with the model."""
        assert self.run(self.listed, "", None) == sorted(self.model, key=str.encode)
        for key in self.model:
            self.check_object(key)

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
