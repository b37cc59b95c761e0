"""The unfinished uploads of one bucket."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coatcheck._core.names import shown
from coatcheck._core.writes import Part, Upload, check_part_order
from coatcheck.errors import InvalidInput, ObjectNotFound

from ._contents import HeldPart, HeldUpload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from coatcheck._core.objects import PutInfo
    from coatcheck._core.writes import Receipt, WriteMode

    from ._store import MemoryStore


class Uploads:
    """Every method is one atomic step.

    Args:
        store: The store.
        bucket: The bucket's name.
    """

    def __init__(self, store: MemoryStore, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    def begin(
        self, key: str, info: PutInfo, mode: WriteMode, *, now: datetime
    ) -> Upload:
        """Begin an upload."""
        store = self._store
        upload = Upload(key=key, upload_id=store.token(), started=now)
        info = replace(info, created=info.created or now)
        with store.lock:
            contents = store.contents(self._bucket)
            held = HeldUpload(upload=upload, info=info, mode=mode)
            contents.uploads[upload.upload_id] = held
            store.tidy(self._bucket, contents)
        return upload

    def check(self, upload: Upload, size: int = 0) -> None:
        """Refuse an upload that is not there, or a part that would not fit.

        Raises:
            ObjectNotFound: There is no such upload.
            AtCapacity: So many bytes more do not fit.
        """
        with self._store.lock:
            self._held(upload)
            self._store.reserve(size, dry=True)

    def add(
        self, upload: Upload, number: int, body: bytes, etag: str, *, now: datetime
    ) -> Part:
        """Keep one part, in place of one with the same number.

        Raises:
            ObjectNotFound: There is no such upload.
            AtCapacity: The part does not fit.
        """
        part = Part(number=number, etag=etag, size=len(body), modified=now)
        with self._store.lock:
            parts = self._held(upload).parts
            standing = parts.get(number)
            freed = 0 if standing is None else standing.part.size
            self._store.reserve(part.size - freed)
            parts[number] = HeldPart(part=part, body=body)
        return part

    def parts(self, upload: Upload) -> list[Part]:
        """Return the parts by number.

        Raises:
            ObjectNotFound: There is no such upload.
        """
        with self._store.lock:
            parts = self._held(upload).parts
            return [parts[number].part for number in sorted(parts)]

    def bodies(self, upload: Upload, parts: Sequence[Part]) -> list[bytes]:
        """Return the bytes of the parts that shall be joined.

        Raises:
            ObjectNotFound: There is no such upload.
            InvalidInput: No parts, wrong order, a missing part, a wrong ETag, or an
                empty part before the last.
        """
        check_part_order(parts)
        with self._store.lock:
            return self._bodies(self._held(upload), parts)

    def finish(
        self, upload: Upload, parts: Sequence[Part], body: bytes, *, now: datetime
    ) -> Receipt:
        """Let the joined parts stand as the object, and drop the upload.

        Raises:
            ObjectNotFound: There is no such upload.
            InvalidInput: A part was replaced since it was joined.
            AlreadyExists: The upload's mode does not hold.
            PreconditionFailed: The upload's mode does not hold.
        """
        with self._store.lock:
            held = self._held(upload)
            self._bodies(held, parts)
            record = self._store.keep(
                self._bucket,
                upload.key,
                body,
                held.info,
                held.mode,
                sha256=held.info.sha256,
                now=now,
                upload=held,
            )
            return record.receipt()

    def finished(self, upload: Upload) -> Receipt | None:
        """Return the receipt of an upload whose object stands, else None."""
        with self._store.lock:
            record = self._store.contents(self._bucket).records.get(upload.key)
            if record is None or record.made_by != upload.upload_id:
                return None
            return record.receipt()

    def remove(self, upload: Upload) -> bool:
        """Drop an upload with its parts; tell whether it was there."""
        with self._store.lock:
            contents = self._store.contents(self._bucket)
            held = contents.uploads.get(upload.upload_id)
            if held is None or held.upload.key != upload.key:
                return False
            del contents.uploads[upload.upload_id]
            self._store.reserve(-held.size)
            self._store.tidy(self._bucket, contents)
            return True

    def all(self, prefix: str, until: datetime | None) -> list[Upload]:
        """Return the uploads to keys that begin with a prefix, by key and age.

        Args:
            prefix: What the keys begin with.
            until: Only uploads begun no later.
        """
        with self._store.lock:
            uploads = [
                held.upload
                for held in self._store.contents(self._bucket).uploads.values()
                if held.upload.key.startswith(prefix)
                and (until is None or held.upload.started <= until)
            ]
        return sorted(uploads, key=lambda upload: (upload.key, upload.upload_id))

    def _held(self, upload: Upload) -> HeldUpload:
        contents = self._store.contents(self._bucket)
        held = contents.uploads.get(upload.upload_id)
        if held is None or held.upload.key != upload.key:
            raise ObjectNotFound(
                f"no upload {shown(upload.upload_id)} to {shown(upload.key)}; it was"
                " completed, aborted or swept",
                bucket=self._bucket,
                key=upload.key,
                backend="mem",
            )
        return held

    def _bodies(self, held: HeldUpload, parts: Sequence[Part]) -> list[bytes]:
        bodies: list[bytes] = []
        for part in parts:
            standing = held.parts.get(part.number)
            if standing is None:
                raise self._refused(held, part, "is missing")
            if standing.part.etag != part.etag:
                raise self._refused(held, part, f"has ETag {standing.part.etag}")
            if not standing.body and part is not parts[-1]:
                raise self._refused(held, part, "is empty and not the last")
            bodies.append(standing.body)
        return bodies

    def _refused(self, held: HeldUpload, part: Part, why: str) -> InvalidInput:
        key = held.upload.key
        return InvalidInput(
            f"part {part.number} of the upload to {shown(key)} {why}",
            bucket=self._bucket,
            key=key,
            backend="mem",
        )
