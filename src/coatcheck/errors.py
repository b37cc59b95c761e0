"""Every failure of coatcheck, grouped by what a handler would do about it.

    CoatcheckError
    ├── InvalidInput (ValueError)        fix the call
    │   ├── InvalidAddress, InvalidName, InvalidConfig, InvalidRange
    │   └── PayloadError                 unserialisable, hostile or too large
    ├── NotFound (LookupError)           absent or expired
    │   └── StashNotFound, ObjectNotFound, FileRecordNotFound,
    │       ArtifactNotFound, BucketNotFound
    ├── Conflict                         somebody else was there first
    │   └── AlreadyExists, PreconditionFailed, OffsetMismatch, ExpiryNotExtendable
    ├── AccessDenied, Unauthenticated    fix the credentials
    ├── Unsupported                      choose another backend
    │   └── UnsupportedBackend, UnsupportedOperation
    ├── IntegrityError                   the stored bytes are not what was stored
    ├── BackendError                     the storage failed
    │   └── BackendUnavailable, Timeout (TimeoutError), AtCapacity,
    │       RateLimited, ClockSkew, OutcomeUnknown
    └── Closed                           the resource is not open here

Messages name the object and what to do, and never hold a secret, a signature or
a payload. Every error survives pickling.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

__all__ = (
    "AccessDenied",
    "AlreadyExists",
    "ArtifactNotFound",
    "AtCapacity",
    "BackendError",
    "BackendUnavailable",
    "BucketNotFound",
    "ClockSkew",
    "Closed",
    "CoatcheckError",
    "Conflict",
    "ErrorKind",
    "ExpiryNotExtendable",
    "FileRecordNotFound",
    "IntegrityError",
    "InvalidAddress",
    "InvalidConfig",
    "InvalidInput",
    "InvalidName",
    "InvalidRange",
    "NotFound",
    "ObjectNotFound",
    "OffsetMismatch",
    "Outcome",
    "OutcomeUnknown",
    "PayloadError",
    "PreconditionFailed",
    "RateLimited",
    "StashNotFound",
    "Timeout",
    "Unauthenticated",
    "Unsupported",
    "UnsupportedBackend",
    "UnsupportedOperation",
)


class ErrorKind(StrEnum):
    """What went wrong, for logs and metrics; members are only ever added."""

    INVALID_INPUT = "invalid_input"
    INVALID_ADDRESS = "invalid_address"
    INVALID_NAME = "invalid_name"
    INVALID_CONFIG = "invalid_config"
    INVALID_RANGE = "invalid_range"
    PAYLOAD = "payload"
    NOT_FOUND = "not_found"
    STASH_NOT_FOUND = "stash_not_found"
    OBJECT_NOT_FOUND = "object_not_found"
    FILE_RECORD_NOT_FOUND = "file_record_not_found"
    ARTIFACT_NOT_FOUND = "artifact_not_found"
    BUCKET_NOT_FOUND = "bucket_not_found"
    CONFLICT = "conflict"
    ALREADY_EXISTS = "already_exists"
    PRECONDITION_FAILED = "precondition_failed"
    OFFSET_MISMATCH = "offset_mismatch"
    EXPIRY_NOT_EXTENDABLE = "expiry_not_extendable"
    ACCESS_DENIED = "access_denied"
    UNAUTHENTICATED = "unauthenticated"
    UNSUPPORTED = "unsupported"
    UNSUPPORTED_BACKEND = "unsupported_backend"
    UNSUPPORTED_OPERATION = "unsupported_operation"
    INTEGRITY = "integrity"
    BACKEND = "backend"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    TIMEOUT = "timeout"
    AT_CAPACITY = "at_capacity"
    RATE_LIMITED = "rate_limited"
    CLOCK_SKEW = "clock_skew"
    OUTCOME_UNKNOWN = "outcome_unknown"
    CLOSED = "closed"


class Outcome(StrEnum):
    """Whether the failed call changed the store."""

    NOT_APPLIED = "not_applied"
    APPLIED = "applied"
    UNKNOWN = "unknown"


_ErrorT = TypeVar("_ErrorT", bound="CoatcheckError")


class CoatcheckError(Exception):
    """Base of every error that coatcheck raises on purpose.

    Args:
        message: What happened, to which object, and what to do.
        address: The address concerned, without signature.
        bucket: The bucket concerned.
        key: The object's key.
        backend: The scheme of the backend concerned.
        retryable: Overrides the class's answer to "may the same call succeed later".
        outcome: Overrides the class's answer to "did the store change".
    """

    kind: ClassVar[ErrorKind]
    retryable: bool = False
    outcome: Outcome = Outcome.NOT_APPLIED

    def __init__(
        self,
        message: str,
        *,
        address: str | None = None,
        bucket: str | None = None,
        key: str | None = None,
        backend: str | None = None,
        retryable: bool | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.address = address
        self.bucket = bucket
        self.key = key
        self.backend = backend
        if retryable is not None:
            self.retryable = retryable
        if outcome is not None:
            self.outcome = outcome

    def __str__(self) -> str:
        return self.message

    def _state(self) -> dict[str, object]:
        """Return what pickling carries over."""
        return dict(self.__dict__)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self._state())


def _rebuild(
    cls: type[_ErrorT],
    message: str,
    state: dict[str, object],
) -> _ErrorT:
    error = cls(message)
    error.__dict__.update(state)
    return error


class InvalidInput(CoatcheckError, ValueError):
    """An argument can never work."""

    kind = ErrorKind.INVALID_INPUT


class InvalidAddress(InvalidInput):
    """The text is not an address that coatcheck could have made."""

    kind = ErrorKind.INVALID_ADDRESS


class InvalidName(InvalidInput):
    """A name, namespace, key or prefix breaks the naming rules."""

    kind = ErrorKind.INVALID_NAME


class InvalidConfig(InvalidInput):
    """A configuration field cannot be used; the message names the field."""

    kind = ErrorKind.INVALID_CONFIG


class InvalidRange(InvalidInput):
    """The byte range lies outside the object."""

    kind = ErrorKind.INVALID_RANGE


class PayloadError(InvalidInput):
    """A payload cannot be encoded, decoded or held within the limits."""

    kind = ErrorKind.PAYLOAD


class NotFound(CoatcheckError, LookupError):
    """What was asked for is absent or has expired."""

    kind = ErrorKind.NOT_FOUND


class StashNotFound(NotFound):
    """No stash stands behind the address, or it has expired."""

    kind = ErrorKind.STASH_NOT_FOUND


class ObjectNotFound(NotFound):
    """The bucket holds no such object, or it has expired."""

    kind = ErrorKind.OBJECT_NOT_FOUND


class FileRecordNotFound(NotFound):
    """The catalogue has no such file."""

    kind = ErrorKind.FILE_RECORD_NOT_FOUND


class ArtifactNotFound(NotFound):
    """The session has no such artifact."""

    kind = ErrorKind.ARTIFACT_NOT_FOUND


class BucketNotFound(NotFound):
    """The backend has no such bucket."""

    kind = ErrorKind.BUCKET_NOT_FOUND


class Conflict(CoatcheckError):
    """The store's state does not admit the call."""

    kind = ErrorKind.CONFLICT


class AlreadyExists(Conflict):
    """CREATE met an object under the key."""

    kind = ErrorKind.ALREADY_EXISTS


class PreconditionFailed(Conflict):
    """The object is not in the state that the call was made for."""

    kind = ErrorKind.PRECONDITION_FAILED


class OffsetMismatch(Conflict):
    """An upload continues at another offset than the store has reached."""

    kind = ErrorKind.OFFSET_MISMATCH


class ExpiryNotExtendable(Conflict):
    """The object's expiration policy does not admit an extension."""

    kind = ErrorKind.EXPIRY_NOT_EXTENDABLE


class AccessDenied(CoatcheckError):
    """The credentials do not permit the call."""

    kind = ErrorKind.ACCESS_DENIED


class Unauthenticated(CoatcheckError):
    """The store takes no credentials, or they are missing or expired."""

    kind = ErrorKind.UNAUTHENTICATED


class Unsupported(CoatcheckError):
    """What was asked for cannot be done here."""

    kind = ErrorKind.UNSUPPORTED


class UnsupportedBackend(Unsupported):
    """No configured backend answers to the scheme."""

    kind = ErrorKind.UNSUPPORTED_BACKEND


class UnsupportedOperation(Unsupported):
    """The store lacks the ability that the call needs."""

    kind = ErrorKind.UNSUPPORTED_OPERATION


class IntegrityError(CoatcheckError):
    """Stored bytes differ from their digest, length or frame."""

    kind = ErrorKind.INTEGRITY


class BackendError(CoatcheckError):
    """The storage failed."""

    kind = ErrorKind.BACKEND


class BackendUnavailable(BackendError):
    """The storage cannot be reached or refuses work for now."""

    kind = ErrorKind.BACKEND_UNAVAILABLE
    retryable = True


class Timeout(BackendError, TimeoutError):
    """The call's deadline passed."""

    kind = ErrorKind.TIMEOUT
    retryable = True
    outcome = Outcome.UNKNOWN


class AtCapacity(BackendError):
    """A bound on size or concurrency is reached."""

    kind = ErrorKind.AT_CAPACITY
    retryable = True


class RateLimited(BackendError):
    """The storage asks to slow down."""

    kind = ErrorKind.RATE_LIMITED
    retryable = True
    retry_after: timedelta | None = None
    """How long the storage asks to wait, when it said so."""


class ClockSkew(BackendError):
    """This machine's clock is too far from the storage's."""

    kind = ErrorKind.CLOCK_SKEW


class OutcomeUnknown(BackendError):
    """The call may or may not have changed the store; `resolve` asks again."""

    kind = ErrorKind.OUTCOME_UNKNOWN
    outcome = Outcome.UNKNOWN
    probe: Callable[[], Awaitable[Outcome]] | None = None
    """Asks the store what became of the call; lost by pickling."""

    async def resolve(self) -> Outcome:
        """Ask the store what became of the call.

        Returns:
            APPLIED or NOT_APPLIED when the store can tell, UNKNOWN when nothing
            can be proven (another writer has replaced the object since, or this
            error was unpickled).

        Raises:
            BackendError: The store still cannot be asked.
        """
        return Outcome.UNKNOWN if self.probe is None else await self.probe()

    def _state(self) -> dict[str, object]:
        return {name: held for name, held in self.__dict__.items() if name != "probe"}


class Closed(CoatcheckError):
    """The resource is not open, or not open in this process or event loop."""

    kind = ErrorKind.CLOSED
