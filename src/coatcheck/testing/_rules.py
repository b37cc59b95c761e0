"""The steps of the random walk."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, multiple, rule, run_state_machine_as_test

from coatcheck._core.expiry import TimeToIdle
from coatcheck.abc import ByteSpan, PutInfo, Update, Upload, Write
from coatcheck.errors import (
    AlreadyExists,
    ExpiryNotExtendable,
    InvalidInput,
    InvalidRange,
    NotFound,
    ObjectNotFound,
    PreconditionFailed,
)
from coatcheck.wrappers import reap

from ._bodies import stream
from ._machine import BODIES, GRACE, POLICIES, SOURCES, BucketWalk, failing
from ._stage import WalkDeviation

if TYPE_CHECKING:
    from coatcheck._core.expiry import Expiry

    from ._stage import Subject

STEPS_A_RUN: Final = 60
DAY: Final = timedelta(days=1)
INSTANT: Final = timedelta(microseconds=1)


class BucketMachine(BucketWalk):
    """All steps, for a bucket that has every ability but SIGN."""

    uploads: Bundle[Upload] = Bundle("uploads")

    @rule(key=SOURCES, body=BODIES, expiry=POLICIES, flows=st.booleans())
    def put(self, key: str, body: bytes, expiry: Expiry | None, *, flows: bool) -> None:
        """Overwrite, whole or as a stream."""
        info = self.info(expiry)
        given = stream(body, 1000) if flows else body
        receipt = self.run(self.bucket.put, key, given, info=info)
        assert receipt.size == len(body)
        self.keep(key, body, receipt.etag, info)
        self.check_object(key)

    @rule(key=SOURCES, body=BODIES, expiry=POLICIES, flows=st.booleans())
    def create(
        self, key: str, body: bytes, expiry: Expiry | None, *, flows: bool
    ) -> None:
        """Write where nothing is."""
        info = self.info(expiry)
        given = stream(body, 1000) if flows else body
        call = self.bucket.put
        if key in self.model:
            self.fails(AlreadyExists, call, key, given, info=info, mode=Write.CREATE)
            return
        with self.creating(key):
            receipt = self.run(call, key, given, info=info, mode=Write.CREATE)
            self.keep(key, body, receipt.etag, info)
            return
        self.clear(key)

    @rule(key=SOURCES, body=BODIES, right=st.booleans())
    def update(self, key: str, body: bytes, *, right: bool) -> None:
        """Write over one generation."""
        info, put = self.info(), self.bucket.put
        if key not in self.model or not right:
            mode = Update("other")
            self.fails(PreconditionFailed, put, key, body, info=info, mode=mode)
            return
        mode = Update(self.model[key].etag)
        receipt = self.run(put, key, body, info=info, mode=mode)
        self.keep(key, body, receipt.etag, info)

    @rule(key=SOURCES, body=BODIES)
    def fail_to_put(self, key: str, body: bytes) -> None:
        """Write a body that ends in an error."""
        self.fails(ZeroDivisionError, self.bucket.put, key, failing(body))

    @rule(key=SOURCES)
    def get(self, key: str) -> None:
        """Read a whole object."""
        if key not in self.model:
            self.fails(ObjectNotFound, self.body_of, key)
            return
        held = self.model[key]
        assert self.run(self.body_of, key) == held.body
        renewed = self.renewed(held)
        if renewed != held:
            etag = self.run(self.bucket.head, key).etag
            assert etag != held.etag or not self.generations
            self.model[key] = replace(renewed, etag=etag)
        self.check_object(key)

    @rule(key=SOURCES, start=st.integers(0, 80_000), length=st.integers(1, 80_000))
    def get_range(self, key: str, start: int, length: int) -> None:
        """Read some bytes of an object, beside the expiry wrapper."""
        # No assumption: a walk that breaks one is thrown away as a whole.
        if key not in self.model:
            return
        body = self.model[key].body
        span = ByteSpan(start % (len(body) + 3), start % (len(body) + 3) + length)

        async def read() -> bytes:
            async with self.raw.get(key, byte_range=span) as reader:
                return await reader.read()

        if span.start >= len(body):
            self.fails(InvalidRange, read)
        else:
            assert self.run(read) == body[span.start : span.stop]

    @rule(source=SOURCES, key=SOURCES, expiry=POLICIES, own=st.booleans())
    def copy(self, source: str, key: str, expiry: Expiry | None, *, own: bool) -> None:
        """Copy, also onto itself, with metadata of its own or the source's."""
        info = self.info(expiry) if own else None
        copy = self.bucket.copy_from
        if source not in self.model:
            self.fails(ObjectNotFound, copy, self.bucket, source, key, info=info)
            return
        held = self.model[source]
        receipt = self.run(copy, self.bucket, source, key, info=info)
        taken = PutInfo(origin=held.origin, expiry=held.expiry, deadline=held.deadline)
        self.keep(key, held.body, receipt.etag, info or taken)
        self.check_object(key)

    @rule(key=SOURCES, conditional=st.booleans(), right=st.booleans())
    def delete(self, key: str, *, conditional: bool, right: bool) -> None:
        """Delete, perhaps only one generation."""
        held = self.model.get(key)
        if held is not None and conditional and not right:
            delete = self.bucket.delete
            self.fails(PreconditionFailed, delete, key, if_match="other")
            return
        etag = held.etag if conditional and held is not None else None
        self.run(self.bucket.delete, key, if_match=etag)
        self.forget(key)

    @rule(key=SOURCES, expiry=POLICIES, right=st.booleans())
    def update_info(self, key: str, expiry: Expiry | None, *, right: bool) -> None:
        """Change metadata."""
        info, update = self.info(expiry), self.bucket.update_info
        held = self.model.get(key)
        if held is None:
            self.fails(NotFound, update, key, info, if_match="none")
        elif not right:
            self.fails(PreconditionFailed, update, key, info, if_match="other")
        else:
            receipt = self.run(update, key, info, if_match=held.etag)
            self.model[key] = replace(
                held,
                etag=receipt.etag,
                origin=info.origin,
                expiry=info.expiry,
                deadline=info.deadline,
            )
            self.check_object(key)

    @rule(key=SOURCES)
    def touch(self, key: str) -> None:
        """Let a TimeToIdle count from now."""
        held = self.model.get(key)
        if held is None:
            self.fails(ObjectNotFound, self.bucket.touch, key)
        elif held.expiry is None:
            assert self.run(self.bucket.touch, key) is None
        elif not isinstance(held.expiry, TimeToIdle):
            self.fails(ExpiryNotExtendable, self.bucket.touch, key)
        else:
            deadline = self.run(self.bucket.touch, key)
            assert deadline == self.clock() + held.expiry.duration
            etag = self.run(self.bucket.head, key).etag
            self.model[key] = replace(held, deadline=deadline, etag=etag)

    @rule(prefix=st.sampled_from(["", "a", "a/", "none"]), folded=st.booleans())
    def scan(self, prefix: str, *, folded: bool) -> None:
        """List a part."""
        found = self.run(self.listed, prefix, "/" if folded else None)
        wanted: set[str] = set()
        for key in self.model:
            slash = key.find("/", len(prefix)) if folded else -1
            if key.startswith(prefix):
                wanted.add(key if slash < 0 else key[: slash + 1])
        # A common prefix may be shown although all behind it has expired.
        extra = [each for each in found if each not in wanted]
        assert all(folded and each.endswith("/") for each in extra)
        kept = [each for each in found if each in wanted]
        assert kept == sorted(wanted, key=str.encode)

    @rule(by=st.sampled_from([0.001, 60, 299, 300, 599.999, 600, 86_400, 700_000]))
    def advance(self, by: timedelta | float) -> None:
        """Let time pass."""
        self.clock.advance(by)
        self.forget_expired()

    @rule(past=st.sampled_from([-INSTANT, 0 * INSTANT, GRACE - INSTANT, GRACE]))
    def approach(self, past: timedelta) -> None:
        """Let time pass until something is about to expire or to be reaped."""
        now = self.clock()
        deadlines = [*self.over.values(), *(h.deadline for h in self.model.values())]
        moments = [each + past for each in deadlines if each is not None]
        self.advance(min((m - now for m in moments if m > now), default=0 * INSTANT))

    @rule()
    def reap(self) -> None:
        """Delete what has expired: then nothing else is there, for nobody."""
        due = self.due()
        reaped = self.run(reap, self.bucket)
        assert (reaped.deleted, reaped.failed) == (len(due), 0)
        for key in due:
            self.forget(key)
        self.check_stored()
        self.check_everything()

    @rule(dirty=st.booleans())
    def restart(self, *, dirty: bool) -> None:
        """Close and open again, or open again without having closed."""
        self.reopen(dirty=dirty)
        self.check_everything()

    @rule(target=uploads, key=SOURCES, expiry=POLICIES)
    def initiate(self, key: str, expiry: Expiry | None) -> Any:
        """Begin an upload."""
        if len(self.parts) >= 5:
            return multiple()
        info = self.info(expiry)
        upload = self.run(self.bucket.initiate, key, info=info)
        self.parts[upload], self.infos[upload] = {}, replace(info, created=self.clock())
        return upload

    @rule(upload=uploads, number=st.integers(1, 4), body=BODIES, full=st.booleans())
    def put_part(self, upload: Upload, number: int, body: bytes, *, full: bool) -> None:
        """Store or replace a part, long enough for others to follow or perhaps not."""
        body = body + b"!" * (max(self.bucket.limits.min_part, 1) if full else 1)
        put = self.bucket.put_part
        if upload not in self.parts:
            with self.deviating(WalkDeviation.FORGETS_UPLOADS):
                self.fails(NotFound, put, upload, number, body, size=len(body))
            return
        part = self.run(put, upload, number, body, size=len(body))
        self.parts[upload][number] = (body, part)

    @rule(upload=uploads)
    def complete(self, upload: Upload) -> None:
        """Join the parts."""
        parts = self.parts.get(upload)
        if not parts:
            # Nothing to join; or it was completed, and its object may still stand.
            return
        given = [part for _, (_, part) in sorted(parts.items())]
        if any(part.size < self.bucket.limits.min_part for part in given[:-1]):
            self.fails(InvalidInput, self.bucket.complete, upload, given)
            return
        with self.creating(upload.key):
            receipt = self.run(self.bucket.complete, upload, given)
            body = b"".join(body for _, (body, _) in sorted(parts.items()))
            assert receipt.size == len(body)
            info = self.infos[upload]
            self.keep(upload.key, body, receipt.etag, info)
            held = self.model[upload.key]
            self.model[upload.key] = replace(held, created=info.created)
            del self.parts[upload]
            self.forget_expired()
            return
        self.abort(upload)
        self.clear(upload.key)

    @rule(upload=uploads)
    def abort(self, upload: Upload) -> None:
        """Drop an upload, also one that is gone."""
        self.run(self.bucket.abort, upload)
        self.parts.pop(upload, None)

    @rule()
    def sweep(self) -> None:
        """Remove what is older than a day; the younger uploads stay."""
        started = self.check_uploads()
        self.run(self.bucket.sweep, older_than=DAY)
        now = self.clock()
        self.parts = {
            upload: parts
            for upload, parts in self.parts.items()
            if now - started[upload] < DAY
        }
        self.check_uploads()
        self.check_everything()


def run_machine(
    subject: type[Subject], *, steps: int, randomly: bool = False, shrink: bool = True
) -> int:
    """Walk at random over buckets of a subject, and compare with the model.

    Args:
        subject: What is walked on; a new one for each run of 60 steps or fewer.
        steps: The least number of calls to make in all.
        randomly: Walk another way each time, instead of always the same.
        shrink: Look for the shortest walk that fails; it takes minutes where each
            step is a request.

    Returns:
        The number of calls that were made.

    Raises:
        AssertionError: The bucket and the model disagree; hypothesis prints the
            shortest walk that shows it. Or a deviation that the subject declares
            showed nowhere on a random walk.
    """
    with start_blocking_portal() as portal:
        shared = {
            "subject_type": subject,
            "portal": portal,
            "steps": 0,
            "shown": set[WalkDeviation](),
        }
        machine = cast(
            "type[BucketMachine]",
            type(f"{subject.__name__}Machine", (BucketMachine,), shared),
        )
        while machine.steps < steps:
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=max((steps - machine.steps) // STEPS_A_RUN, 5),
                    stateful_step_count=STEPS_A_RUN,
                    deadline=None,
                    database=None,
                    derandomize=not randomly,
                    phases=(Phase.generate, *((Phase.shrink,) if shrink else ())),
                    suppress_health_check=[
                        HealthCheck.too_slow,
                        HealthCheck.data_too_large,
                    ],
                ),
            )
        unseen = set(subject.walk_deviations) - machine.shown
        # The same short walk may never come by; many random ones do.
        assert not (randomly and unseen), f"declared, but not seen: {unseen}"
        return machine.steps
