"""Writes whose answer may be lost or contended, and what became of them.

S3 answers a conditional write with 412 when the condition does not hold, with 409 when
another write to the key was faster, and not at all when the connection breaks. None of
these says whether our own write was done: a repeated one meets itself. So every object
carries the id of the write that made it, and what stands is asked for.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import anyio

from coatcheck._core.writes import Update, Write
from coatcheck.errors import (
    AlreadyExists,
    BackendUnavailable,
    CoatcheckError,
    NotFound,
    Outcome,
    OutcomeUnknown,
    PreconditionFailed,
    UnsupportedOperation,
)

from ._errors import code_of
from ._metadata import quoted
from ._requests import RequestingBucket, receipt_of
from ._shield import to_completion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coatcheck.abc import ObjectInfo, Receipt, WriteMode

_PROBES: Final = ".coatcheck/probes/"
_ATTEMPTS: Final = 6
_PAUSE: Final = 0.05
_CLEANING_SECONDS: Final = 10
_CONTENDED: Final = frozenset({"ConditionalRequestConflict", "OperationAborted"})


class ConditionalBucket(RequestingBucket):
    """A bucket that knows what became of its writes."""

    async def check_conditions(self, mode: WriteMode) -> None:
        """Find out, once for a store, whether it holds to conditions at all.

        Some take If-None-Match and ignore it: then a second create of a probe
        succeeds, which must be refused.

        Raises:
            UnsupportedOperation: The mode is conditional, and the store ignores that.
        """
        if mode is Write.OVERWRITE:
            return
        if self.s3.keeps_conditions is None:
            self.s3.keeps_conditions = self._is_amazon() or await self._probe()
        if not self.s3.keeps_conditions:
            raise UnsupportedOperation(
                f"the store of bucket {self._name!a} ignores If-None-Match, so nothing"
                " can be written under a condition or expire in it",
                bucket=self._name,
                backend="s3",
            )

    def _is_amazon(self) -> bool:
        host = urlsplit(self.s3.clients.talking.meta.endpoint_url).hostname or ""
        return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))

    async def _probe(self) -> bool:
        key = f"{_PROBES}{uuid4().hex}"
        create = {"Key": key, "Body": b"", **condition_of(Write.CREATE)}
        try:
            await self.request("put_object", "try", key, writes=True, **create)
            # Without it, something between us and the store may have said yes.
            await self.look_at(key)
            await self.request("put_object", "try", key, writes=True, **create)
        except PreconditionFailed:
            return True
        except CoatcheckError as error:
            # The user's own object was not touched.
            error.outcome = Outcome.NOT_APPLIED
            raise
        finally:
            await to_completion(self._remove_probe(key))
        return False

    async def _remove_probe(self, key: str) -> None:
        with anyio.move_on_after(_CLEANING_SECONDS), suppress(CoatcheckError):
            await self.request("delete_object", "remove", key, Key=key)

    async def settled(
        self,
        key: str,
        is_ours: Callable[[ObjectInfo], bool],
        mode: WriteMode,
        send: Callable[[], Awaitable[Receipt]],
    ) -> Receipt:
        """Send a write until it is known what became of it.

        Args:
            key: The key.
            is_ours: Tells whether an object was made by this write.
            mode: When the write may happen.
            send: Sends it once, retries of the SDK included.

        Raises:
            AlreadyExists: CREATE, and another object stands there.
            PreconditionFailed: Update, and another object or none stands there.
            OutcomeUnknown: It cannot be told whether it was done.
            BackendError: It was not done.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return await send()
            except (PreconditionFailed, NotFound) as error:
                settled = await self._after_refusal(key, is_ours, mode, error)
            except CoatcheckError as error:
                if code_of(error) not in _CONTENDED:
                    return await self._probed(key, is_ours, error)
                settled = await self._own(key, is_ours, error)
            if settled is not None:
                return settled
            await anyio.sleep(_PAUSE * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
        raise BackendUnavailable(
            f"object {key!a} in bucket {self._name!a} is written by others all the"
            " time, or is a folder to the store; try again, or take another key",
            bucket=self._name,
            key=key,
            backend="s3",
        )

    async def refuse_standing(self, key: str) -> None:
        """Refuse to create what stands there already, before its bytes are sent.

        Raises:
            AlreadyExists: An object stands there.
        """
        if await self.standing(key) is not None:
            raise self._refused(key, Write.CREATE)

    async def _own(
        self, key: str, is_ours: Callable[[ObjectInfo], bool], error: CoatcheckError
    ) -> Receipt | None:
        """Return the receipt of what stands, if this write made it."""
        standing = await self._look_after(key, is_ours, error)
        if standing is None or not is_ours(standing):
            return None
        return receipt_of(standing)

    async def _after_refusal(
        self,
        key: str,
        is_ours: Callable[[ObjectInfo], bool],
        mode: WriteMode,
        error: PreconditionFailed | NotFound,
    ) -> Receipt | None:
        """Return the receipt of an earlier success; None when the key is free now."""
        if isinstance(error, NotFound) and not isinstance(mode, Update):
            raise error
        standing = await self._look_after(key, is_ours, error)
        if standing is not None and is_ours(standing):
            return receipt_of(standing)
        if standing is None and mode is Write.CREATE:
            # It was deleted since; the write may succeed now.
            return None
        raise self._refused(key, mode) from error

    async def _look_after(
        self, key: str, is_ours: Callable[[ObjectInfo], bool], error: CoatcheckError
    ) -> ObjectInfo | None:
        """Look at what stands after a refusal; when that fails, nothing is known."""
        try:
            return await self.standing(key)
        except CoatcheckError as failure:
            raise self._unknown(key, is_ours, error) from failure

    async def _probed(
        self, key: str, is_ours: Callable[[ObjectInfo], bool], error: CoatcheckError
    ) -> Receipt:
        """Ask what became of a write that failed; raise unless it was done."""
        if error.outcome is not Outcome.UNKNOWN:
            raise error
        try:
            standing = await self.standing(key)
        except CoatcheckError:
            standing = None
        if standing is not None and is_ours(standing):
            return receipt_of(standing)
        raise self._unknown(key, is_ours, error) from error

    def _unknown(
        self, key: str, is_ours: Callable[[ObjectInfo], bool], error: CoatcheckError
    ) -> OutcomeUnknown:
        unknown = OutcomeUnknown(
            f"{error.message}; it is not known whether object {key!a} was written: ask"
            " resolve() later, or repeat the call, which is safe",
            bucket=self._name,
            key=key,
            backend="s3",
        )
        unknown.probe = lambda: self._outcome(key, is_ours)
        return unknown

    async def _outcome(
        self, key: str, is_ours: Callable[[ObjectInfo], bool]
    ) -> Outcome:
        standing = await self.standing(key)
        if standing is None:
            return Outcome.NOT_APPLIED
        return Outcome.APPLIED if is_ours(standing) else Outcome.UNKNOWN

    def _refused(self, key: str, mode: WriteMode) -> AlreadyExists | PreconditionFailed:
        where: dict[str, Any] = {"bucket": self._name, "key": key, "backend": "s3"}
        if isinstance(mode, Update):
            return PreconditionFailed(
                f"object {key!a} in bucket {self._name!a} has not ETag {mode.etag!a}"
                " (any more)",
                **where,
            )
        if mode is Write.OVERWRITE:
            return PreconditionFailed(
                f"what object {key!a} in bucket {self._name!a} was to be copied from"
                " was changed meanwhile",
                **where,
            )
        return AlreadyExists(f"object {key!a} exists in bucket {self._name!a}", **where)


def condition_of(mode: WriteMode) -> dict[str, str]:
    """Return a mode as the SDK's parameter."""
    if isinstance(mode, Update):
        return {"IfMatch": quoted(mode.etag)}
    return {"IfNoneMatch": "*"} if mode is Write.CREATE else {}
