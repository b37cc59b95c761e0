"""Small stashes, each written or read in one visit of a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck._core.digests import digest_of, is_digest_of
from coatcheck._core.writes import Write
from coatcheck.abc import Named
from coatcheck.errors import AlreadyExists, OutcomeUnknown

from ._draft import Draft
from ._lookup import SMALL
from ._objects import completed
from ._outcomes import written

if TYPE_CHECKING:
    from collections.abc import Callable

    from coatcheck.abc import DigestAlgorithm, Held, OneStep, PutInfo

    from ._threaded import ThreadedBucket


class FilesInOneStep:
    """The plain cases of one bucket.

    Args:
        bucket: The bucket.
    """

    __slots__ = ("_bucket",)

    @property
    def most(self) -> int:
        return SMALL

    def __init__(self, bucket: ThreadedBucket) -> None:
        self._bucket = bucket

    async def create(
        self, stem: str, body: bytes, *, algorithm: DigestAlgorithm, info: PutInfo
    ) -> Named:
        def create() -> Named:
            digest = digest_of(body, algorithm)
            return self._create(f"{stem}.{digest}", digest, body, info)

        return await self._bucket.write_in_thread("write", stem, create)

    def _create(self, key: str, digest: str, body: bytes, info: PutInfo) -> Named:
        bucket = self._bucket
        info, micros = completed(info, bucket.disk)
        draft = Draft(bucket.disk, bucket.name)
        try:
            bucket.files.publish(draft, key, info, Write.CREATE, micros, rest=body)
        except AlreadyExists:
            return Named(digest, None)
        except OutcomeUnknown as error:
            error.probe = bucket.probe(key, written(info.write_id))
            raise
        finally:
            draft.close()
        return Named(digest, info.created)

    async def read(self, key: str, digest: str) -> Held | None:
        def read() -> Held | None:
            found = self._bucket.files.read_whole(key)
            if found is None or not is_digest_of(digest, found.body):
                return None
            return found

        return await self._bucket.read_in_thread("read", key, read)


if TYPE_CHECKING:
    _conforms: Callable[..., OneStep] = FilesInOneStep
