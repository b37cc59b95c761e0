"""What all verbs of an S3 bucket share: requests, errors, what stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coatcheck._core.names import MAX_KEY_BYTES
from coatcheck._core.writes import Limits, Receipt
from coatcheck.errors import BucketNotFound, CoatcheckError, NotFound, ObjectNotFound

from ._attempts import counted
from ._errors import code_of, s3_errors
from ._metadata import MAX_METADATA, info_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coatcheck.abc import Backend, ObjectInfo

    from ._backend import S3Backend

_CREATING: Final = frozenset({"put_object", "create_multipart_upload", "copy_object"})
_IS_THERE: Final = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")
MIB: Final = 1024 * 1024
LIMITS: Final = Limits(
    max_key=MAX_KEY_BYTES,
    max_metadata=MAX_METADATA,
    max_single_put=5 * 1024 * MIB,
    min_part=5 * MIB,
    max_part=64 * MIB,
    max_parts=10_000,
    max_copy=5 * 1024 * MIB,
)


class RequestingBucket:
    """A bucket and the way to ask the store about it.

    Args:
        name: The bucket's name.
        backend: The backend, whose client and connections are used.
    """

    def __init__(self, name: str, backend: S3Backend) -> None:
        self._name = name
        self.s3 = backend

    @property
    def name(self) -> str:
        return self._name

    @property
    def backend(self) -> Backend:
        return self.s3

    @property
    def limits(self) -> Limits:
        return LIMITS

    async def request(
        self,
        operation: str,
        doing: str,
        key: str,
        *,
        writes: bool = False,
        **parameters: Any,
    ) -> Mapping[str, Any]:
        """Make one request, in a connection of its own.

        Args:
            operation: The SDK's name of it.
            doing: What errors call it.
            key: What errors name.
            writes: Whether it changes the store.
            parameters: What the SDK is given beside the bucket.
        """
        self.s3.check_open()
        await self.s3.take_slot()
        try:
            return await self._send(operation, doing, key, writes, parameters)
        except BucketNotFound:
            creates = operation in _CREATING and self.s3.config.create_buckets
            if not creates:
                raise
            await self._create_bucket()
            return await self._send(operation, doing, key, writes, parameters)
        finally:
            self.s3.give_slot()

    async def _send(
        self,
        operation: str,
        doing: str,
        key: str,
        writes: bool,  # noqa: FBT001  # private
        parameters: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        given = {"Bucket": self._name, **self.owner(), **parameters}
        with (
            counted() as attempts,
            s3_errors(
                doing, self._name, key, writes=writes, attempts=attempts
            ) as errors,
        ):
            response = await self.s3.clients.call(operation, given)
            errors.check(operation, response)
        self.s3.note_date(response)
        return response

    def owner(self) -> dict[str, str]:
        """Return the parameter that refuses buckets of other accounts."""
        expected = self.s3.config.expected_bucket_owner
        return {} if expected is None else {"ExpectedBucketOwner": expected}

    def source_owner(self) -> dict[str, str]:
        """Return the parameter that refuses to copy from buckets of other accounts."""
        expected = self.s3.config.expected_bucket_owner
        return {} if expected is None else {"ExpectedSourceBucketOwner": expected}

    async def ensure_bucket(self) -> None:
        """Make the bucket when missing ones shall be made.

        Some stores answer a copy into a missing bucket with an error of theirs.
        """
        if self.s3.config.create_buckets and self._name not in self.s3.made:
            await self._create_bucket()

    async def _create_bucket(self) -> None:
        client = self.s3.clients.talking
        region = client.meta.region_name
        where = {}
        if region not in (None, "us-east-1", "aws-global"):
            where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            with s3_errors("make", self._name, "", writes=True):
                await client.create_bucket(Bucket=self._name, **where)
        except CoatcheckError as error:
            if code_of(error) not in _IS_THERE:
                raise
        self.s3.made.add(self._name)

    async def look_at(self, key: str) -> ObjectInfo:
        """Return what is known about an object."""
        self.check_present(key)
        response = await self.request("head_object", "look at", key, Key=key)
        return info_of(key, response, size=int(response["ContentLength"]))

    async def standing(self, key: str) -> ObjectInfo | None:
        """Return what stands under a key, None when nothing does."""
        try:
            return await self.look_at(key)
        except NotFound:
            return None

    def check_present(self, key: str) -> None:
        """Raise ObjectNotFound for a key that no S3 object can have.

        Dot segments are refused here too: what lies between us and the store may
        resolve them as a path, and so reach another bucket.
        """
        if not is_possible(key):
            raise ObjectNotFound(
                f"no object {ascii(key)[:200]} in bucket {self._name!a}",
                bucket=self._name,
                key=key,
                backend="s3",
            )


def is_possible(key: str) -> bool:
    """Tell whether an S3 object can have this key."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return False
    if not 1 <= len(encoded) <= MAX_KEY_BYTES or "\0" in key:
        return False
    return not {".", ".."}.intersection(key.split("/"))


def receipt_of(info: ObjectInfo) -> Receipt:
    """Return the receipt of a write whose object stands."""
    return Receipt(
        etag=info.etag,
        size=info.size,
        write_id=info.write_id or "",
        sha256=info.sha256,
        version=info.version,
    )
