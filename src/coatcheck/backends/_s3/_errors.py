"""The one door through which the SDK's errors become ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from botocore import exceptions as sdk

from coatcheck._core.headers import retry_after
from coatcheck._core.names import shown
from coatcheck.config import ON_FILES
from coatcheck.errors import (
    AccessDenied,
    BackendError,
    BackendUnavailable,
    BucketNotFound,
    ClockSkew,
    CoatcheckError,
    IntegrityError,
    InvalidInput,
    InvalidName,
    InvalidRange,
    ObjectNotFound,
    Outcome,
    PreconditionFailed,
    RateLimited,
    Timeout,
    Unauthenticated,
    UnsupportedOperation,
)

from ._answers import is_answer
from ._redaction import redact_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from ._attempts import Attempts

_CREDENTIALS: Final = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role; without S3"
    f" it runs on files: {ON_FILES}"
)
_REGION: Final = "the bucket is in another region; set S3Config.region to it"

# Codes and statuses, in the order in which they are asked.
_BY_CODE: Final[dict[str, tuple[type[CoatcheckError], str]]] = {
    "NoSuchKey": (ObjectNotFound, "no such object"),
    "NoSuchUpload": (ObjectNotFound, "no such upload; completed, aborted or swept"),
    "NoSuchVersion": (ObjectNotFound, "no such version"),
    "NoSuchBucket": (
        BucketNotFound,
        "no such bucket; make it, or set S3Config.create_buckets for development",
    ),
    "PreconditionFailed": (PreconditionFailed, "another object or none stands there"),
    "InvalidRange": (InvalidRange, "no byte of the object lies in the range"),
    "InvalidAccessKeyId": (Unauthenticated, f"unknown access key; {_CREDENTIALS}"),
    "SignatureDoesNotMatch": (
        Unauthenticated,
        f"the secret key does not fit the access key; {_CREDENTIALS}",
    ),
    "ExpiredToken": (Unauthenticated, "the credentials have expired; renew them"),
    "InvalidToken": (Unauthenticated, "the session token is not accepted"),
    "TokenRefreshRequired": (Unauthenticated, "the session token must be renewed"),
    "RequestTimeTooSkewed": (
        ClockSkew,
        "this machine's clock is too far from the store's; set it right",
    ),
    "BadDigest": (IntegrityError, "the bytes were changed on their way"),
    "InvalidDigest": (IntegrityError, "the bytes were changed on their way"),
    "XAmzContentSHA256Mismatch": (
        IntegrityError,
        "the bytes were changed on their way",
    ),
    "EntityTooSmall": (InvalidInput, "a part that is not the last is too small"),
    "EntityTooLarge": (InvalidInput, "the object is too large for one request"),
    "InvalidPart": (InvalidInput, "a part is missing or has another ETag"),
    "InvalidPartOrder": (InvalidInput, "parts are given in ascending order"),
    "KeyTooLongError": (InvalidName, "the key is too long for the store"),
    "MetadataTooLarge": (InvalidInput, "the metadata has more than 2 KiB"),
    "PermanentRedirect": (BackendError, _REGION),
    "AuthorizationHeaderMalformed": (BackendError, _REGION),
    "InvalidBucketName": (InvalidName, "the store takes no such bucket name"),
    "MissingContentLength": (
        UnsupportedOperation,
        "the store takes no streams of unknown length",
    ),
    "NotImplemented": (UnsupportedOperation, "the store cannot do it"),
    "MethodNotAllowed": (UnsupportedOperation, "the store does not admit it"),
    "SlowDown": (RateLimited, "the store asks to slow down"),
    "TooManyRequests": (RateLimited, "the store asks to slow down"),
    "RequestTimeout": (BackendUnavailable, "the store gave up waiting"),
}
_BY_STATUS: Final[dict[int, tuple[type[CoatcheckError], str]]] = {
    301: (BackendError, _REGION),
    304: (PreconditionFailed, "the object still has that ETag"),
    400: (InvalidInput, "the store does not take the request"),
    401: (Unauthenticated, _CREDENTIALS),
    403: (AccessDenied, "the credentials do not permit it"),
    404: (ObjectNotFound, "no such object"),
    405: (UnsupportedOperation, "the store does not admit it"),
    409: (BackendUnavailable, "somebody else is changing it; try again"),
    411: (UnsupportedOperation, "the store takes no streams of unknown length"),
    412: (PreconditionFailed, "another object or none stands there"),
    416: (InvalidRange, "no byte of the object lies in the range"),
    429: (RateLimited, "the store asks to slow down"),
    501: (UnsupportedOperation, "the store cannot do it"),
    503: (RateLimited, "the store asks to slow down"),
}
_REDIRECTS: Final = 300
_SERVER_ERRORS: Final = 500
_NO_CREDENTIALS: Final = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.TokenRetrievalError,
    sdk.ProfileNotFound,
)
_STILL_EXPIRED: Final = "refreshed credentials are still expired"
_LOST: Final = (
    sdk.BotoCoreError,
    sdk.HTTPClientError,
    aiohttp.ClientError,
    asyncio.TimeoutError,
    OSError,
)


class s3_errors:  # noqa: N801  # reads as a verb after `with`
    """Turn the SDK's errors into the CoatcheckError that tells what to do.

    Args:
        doing: What was tried, for instance `write`.
        bucket: The bucket.
        key: The key, or the prefix of a listing.
        writes: Whether the call may have changed the store although it failed.
        attempts: How many attempts may have reached the store; after several the
            last one's answer does not tell what became of the others.
    """

    __slots__ = ("_attempts", "_bucket", "_doing", "_key", "_writes")

    def __init__(
        self,
        doing: str,
        bucket: str,
        key: str,
        *,
        writes: bool = False,
        attempts: Attempts | None = None,
    ) -> None:
        self._doing = doing
        self._bucket = bucket
        self._key = key
        self._writes = writes
        self._attempts = attempts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, CoatcheckError):
            return
        redact_error(error)
        if isinstance(error, sdk.ParamValidationError):
            # Its text shows the parameters, and so perhaps a payload.
            raise self._told(InvalidInput, "S3 has no such names or values") from None
        if isinstance(error, sdk.ClientError):
            raise self._of_answer(error) from error
        if isinstance(error, _NO_CREDENTIALS):
            raise self._told(Unauthenticated, f"no credentials; {_CREDENTIALS}") from (
                error
            )
        if isinstance(error, RuntimeError) and _STILL_EXPIRED in str(error):
            raise self._told(
                Unauthenticated,
                "the credentials have expired, and so have those that they were"
                " renewed with",
            ) from error
        if isinstance(error, _LOST):
            raise self._of_silence(error) from error

    def check(self, operation: str, response: Mapping[str, Any]) -> None:
        """Refuse a success that does not say what S3 says in every one.

        Raises:
            BackendUnavailable: Something that is not S3 answered.
        """
        if not is_answer(operation, response):
            raise self._told(
                BackendUnavailable,
                "something that is not S3 answered; see S3Config.endpoint_url",
                Outcome.UNKNOWN if self._writes else Outcome.NOT_APPLIED,
            )

    def _told(
        self, kind: type[CoatcheckError], why: str, outcome: Outcome | None = None
    ) -> CoatcheckError:
        return kind(
            f"cannot {self._doing} {shown(self._key)} in bucket"
            f" {shown(self._bucket)}: {why}",
            bucket=self._bucket,
            key=self._key,
            backend="s3",
            outcome=outcome,
        )

    def _of_answer(self, error: sdk.ClientError) -> CoatcheckError:
        """Return the error behind a status and a code that the store answered."""
        response: dict[str, Any] = dict(error.response)
        code = str(response.get("Error", {}).get("Code", ""))
        metadata = response.get("ResponseMetadata", {})
        status = int(metadata.get("HTTPStatusCode", 0))
        if not status and code.isdecimal():
            status = int(code)
        kind, why = _BY_CODE.get(code) or _BY_STATUS.get(
            status, (BackendUnavailable, "the store failed")
        )
        sent = 0 if self._attempts is None else self._attempts.sent
        unknown = self._writes and (sent > 1 or _may_have_happened(status))
        found = self._told(
            kind,
            f"{why} ({code or 'no code'}, status {status})",
            Outcome.UNKNOWN if unknown else None,
        )
        if isinstance(found, RateLimited):
            found.retry_after = retry_after(metadata.get("HTTPHeaders", {}))
        return found

    def _of_silence(self, error: BaseException) -> CoatcheckError:
        """Return the error behind an answer that did not come, or was none."""
        attempts = self._attempts
        sent = not was_not_sent(error) if attempts is None else bool(attempts.sent)
        kind: type[BackendError] = BackendUnavailable
        why = "the store does not answer"
        if isinstance(error, sdk.ReadTimeoutError | TimeoutError):
            kind, why = Timeout, "the store takes too long"
        elif isinstance(error, sdk.SSLError):
            why = "its certificate is not trusted; see S3Config.ca_bundle"
        elif isinstance(error, sdk.EndpointConnectionError):
            why = "the store cannot be reached; see S3Config.endpoint_url"
        return self._told(
            kind,
            f"{why} ({type(error).__name__})",
            Outcome.UNKNOWN if self._writes and sent else Outcome.NOT_APPLIED,
        )


def _may_have_happened(status: int) -> bool:
    """Tell whether an answer leaves it open that the write was done.

    A server error may come after the commit, and so may an answer that is none:
    status 200 with an error in its body.
    """
    return status >= _SERVER_ERRORS or status < _REDIRECTS


def was_not_sent(error: BaseException) -> bool:
    """Tell whether an attempt failed before anything could leave.

    The SDK calls every broken connection an endpoint that cannot be reached; only
    aiohttp's own error tells those apart that were never made.
    """
    if isinstance(error, sdk.ConnectTimeoutError | sdk.ProxyConnectionError):
        return True
    cause = error.__cause__ or error.__context__
    return isinstance(error, aiohttp.ClientConnectorError) or isinstance(
        cause, aiohttp.ClientConnectorError
    )


def refusal(
    operation: str, status: int, code: str, headers: Mapping[str, str]
) -> sdk.ClientError:
    """Return the SDK's own error of an answer that the SDK has not seen.

    Args:
        operation: The SDK's name of what was asked for.
        status: The answer's status.
        code: The store's own code.
        headers: The answer's headers by lower-case name.
    """
    response: Any = {
        "Error": {"Code": code},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": dict(headers)},
    }
    return sdk.ClientError(response, operation)


def code_of(error: BaseException | None) -> str:
    """Return the store's own code behind an error of ours, `""` when there is none."""
    cause = None if error is None else error.__cause__
    if not isinstance(cause, sdk.ClientError):
        return ""
    return str(cause.response.get("Error", {}).get("Code", ""))
