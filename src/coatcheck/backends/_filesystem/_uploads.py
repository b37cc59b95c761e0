"""Multipart uploads as folders: one file of metadata, one file a part.

A part's file is its bytes and the 16 bytes of their MD5, which is its ETag. The
upload's name tells when it was begun, and is the write id of the object it makes,
so that a completion can be repeated after its folder is gone.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from hashlib import md5
from typing import TYPE_CHECKING, Final

from coatcheck._core.writes import Part, Update, Upload, Write, WriteMode
from coatcheck.errors import IntegrityError, InvalidInput, ObjectNotFound

from ._disk import uploads_path
from ._draft import Draft
from ._record import Record, from_micros, pack_tail
from ._sweep import begun_at

if TYPE_CHECKING:
    from coatcheck._core.objects import PutInfo

    from ._disk import Path
    from ._objects import ObjectFiles

MAX_PARTS: Final = 10_000
_META: Final = "meta"
_MD5_SIZE: Final = 16
_STEP: Final = 1024 * 1024
_UPLOAD_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{32}")
_PART_NAME = re.compile(r"[0-9]{5}")


class Uploads:
    """The unfinished uploads of one bucket; all methods block.

    Args:
        files: The bucket's objects.
    """

    def __init__(self, files: ObjectFiles) -> None:
        self._files = files
        self._disk = files.disk
        self._path = uploads_path(files.bucket)

    def begin(self, key: str, info: PutInfo, mode: WriteMode) -> Upload:
        """Make an upload's folder with its metadata."""
        upload_id = self._disk.draft_name()
        now = self._disk.now()
        info = replace(info, created=info.created or now, write_id=upload_id)
        draft = Draft(self._disk, self._files.bucket)
        try:
            draft.write(_mode_text(mode).encode())
            record = Record(key=key, size=draft.size, info=info)
            draft.write(pack_tail(record))
            with self._disk.folder((*self._path, upload_id), make=True) as folder:
                draft.link(folder, _META)
        except BaseException:
            self.remove(upload_id)
            raise
        finally:
            draft.close()
        return Upload(key=key, upload_id=upload_id, started=now)

    def plan(self, upload: Upload) -> tuple[PutInfo, WriteMode]:
        """Return the metadata and mode that an upload was begun with."""
        record, mode = self._read_meta(upload.upload_id)
        if record.key != upload.key:
            raise self._absent(upload)
        return record.info, mode

    def add(self, draft: Draft, upload: Upload, number: int, digest: bytes) -> Part:
        """Let a draft become a part."""
        size = draft.size
        draft.write(digest)
        try:
            with self._disk.folder(self._folder(upload)) as folder:
                draft.replace(folder, f"{number:05d}")
        except FileNotFoundError:
            raise self._absent(upload) from None
        return Part(number=number, etag=digest.hex(), size=size)

    def parts(self, upload: Upload) -> list[Part]:
        """Return the parts that are there, by number."""
        self.plan(upload)
        try:
            with self._disk.folder(self._folder(upload)) as folder:
                names = sorted(self._disk.calls.list_folder(folder))
                numbers = [int(name) for name in names if _PART_NAME.fullmatch(name)]
        except FileNotFoundError:
            raise self._absent(upload) from None
        return [self._look_at(upload, number) for number in numbers]

    def append(self, draft: Draft, upload: Upload, part: Part) -> None:
        """Append a part's bytes to a draft.

        Raises:
            InvalidInput: The part is missing or has another ETag.
            IntegrityError: Its bytes are not those that were put.
        """
        descriptor = self._open_part(upload, part.number)
        try:
            standing = self._read_part(descriptor, part.number)
            if standing.etag != part.etag:
                raise InvalidInput(
                    f"part {part.number} of the upload to {upload.key!a} has"
                    f" ETag {standing.etag}, not {part.etag!a}"
                )
            running = md5(usedforsecurity=False)
            for offset in range(0, standing.size, _STEP):
                count = min(_STEP, standing.size - offset)
                piece = self._disk.calls.read_at(descriptor, count, offset)
                running.update(piece)
                draft.write(piece)
            if running.hexdigest() != standing.etag:
                raise IntegrityError(
                    f"part {part.number} of the upload to {upload.key!a} was damaged;"
                    " put it again"
                )
        finally:
            self._disk.calls.close(descriptor)

    def _look_at(self, upload: Upload, number: int) -> Part:
        descriptor = self._open_part(upload, number)
        try:
            return self._read_part(descriptor, number)
        finally:
            self._disk.calls.close(descriptor)

    def _open_part(self, upload: Upload, number: int) -> int:
        try:
            with self._disk.folder(self._folder(upload)) as folder:
                return self._disk.calls.open_file(folder, f"{number:05d}")
        except FileNotFoundError:
            raise InvalidInput(
                f"part {number} of the upload to {upload.key!a} is missing"
            ) from None

    def _read_part(self, descriptor: int, number: int) -> Part:
        status = self._disk.calls.stat(descriptor)
        size = status.st_size - _MD5_SIZE
        if size < 0:
            raise IntegrityError(f"part {number} was cut")
        digest = self._disk.calls.read_at(descriptor, _MD5_SIZE, size)
        modified = from_micros(status.st_mtime_ns // 1000)
        return Part(number=number, etag=digest.hex(), size=size, modified=modified)

    def drop(self, upload: Upload) -> None:
        """Drop an upload if it is there, and to that key."""
        with suppress(ObjectNotFound, IntegrityError):
            record, _ = self._read_meta(upload.upload_id)
            if record.key != upload.key:
                return
        self.remove(upload.upload_id)

    def remove(self, upload_id: str) -> None:
        """Drop an upload's folder with all that is in it."""
        if _UPLOAD_ID.fullmatch(upload_id) is None:
            return
        calls = self._disk.calls
        # What is no folder is not ours, whatever its name.
        nothing = suppress(FileNotFoundError, NotADirectoryError)
        with nothing, self._disk.folder(self._path) as uploads:
            folder = calls.open_folder(uploads, upload_id)
            try:
                # The metadata goes first: without it there is no upload any more.
                for name in (_META, *calls.list_folder(folder)):
                    with suppress(FileNotFoundError):
                        calls.unlink(folder, name)
            finally:
                calls.close(folder)
            calls.remove_folder(uploads, upload_id)

    def all(self, prefix: str) -> list[Upload]:
        """Return the uploads to keys that begin with a prefix, by key and age."""
        found: list[Upload] = []
        for upload_id in self._ids():
            with suppress(ObjectNotFound, IntegrityError):
                record, _ = self._read_meta(upload_id)
                started = from_micros(begun_at(upload_id) or 0)
                if record.key.startswith(prefix):
                    found.append(
                        Upload(key=record.key, upload_id=upload_id, started=started)
                    )
        return sorted(found, key=lambda upload: (upload.key, upload.upload_id))

    def begun_before(self, micros: int) -> list[str]:
        """Return the ids of uploads begun before a time, whole or not."""
        return [name for name in self._ids() if (begun_at(name) or 0) <= micros]

    def _ids(self) -> list[str]:
        try:
            with self._disk.folder(self._path) as uploads:
                names = self._disk.calls.list_folder(uploads)
        except FileNotFoundError:
            self._disk.check_not_gone()
            return []
        return [name for name in names if _UPLOAD_ID.fullmatch(name)]

    def _read_meta(self, upload_id: str) -> tuple[Record, WriteMode]:
        if _UPLOAD_ID.fullmatch(upload_id) is None:
            raise ObjectNotFound(f"no upload {ascii(upload_id)[:80]}")
        try:
            with self._disk.folder((*self._path, upload_id)) as folder:
                descriptor = self._disk.calls.open_file(folder, _META)
        except FileNotFoundError:
            self._disk.check_not_gone()
            raise ObjectNotFound(f"no upload {upload_id}") from None
        try:
            found = self._files.read(descriptor, None, with_body=True)
        finally:
            self._disk.calls.close(descriptor)
        return found.record, _mode(found.body or b"")

    def _folder(self, upload: Upload) -> Path:
        if _UPLOAD_ID.fullmatch(upload.upload_id) is None:
            raise self._absent(upload)
        return (*self._path, upload.upload_id)

    def _absent(self, upload: Upload) -> ObjectNotFound:
        return ObjectNotFound(
            f"no upload {ascii(upload.upload_id)[:80]} to {upload.key!a}; it was"
            " completed, aborted or swept"
        )


def _mode_text(mode: WriteMode) -> str:
    return f"update:{mode.etag}" if isinstance(mode, Update) else mode.value


def _mode(text: bytes) -> WriteMode:
    mode, _, etag = text.decode(errors="replace").partition(":")
    try:
        return Update(etag) if mode == "update" else Write(mode)
    except ValueError:
        raise IntegrityError("an upload's metadata is damaged") from None
