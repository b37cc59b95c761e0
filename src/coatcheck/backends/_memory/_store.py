"""The objects themselves, for any number of event loops and threads."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from coatcheck._core.expiry import utc_now
from coatcheck._core.names import shown
from coatcheck._core.writes import Update, Write
from coatcheck.errors import (
    AlreadyExists,
    AtCapacity,
    InvalidInput,
    ObjectNotFound,
    PreconditionFailed,
)

from ._contents import Contents, HeldUpload, Listing, Record, in_utc, kept_info

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from datetime import datetime

    from coatcheck._core.objects import Page, PutInfo
    from coatcheck._core.writes import Receipt, WriteMode

DEFAULT_MAX_BYTES: Final = 1024**3
_TURN: Final = 64


class MemoryStore:
    """Buckets of objects in memory.

    Every method is one atomic step. One store may stand behind many backends.

    Args:
        max_bytes: The most bytes of bodies, those of upload parts included; None
            is without a bound.
        clock: Tells the time to backends that are given no clock of their own.

    Raises:
        InvalidInput: The bound is not positive.
    """

    def __init__(
        self,
        max_bytes: int | None = DEFAULT_MAX_BYTES,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        if max_bytes is not None and max_bytes < 1:
            raise InvalidInput(f"max_bytes is at least 1, not {max_bytes}")
        self.clock = clock
        self.lock = Lock()
        self._max_bytes = max_bytes
        self._used = 0
        self._buckets: dict[str, Contents] = {}
        self._nonce = uuid4().hex[:16]
        self._tokens = count(1)
        self._calls = count(1)

    @property
    def used(self) -> int:
        """Bytes of all bodies, those of upload parts included."""
        return self._used

    def is_turn(self) -> bool:
        """Count a call, and tell whether others should have their turn first."""
        return next(self._calls) % _TURN == 0

    def token(self) -> str:
        """Return a text that no other call returns; later ones sort later."""
        return f"{self._nonce}-{next(self._tokens):016x}"

    def find(self, bucket: str, key: str) -> Record:
        """Return what stands under the key.

        Raises:
            ObjectNotFound: Nothing does.
        """
        record = self.look(bucket, key)
        if record is None:
            raise absent(bucket, key)
        return record

    def look(self, bucket: str, key: str) -> Record | None:
        """Return what stands under the key, None when nothing does."""
        contents = self._buckets.get(bucket)
        return None if contents is None else contents.records.get(key)

    def check_room(self, bucket: str, key: str, size: int) -> None:
        """Refuse a body that would not fit in place of what stands under the key.

        Raises:
            AtCapacity: It would not.
        """
        with self.lock:
            standing = self.contents(bucket).records.get(key)
            self.reserve(size - _size(standing), dry=True)

    def publish(
        self,
        bucket: str,
        key: str,
        body: bytes,
        info: PutInfo,
        mode: WriteMode,
        *,
        sha256: str | None,
        now: datetime,
    ) -> Receipt:
        """Let a body stand under the key, or recognise that this write did before.

        Raises:
            AlreadyExists: CREATE, and another write's object stands there.
            PreconditionFailed: Update, and another object or none stands there.
            AtCapacity: The body does not fit.
        """
        with self.lock:
            try:
                record = self.keep(
                    bucket, key, body, info, mode, sha256=sha256, now=now
                )
            except (AlreadyExists, PreconditionFailed):
                standing = self.contents(bucket).records.get(key)
                if standing is None or not standing.is_from(info.write_id):
                    raise
                return standing.receipt()
            return record.receipt()

    def create(
        self, bucket: str, key: str, body: bytes, info: PutInfo, *, now: datetime
    ) -> Record | None:
        """Let a body stand under a key that is free.

        Returns:
            What stands there now, None when the key or the room was taken.
        """
        size = len(body)
        with self.lock:
            contents = self._buckets.get(bucket)
            if contents is None or key in contents.records:
                return None
            if self._max_bytes is not None and self._used + size > self._max_bytes:
                return None
            self._used += size
            etag = f"{self._nonce}-{next(self._tokens):016x}"
            # By position, since this is much the cheapest way to call a class.
            record = Record(
                key,
                body,
                size,
                etag,
                now,
                info.created or now,
                info.sha256,
                info,
                info.write_id or etag,
                True,  # it is new
            )
            contents.keep(key, record)
        return record

    def remove(self, bucket: str, key: str, if_match: str | None) -> None:
        """Remove what stands under the key, if anything does.

        Raises:
            PreconditionFailed: It has another ETag.
        """
        with self.lock:
            contents = self.contents(bucket)
            standing = contents.records.get(key)
            if standing is None:
                return
            check_etag(bucket, key, standing, if_match)
            contents.drop(key)
            self.reserve(-_size(standing))
            self.tidy(bucket, contents)

    def update(
        self, bucket: str, key: str, info: PutInfo, if_match: str, *, now: datetime
    ) -> Receipt:
        """Replace the metadata and leave the bytes.

        Raises:
            ObjectNotFound: Nothing stands under the key.
            PreconditionFailed: It has another ETag.
        """
        with self.lock:
            standing = self.find(bucket, key)
            check_etag(bucket, key, standing, if_match)
            record = replace(
                standing,
                etag=self.token(),
                modified=in_utc(now),
                created=in_utc(info.created or standing.created),
                sha256=info.sha256 or standing.sha256,
                info=kept_info(info),
            )
            self.contents(bucket).keep(key, record)
            return record.receipt()

    def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        info: PutInfo | None,
        mode: WriteMode,
        if_match: str | None,
        *,
        now: datetime,
    ) -> Receipt:
        """Let a source's bytes stand under another key.

        Args:
            source: Bucket and key.
            target: Bucket and key.
            info: The new metadata; None takes the source's over.
            mode: When the write may happen.
            if_match: The ETag that the source must have.
            now: The time that the copy is marked with.

        Raises:
            ObjectNotFound: The source is absent.
            AlreadyExists: CREATE, and another write's object stands there.
            PreconditionFailed: `if_match` or `mode` does not hold.
            AtCapacity: The copy does not fit.
        """
        with self.lock:
            found = self.find(*source)
            check_etag(*source, found, if_match)
            if info is None:
                info = replace(found.info, created=None, write_id=None)
            sha256 = found.sha256 or info.sha256
            body = found.body
            record = self.keep(*target, body, info, mode, sha256=sha256, now=now)
            return record.receipt()

    def pages(
        self, bucket: str, prefix: str, *, start_after: str | None, folded: bool
    ) -> Generator[Page]:
        """Iterate over the keys in order; each step is atomic."""
        with self.lock:
            keys = self.contents(bucket).ordered()
        listing = Listing(keys, prefix, start_after=start_after, folded=folded)
        while True:
            with self.lock:
                page = listing.next_page(self.contents(bucket).records)
            if page is None:
                return
            yield page

    def contents(self, bucket: str) -> Contents:
        """Return what a bucket holds; a bucket that is not there is empty."""
        contents = self._buckets.get(bucket)
        return Contents() if contents is None else contents

    def tidy(self, bucket: str, contents: Contents) -> None:
        """Let the bucket be there as long as it holds anything; the lock is held."""
        if contents.records or contents.uploads:
            self._buckets[bucket] = contents
        else:
            self._buckets.pop(bucket, None)

    def reserve(self, more: int, *, dry: bool = False) -> None:
        """Count bytes that come, or go when there are fewer than none.

        Raises:
            AtCapacity: They do not fit; nothing was counted.
        """
        used = self._used + more
        if more > 0 and self._max_bytes is not None and used > self._max_bytes:
            raise AtCapacity(
                f"the memory store holds {self._used} of at most {self._max_bytes}"
                f" bytes and has no room for {more} more; delete something, or raise"
                " MemoryStore(max_bytes=...)",
                backend="mem",
            )
        if not dry:
            self._used = used

    def keep(
        self,
        bucket: str,
        key: str,
        body: bytes,
        info: PutInfo,
        mode: WriteMode,
        *,
        sha256: str | None,
        now: datetime,
        upload: HeldUpload | None = None,
    ) -> Record:
        """Let a body stand under the key; the lock is held.

        Args:
            bucket: The bucket.
            key: The key.
            body: The bytes.
            info: What the write said.
            mode: When the write may happen.
            sha256: The digest of the bytes, when it is known.
            now: The time that the object is marked with.
            upload: The upload that brought them and ends with this.
        """
        contents = self.contents(bucket)
        standing = contents.records.get(key)
        check_mode(bucket, key, standing, mode)
        held_as_parts = 0 if upload is None else upload.size
        self.reserve(len(body) - _size(standing) - held_as_parts)
        etag = self.token()
        upload_id = None if upload is None else upload.upload.upload_id
        if upload_id is not None:
            del contents.uploads[upload_id]
        record = Record(
            key=key,
            body=body,
            size=len(body),
            etag=etag,
            modified=in_utc(now),
            created=in_utc(info.created or now),
            sha256=sha256,
            info=kept_info(info),
            made_by=upload_id or info.write_id or etag,
            is_new=standing is None,
        )
        contents.keep(key, record)
        self.tidy(bucket, contents)
        return record


def check_mode(bucket: str, key: str, standing: Record | None, mode: WriteMode) -> None:
    """Refuse a write whose mode does not admit what stands under the key.

    Raises:
        AlreadyExists: CREATE, and an object stands there.
        PreconditionFailed: Update, and another object or none stands there.
    """
    if isinstance(mode, Update):
        if standing is None:
            raise PreconditionFailed(
                f"no object {shown(key)} in bucket {bucket!a}, and an update needs one",
                bucket=bucket,
                key=key,
                backend="mem",
            )
        check_etag(bucket, key, standing, mode.etag)
    elif mode is Write.CREATE and standing is not None:
        raise AlreadyExists(
            f"object {shown(key)} exists in bucket {bucket!a}",
            bucket=bucket,
            key=key,
            backend="mem",
        )


def check_etag(bucket: str, key: str, standing: Record, if_match: str | None) -> None:
    """Hold an object against an ETag.

    Raises:
        PreconditionFailed: It has another one.
    """
    if if_match is not None and standing.etag != if_match:
        raise PreconditionFailed(
            f"object {shown(key)} in bucket {bucket!a} has ETag"
            f" {standing.etag}, not {shown(if_match)}",
            bucket=bucket,
            key=key,
            backend="mem",
        )


def absent(bucket: str, key: str) -> ObjectNotFound:
    """Return the error that says that there is no such object."""
    return ObjectNotFound(
        f"no object {ascii(key)[:200]} in bucket {bucket!a}",
        bucket=bucket,
        key=key,
        backend="mem",
    )


def _size(record: Record | None) -> int:
    return 0 if record is None else record.size
