"""What happens to the files of one bucket's objects; all of it blocks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from coatcheck._core.names import check_key
from coatcheck._core.writes import Receipt, Update, Write, WriteMode
from coatcheck.errors import (
    AlreadyExists,
    CoatcheckError,
    InvalidName,
    ObjectNotFound,
    Outcome,
    OutcomeUnknown,
    PreconditionFailed,
)

from ._lookup import ObjectLookup
from ._record import Record, etag_of, pack_tail, touched_at

if TYPE_CHECKING:
    from coatcheck._core.objects import ObjectInfo, PutInfo

    from ._disk import Disk
    from ._draft import Draft
    from ._outcomes import Judge


class ObjectFiles(ObjectLookup):
    """The objects of one bucket; what changes them."""

    def publish(
        self,
        draft: Draft,
        key: str,
        info: PutInfo,
        mode: WriteMode,
        micros: int,
        *,
        rest: bytes = b"",
    ) -> Receipt:
        """Seal a draft and let it become the object.

        Args:
            draft: The file, with the body in it.
            key: The canonical key.
            info: The metadata, with `created` and `write_id`.
            mode: When the write may happen.
            micros: The object's mtime in microseconds.
            rest: What of the body is not in the draft yet.
        """
        size = draft.size + len(rest)
        draft.seal(rest, pack_tail(Record(key=key, size=size, info=info)), micros)
        path, name = self.place(key)
        write_id = info.write_id or ""
        created = False

        def attempt() -> None:
            nonlocal created
            with self.disk.folder(path, make=True) as folder:
                created = self._install(draft, folder, name, key, mode)
                self._make_durable(folder, key, "written")

        try:
            self.disk.retried(attempt)
        except (AlreadyExists, PreconditionFailed):
            repeated = self._own_earlier(key, write_id)
            if repeated is None:
                raise
            return repeated
        return Receipt(
            etag=etag_of(write_id, micros),
            size=size,
            write_id=write_id,
            sha256=info.sha256,
            created=created,
        )

    def _install(
        self, draft: Draft, folder: int, name: str, key: str, mode: WriteMode
    ) -> bool:
        """Give the draft its name; return whether it was free."""
        if not isinstance(mode, Update):
            try:
                draft.link(folder, name)
            except FileExistsError as error:
                if mode is Write.CREATE:
                    raise AlreadyExists(
                        f"object {key!a} exists in bucket {self.bucket!a}"
                    ) from error
            else:
                return True
        with self.disk.locks.held(self.bucket, key):
            if isinstance(mode, Update):
                try:
                    self._check_etag(key, mode.etag)
                except ObjectNotFound as error:
                    raise PreconditionFailed(
                        f"{error.message}, and an update needs one"
                    ) from None
            draft.replace(folder, name)
        return False

    def _check_etag(self, key: str, etag: str) -> None:
        """Hold the standing object against an ETag; its slot is held.

        Raises:
            ObjectNotFound: Nothing stands there.
            PreconditionFailed: It has another ETag.
        """
        with self.found(key) as found:
            standing = found.info.etag
        if standing != etag:
            raise PreconditionFailed(
                f"object {key!a} in bucket {self.bucket!a} has ETag"
                f" {standing}, not {etag!a}"
            )

    def _make_durable(self, descriptor: int, key: str, change: str) -> None:
        if not self.disk.durable:
            return
        try:
            self.disk.calls.sync(descriptor)
        except OSError as error:
            raise OutcomeUnknown(
                f"object {key!a} was {change}, but the disk did not confirm it"
                f" ({error.strerror}); ask resolve() or repeat the call"
            ) from error

    def _own_earlier(self, key: str, write_id: str) -> Receipt | None:
        with suppress(CoatcheckError, OSError), self.found(key) as found:
            if found.info.write_id == write_id:
                return receipt_of(found.info)
        return None

    def outcome(self, key: str, judge: Judge) -> Outcome:
        """Tell what became of a change whose answer is not known."""
        try:
            with self.found(key) as found:
                return judge(found.info)
        except ObjectNotFound:
            return judge(None)

    def remove(self, key: str, if_match: str | None) -> None:
        """Remove an object; an absent one is success."""
        try:
            check_key(key)
            path, name = self.place(key)
            folder = self.disk.open_folder(path)
        except (FileNotFoundError, InvalidName):
            self.disk.check_not_gone()
            return
        try:
            with self.disk.locks.held(self.bucket, key):
                if if_match is not None:
                    self._check_etag(key, if_match)
                self.disk.calls.unlink(folder, name)
            self._make_durable(folder, key, "deleted")
        except (ObjectNotFound, FileNotFoundError):
            self.disk.check_not_gone()
        finally:
            self.disk.calls.close(folder)

    def touch(self, key: str, etag: str, micros: int) -> Receipt:
        """Change the time of the last touch and nothing else, in one atomic step.

        Raises:
            PreconditionFailed: The object has another ETag.
        """
        calls = self.disk.calls
        with self.disk.locks.held(self.bucket, key), self.found(key) as found:
            self._check_etag(key, etag)
            calls.set_time(found.descriptor, micros * 1000)
            self._make_durable(found.descriptor, key, "touched")
            write_id = found.info.write_id or ""
            return replace(receipt_of(found.info), etag=etag_of(write_id, micros))


def receipt_of(info: ObjectInfo) -> Receipt:
    """Return the receipt of a write whose object stands."""
    return Receipt(
        etag=info.etag,
        size=info.size,
        write_id=info.write_id or "",
        sha256=info.sha256,
    )


def completed(info: PutInfo, disk: Disk) -> tuple[PutInfo, int]:
    """Return the metadata with creation time and write id, and the mtime."""
    now = disk.now()
    filled = info.with_valid(
        created=info.created or now, write_id=info.write_id or uuid4().hex
    )
    return filled, touched_at(info, now)
