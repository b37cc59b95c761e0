"""Every wrapper keeps the contract of what it wraps."""

from __future__ import annotations

from datetime import timedelta

from tests.subjects import FilesSubject, MemorySubject

from coatcheck.testing import BackendContract, FaultyBucket
from coatcheck.wrappers import (
    ForwardingBucket,
    Guard,
    LinkSigner,
    expiring,
    linked,
    scoped,
)


def guarded(bucket):
    """Let a bucket's calls have deadlines and slots."""
    guard = Guard(total_timeout=timedelta(seconds=30), concurrency=8)
    return guard.around(FaultyBucket(bucket, immediate=False))


def answered(bucket):
    """Let a bucket have links."""
    signer = LinkSigner("a key of sixteen bytes or more")
    return linked(bucket, public_url="https://coats.example", signer=signer)


class Forwarded(MemorySubject):
    """A bucket that only forwards."""

    def bucket(self, backend, name="contract"):
        return ForwardingBucket(backend.bucket(name))


class Scoped(MemorySubject):
    """The part of a bucket behind a short prefix, so that long keys still fit."""

    deviations = {  # noqa: RUF012  # ClassVar in the base
        "test_keys_stay_apart": "the prefix takes two bytes of the longest key",
    }

    def bucket(self, backend, name="contract"):
        bucket = backend.bucket(name)
        return scoped(bucket, "p/")


class Guarded(MemorySubject):
    """A bucket within bounds."""

    def bucket(self, backend, name="contract"):
        return guarded(backend.bucket(name))


class Expiring(MemorySubject):
    """A bucket in which expired objects do not exist."""

    def bucket(self, backend, name="contract"):
        return expiring(backend.bucket(name))


class Linked(MemorySubject):
    """A bucket whose links a service answers."""

    def bucket(self, backend, name="contract"):
        return answered(backend.bucket(name))


class Stacked(FilesSubject):
    """Files under all wrappers, as the facade stacks them."""

    deviations = Scoped.deviations

    def bucket(self, backend, name="contract"):
        return expiring(guarded(answered(backend.bucket(name, "p/"))))


class TestForwarding(BackendContract):
    """The base of wrappers."""

    subject = Forwarded


class TestScoped(BackendContract):
    """`scoped`."""

    subject = Scoped


class TestGuarded(BackendContract):
    """`Guard`, around `FaultyBucket`."""

    subject = Guarded


class TestGuardedOnTrio(BackendContract):
    """`Guard` under trio."""

    subject = Guarded
    loop = "trio"


class TestExpiring(BackendContract):
    """`expiring`."""

    subject = Expiring


class TestLinked(BackendContract):
    """`linked`."""

    subject = Linked


class TestStacked(BackendContract):
    """All of them around files."""

    subject = Stacked
