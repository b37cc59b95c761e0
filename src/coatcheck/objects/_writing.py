"""Writing objects: put and copy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from coatcheck._core.objects import NOTHING
from coatcheck.abc import Capability, PutInfo
from coatcheck.payloads._body import open_source
from coatcheck.wrappers import expiring_info

from ._bound import BoundSession
from ._encoding import Flow, Plan, encoding_of
from ._metadata import OCTETS
from ._sending import Sending
from ._usecase import NONE, ZSTD, Default, check_threshold

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from coatcheck._core.expiry import Expiry
    from coatcheck.abc import Body, Reader

    from ._usecase import Compression, Threshold


class SessionWriting(BoundSession):
    """The verbs that write whole objects."""

    async def put(
        self,
        contents: Body,
        key: str | None = None,
        *,
        compress: Compression | None = None,
        compression: Compression | None = None,
        precompressed: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expiration_policy: Expiry | Default | None = Default.USECASE,
        origin: str | None = None,
        filename: str | None = None,
        resumable_threshold_bytes: Threshold | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> str:
        """Store an object, in place of one that has the key.

        Atomic: until the contents have ended and all is stored, what was there stays.
        By default a body is compressed with zstd unless its content type or first
        bytes say that it is dense already.

        Args:
            contents: Bytes, a path, an open file, or an async iterable of bytes.
            key: The key; None and `""` let a new one be made.
            compress: `zstd` or `none` whatever the usecase says.
            compression: Another name of `compress`.
            precompressed: `zstd` when the contents are zstd frames already, to be
                stored as they are and decompressed by readers.
            content_type: Media type of the payload.
            metadata: Your own metadata; names of `a-z 0-9 . _ -`.
            expiration_policy: When it expires; None is never, whatever the usecase
                says.
            origin: Where it came from, an IP address for instance.
            filename: The name that a download should have.
            resumable_threshold_bytes: From how many bytes on an upload to a service
                goes on after a broken connection, whatever the usecase says; `none` is
                never. Bodies that must be compressed go to a temporary file first.
            progress: Called in the event loop with the number of payload bytes of each
                chunk once it is written, such as a progress bar's `update`.

        Returns:
            The key.

        Raises:
            InvalidName: The key is not canonical.
            InvalidInput: An argument is none that can be stored, or contradicts
                another one.
            UnsupportedOperation: Nothing may expire in this bucket.
            AccessDenied: The credentials do not permit it.
            AtCapacity: The storage is full.
            OutcomeUnknown: It cannot be told whether the write happened; putting
                again is safe.
            BackendError: The storage failed.
            Closed: The client is not open.
        """
        plan = self._planned(
            key,
            compress=compress,
            compression=compression,
            precompressed=precompressed,
            content_type=content_type,
            metadata=metadata,
            expiration_policy=expiration_policy,
            origin=origin,
            filename=filename,
        )
        threshold = self._threshold(resumable_threshold_bytes)
        with self._told("put", key=plan.key) as told:
            async with open_source(contents) as source:
                flow = Flow(source, progress)
                if plan.encoding.spares_dense:
                    plan = plan.after(await flow.peek())
                sending = Sending(
                    plan=plan,
                    contents=contents,
                    flow=flow,
                    size=source.size,
                    threshold=threshold,
                    spool_dir=self._client.spool_dir,
                )
                receipt = await sending.to(self._bucket)
                await flow.drain()
            told.size(flow.count, NONE)
            if plan.encoding.compresses:
                told.size(receipt.size, ZSTD)
        return plan.key

    def _planned(
        self,
        key: str | None,
        *,
        compress: Compression | None = None,
        compression: Compression | None,
        precompressed: str | None,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        expiration_policy: Expiry | Default | None,
        origin: str | None,
        filename: str | None,
    ) -> Plan:
        """Return what `put` will do, without touching any contents."""
        encoding = encoding_of(
            compress=compress,
            compression=compression,
            precompressed=precompressed,
            default=self._usecase.compression,
        )
        key = key or str(uuid4())
        info = PutInfo(
            # Stores have defaults of their own, which differ.
            content_type=OCTETS if content_type is None else content_type,
            encoding=encoding.recorded,
            origin=origin or None,
            filename=filename,
            custom=metadata or NOTHING,
        )
        return Plan(
            key=key,
            stored=self._stored(key),
            info=self._info(info, expiration_policy),
            encoding=encoding,
        )

    async def copy(
        self,
        key: str,
        to_key: str | None = None,
        *,
        to: SessionWriting | None = None,
        expiration_policy: Expiry | Default | None = Default.SOURCE,
    ) -> str:
        """Copy an object with its metadata; inside one storage no bytes pass here.

        Args:
            key: The object.
            to_key: The copy's key; None lets a new one be made.
            to: The session in which the copy stands; None is this one.
            expiration_policy: When the copy expires, counted from now: as the source,
                by the target's usecase, or by a policy; None is never.

        Returns:
            The copy's key.

        Raises:
            ObjectNotFound: There is no such object, or it has expired.
            CoatcheckError: As `put`.
        """
        target = to or self
        to_key = to_key or str(uuid4())
        stored, wanted = self._stored(key), target._stored(to_key)  # noqa: SLF001  # another instance
        bucket, other = self._bucket, target._bucket  # noqa: SLF001
        standing = await bucket.head(stored)
        policy = expiration_policy
        info = target._info(  # noqa: SLF001
            standing.put_info(), standing.expiry if policy is Default.SOURCE else policy
        )
        if Capability.COPY in other.capabilities and other.can_copy_from(bucket):
            await other.copy_from(
                bucket, stored, wanted, info=info, if_match=standing.etag
            )
            return to_key
        async with bucket.get(stored) as reader:
            # The bytes that are read now, and what is known of them.
            described = replace(
                reader.info.put_info(),
                expiry=info.expiry,
                deadline=info.deadline,
                created=info.created,
            )
            size = reader.info.size
            await other.put(wanted, _chunks(reader), info=described, size=size)
        return to_key

    def _threshold(self, given: Threshold | None) -> Threshold:
        if given is None:
            return self._usecase.resumable_threshold_bytes
        check_threshold(given)
        return given

    def _info(self, info: PutInfo, policy: Expiry | Default | None) -> PutInfo:
        """Return what a write says, with a policy that counts from now."""
        now = self._now()
        if isinstance(policy, Default):
            policy = self._usecase.expiration_policy
        return expiring_info(replace(info, created=now), policy, now)


async def _chunks(reader: Reader) -> AsyncGenerator[bytes]:
    async for chunk in reader:
        yield chunk
