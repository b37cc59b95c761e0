"""Finding and reading the files of one bucket's objects; all of it blocks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from stat import S_ISREG
from typing import TYPE_CHECKING, Final, NamedTuple

from coatcheck._core.names import check_key
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck.errors import IntegrityError, InvalidName, ObjectNotFound

from ._disk import Disk, bucket_path
from ._names import encode_key
from ._record import (
    TRAILER_SIZE,
    Record,
    footer_length,
    object_info,
    unpack_plain_tail,
    unpack_tail,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Generator
    from datetime import datetime

    from ._disk import Path

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


class ObjectLookup:
    """The objects of one bucket; what finds and reads them.

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
        record = _record_of(end[len(end) - length :], status.st_size, key)
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
            status = self._stat(descriptor)
            size = status.st_size
            if size > SMALL:
                return None
            whole, length = self._read_end(descriptor, size, size)
        finally:
            self.disk.calls.close(descriptor)
        tail = whole[size - length :]
        plain = unpack_plain_tail(tail, size)
        if plain is not None and plain.key == key:
            return SmallObject(whole[: plain.size], plain.info, plain.created)
        record = _record_of(tail, size, key)
        info = object_info(record, status.st_mtime_ns)
        return SmallObject(whole[: record.size], info, info.created)

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

    def absent(self, key: str) -> ObjectNotFound:
        """Return the error that says that there is no such object."""
        return ObjectNotFound(f"no object {ascii(key)[:200]} in bucket {self.bucket!a}")


def _record_of(tail: bytes, file_size: int, key: str | None) -> Record:
    """Read a file's record, which must be the key's; None takes any."""
    record = unpack_tail(tail, file_size)
    if key is not None and record.key != key:
        raise IntegrityError(
            f"object {key!a} holds the record of another key; its file was moved"
        )
    return record
