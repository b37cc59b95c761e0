"""What happens to the files of one bucket's objects; all of it blocks."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from stat import S_ISREG
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from uuid import uuid4

from coatcheck._core.names import check_key
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck._core.writes import Receipt, Update, Write, WriteMode
from coatcheck.errors import (
    AlreadyExists,
    CoatcheckError,
    IntegrityError,
    InvalidName,
    ObjectNotFound,
    Outcome,
    OutcomeUnknown,
    PreconditionFailed,
)

from ._disk import Disk, bucket_path
from ._names import encode_key
from ._record import (
    TRAILER_SIZE,
    Record,
    etag_of,
    footer_length,
    object_info,
    pack_tail,
    touched_at,
    unpack_plain_tail,
    unpack_tail,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator
    from datetime import datetime

    from ._disk import Path
    from ._draft import Draft

    Judge: TypeAlias = Callable[[ObjectInfo | None], Outcome]

SMALL: Final = 256 * 1024
"""Files up to so many bytes are read in one step."""
_FIRST_TAIL: Final = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An object's file that was opened and whose record was read."""

    descriptor: int
    """The open file, for the finder to close."""
    record: Record
    """What the file says."""
    info: ObjectInfo
    """The record together with the time of the last touch."""
    body: bytes | None
    """The body when the file is small."""


class SmallObject(NamedTuple):
    """An object that was read whole."""

    body: bytes
    """The stored bytes."""
    info: PutInfo | ObjectInfo
    """What is known of it; a PutInfo when that is its content type only."""
    created: datetime
    """When it was written, in UTC."""


class ObjectFiles:
    """The objects of one bucket.

    Args:
        disk: The root.
        bucket: The bucket's name.
    """

    def __init__(self, disk: Disk, bucket: str) -> None:
        self.disk = disk
        self.bucket = bucket
        self._path = bucket_path(bucket)

    def place(self, key: str) -> tuple[Path, str]:
        """Return the folder and the name of a canonical key's file."""
        folders, name = encode_key(key)
        return self._path + folders, name

    def find(self, key: str, *, with_body: bool = False) -> Found:
        """Open an object and read its record; the caller closes the descriptor.

        Raises:
            ObjectNotFound: There is no such file, or the key can have none.
            IntegrityError: Something else stands there, or it is damaged.
        """
        descriptor = self.open(key)
        try:
            return self.read(descriptor, key, with_body=with_body)
        except BaseException:
            self.disk.calls.close(descriptor)
            raise

    def open(self, key: str) -> int:
        """Open an object's file, for the caller to close.

        Raises:
            ObjectNotFound: There is no such file, or the key can have none.
        """
        try:
            check_key(key)
            path, name = self.place(key)
            with self.disk.folder(path) as folder:
                return self.disk.calls.open_file(folder, name)
        except (FileNotFoundError, InvalidName):
            self.disk.check_not_gone()
            raise self.absent(key) from None

    @contextmanager
    def found(self, key: str, *, with_body: bool = False) -> Generator[Found]:
        """Find an object for the length of a with statement."""
        found = self.find(key, with_body=with_body)
        try:
            yield found
        finally:
            self.disk.calls.close(found.descriptor)

    def read(self, descriptor: int, key: str | None, *, with_body: bool) -> Found:
        """Read the record of an open file.

        Args:
            descriptor: The file.
            key: The key that the record must have; None takes any.
            with_body: Keep the body when the file is small.

        Raises:
            IntegrityError: The file is damaged, of another key, or none of ours.
        """
        status = self._stat(descriptor)
        small = with_body and status.st_size <= SMALL
        held = status.st_size if small else min(status.st_size, _FIRST_TAIL)
        end, length = self._read_end(descriptor, status.st_size, held)
        record = unpack_tail(end[len(end) - length :], status.st_size)
        if key is not None and record.key != key:
            raise IntegrityError(
                f"object {key!a} holds the record of another key; its file was moved"
            )
        return Found(
            descriptor=descriptor,
            record=record,
            info=object_info(record, status.st_mtime_ns),
            body=end[: record.size] if small else None,
        )

    def read_whole(self, key: str) -> SmallObject | None:
        """Return a small object in as few steps as it takes; None when it is large.

        Raises:
            ObjectNotFound: There is no such file, or the key can have none.
            IntegrityError: Something else stands there, or it is damaged.
        """
        descriptor = self.open(key)
        try:
            size = self._stat(descriptor).st_size
            if size > SMALL:
                return None
            whole, length = self._read_end(descriptor, size, size)
            plain = unpack_plain_tail(whole[size - length :], size)
            if plain is not None and plain.key == key:
                return SmallObject(whole[: plain.size], plain.info, plain.created)
            found = self.read(descriptor, key, with_body=True)
        finally:
            self.disk.calls.close(descriptor)
        if found.body is None:
            return None
        return SmallObject(found.body, found.info, found.info.created)

    def _stat(self, descriptor: int) -> os.stat_result:
        status = self.disk.calls.stat(descriptor)
        if not S_ISREG(status.st_mode):
            raise IntegrityError("no file that coatcheck made stands there")
        return status

    def _read_end(self, descriptor: int, size: int, held: int) -> tuple[bytes, int]:
        """Return a file's end, at least its record, and how long the record is.

        Args:
            descriptor: The file.
            size: The file's bytes.
            held: How many of them to read if that is enough.
        """
        calls = self.disk.calls
        end = calls.read_at(descriptor, held, size - held)
        length = footer_length(end[-TRAILER_SIZE:], size) + TRAILER_SIZE
        if length > len(end):
            end = calls.read_at(descriptor, length, size - length)
        return end, length

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

    def absent(self, key: str) -> ObjectNotFound:
        """Return the error that says that there is no such object."""
        return ObjectNotFound(f"no object {ascii(key)[:200]} in bucket {self.bucket!a}")


def written(write_id: str | None) -> Judge:
    """Judge whether a write was applied by the write id of what stands."""

    def judge(standing: ObjectInfo | None) -> Outcome:
        if standing is None:
            return Outcome.NOT_APPLIED
        applied = standing.write_id == write_id
        return Outcome.APPLIED if applied else Outcome.UNKNOWN

    return judge


def deleted(standing: ObjectInfo | None) -> Outcome:
    """Judge whether a delete was applied: then nothing stands."""
    return Outcome.APPLIED if standing is None else Outcome.UNKNOWN


def touched(before: ObjectInfo, micros: int) -> Judge:
    """Judge whether a touch was applied by the ETag of what stands."""
    etags = {
        etag_of(before.write_id or "", micros): Outcome.APPLIED,
        before.etag: Outcome.NOT_APPLIED,
    }

    def judge(standing: ObjectInfo | None) -> Outcome:
        etag = None if standing is None else standing.etag
        return etags.get(etag or "", Outcome.UNKNOWN)

    return judge


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
