"""What the service is told: storage, keys, policies and limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from coatcheck._core.frozen import FrozenTexts
from coatcheck._core.names import check_prefix
from coatcheck._core.permissions import ADMIN_USAGE, Permission
from coatcheck._core.scopes import Scope, check_usecase
from coatcheck.config import Names, Refusing, S3Config, Seconds, Secrets, Url
from coatcheck.errors import InvalidInput

_MIB: Final = 1024 * 1024
_LEAST_KEY: Final = 16
_FOREVER: Final = timedelta(days=36_500)


_PERMISSIONS: Final = frozenset({*Permission, ADMIN_USAGE})
_ALL_PERMISSIONS: Final = ", ".join(sorted(_PERMISSIONS))


def _permissions(given: frozenset[str]) -> frozenset[str]:
    unknown = given - _PERMISSIONS
    if unknown:
        raise ValueError(f"{min(unknown)[:40]!a} is none of {_ALL_PERMISSIONS}")
    return given


def _usecases(given: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in given:
        try:
            check_usecase(name)
        except InvalidInput as error:
            raise ValueError(error.message) from None
    return MappingProxyType(dict(given))


def _scopes(given: Mapping[str, str]) -> Mapping[str, str]:
    try:
        Scope(tuple(given.items()))
    except InvalidInput as error:
        raise ValueError(error.message) from None
    return FrozenTexts(given)


def _listed(given: object) -> object:
    return tuple(given) if isinstance(given, list) else given


def _nobody() -> Mapping[str, Any]:
    # Made anew each time, since pydantic would copy a default deeply.
    return MappingProxyType({})


def _a_set(given: object) -> object:
    return frozenset(given) if isinstance(given, list | tuple | set) else given


_Scopes = Annotated[Mapping[str, str], AfterValidator(_scopes)]


class AuthKey(Refusing):
    """Who may sign tokens and URLs under one key id."""

    public_keys: Names = Field(min_length=1)
    """PEM texts of Ed25519 public keys; several while keys are being rotated."""
    permissions: Annotated[
        frozenset[str], BeforeValidator(_a_set), AfterValidator(_permissions)
    ] = frozenset(Permission.max())
    """The most that its tokens may allow."""


class ExpiryRule(Refusing):
    """Whether a kind of expiration policy may be used."""

    allowed: bool = True
    """Whether it may be used at all."""
    max: Seconds = Field(default=_FOREVER, gt=timedelta(0))
    """The longest duration."""


class UsecasePolicy(Refusing):
    """What the objects of one usecase may be."""

    manual: ExpiryRule = ExpiryRule()
    """Objects without an expiration policy; `max` says nothing here."""
    ttl: ExpiryRule = ExpiryRule()
    """Objects with a TimeToLive."""
    tti: ExpiryRule = ExpiryRule()
    """Objects with a TimeToIdle."""
    max_object_bytes: int | None = Field(default=None, ge=0)
    """The most stored bytes of an object."""


class Killswitch(Refusing):
    """Requests that are refused: those that meet all that is given here."""

    usecase: str | None = None
    """The usecase."""
    scopes: _Scopes = FrozenTexts({})
    """Scopes with these values."""
    service: str | None = None
    """A glob of what `x-downstream-service` says."""

    @model_validator(mode="after")
    def _check_given(self) -> Self:
        if self.usecase is None and not self.scopes and self.service is None:
            raise ValueError("must name a usecase, scopes or a service")
        return self


class RateRule(Refusing):
    """A limit on requests that meet all that is given here."""

    usecase: str | None = None
    """The usecase."""
    scopes: _Scopes = FrozenTexts({})
    """Scopes with these values."""
    per_second: float = Field(gt=0, le=1e9)
    """Requests a second."""
    burst: int = Field(default=0, ge=0, le=1_000_000_000)
    """Requests beyond that at once."""


class RateLimits(Refusing):
    """How many requests and bytes a second one instance admits."""

    per_second: float | None = Field(default=None, gt=0, le=1e9)
    """Requests a second in all."""
    burst: int = Field(default=0, ge=0, le=1_000_000_000)
    """Requests beyond that at once."""
    usecase_share: float | None = Field(default=None, gt=0, le=1)
    """The part of them that one usecase may take."""
    scope_share: float | None = Field(default=None, gt=0, le=1)
    """The part of them that one scope may take."""
    rules: Annotated[tuple[RateRule, ...], BeforeValidator(_listed)] = ()
    """Further limits, all of which must admit a request."""
    bytes_per_second: float | None = Field(default=None, gt=0, le=1e15)
    """Bytes a second in and out; who is over it by a second's worth must wait."""


class ServiceConfig(Refusing):
    """Everything that the service can be told.

    Raises:
        InvalidConfig: A field cannot be used; the message names it.
    """

    storage: str = "memory:"
    """`memory:`, `file:FOLDER`, or `s3://BUCKET/PREFIX`."""
    auth: Literal["enforce", "report", "off"] = "enforce"
    """Whether who asks must prove what it may; `report` only logs failures."""
    auth_keys: Annotated[Mapping[str, AuthKey], AfterValidator(MappingProxyType)] = (
        Field(default_factory=_nobody)
    )
    """Who may sign, by key id."""
    compat_scopes: bool = False
    """Let a token open wider scopes too, as objectstore's own server does."""
    compat_status: bool = False
    """Answer missing credentials by 400 instead of 401, as that server does."""
    max_token_lifetime: Seconds = timedelta(days=7)
    """How far ahead a token may expire."""
    public_url: Url | None = None
    """Where links to memory and files are answered."""
    signing_key: SecretStr | None = None
    """What links and upload sessions are signed with; None is a key of its own that
    lies in the storage, and no links."""
    retired_signing_keys: Secrets = ()
    """Keys that links were signed with before, which are still read."""
    root_path: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """What stands before every path, when a proxy serves it below one."""
    usecases: Annotated[Mapping[str, UsecasePolicy], AfterValidator(_usecases)] = Field(
        default_factory=_nobody
    )
    """Policies of usecases; others have none."""
    killswitches: Annotated[tuple[Killswitch, ...], BeforeValidator(_listed)] = ()
    """What is refused for now."""
    rates: RateLimits = RateLimits()
    """Limits on requests and bytes a second."""
    max_requests: int = Field(default=10_000, ge=1)
    """Requests in flight; more are answered 503."""
    concurrency: int = Field(default=500, ge=1, le=100_000)
    """Requests that use the storage at once; more are answered 429."""
    concurrency_queue: int = Field(default=0, ge=0, le=100_000)
    """Requests that may wait for their turn."""
    concurrency_wait: Seconds = timedelta(seconds=1)
    """How long they wait."""
    bulk_share: float = Field(default=0.6, gt=0, le=1)
    """The part of `concurrency` that batches may take."""
    max_object_bytes: int | None = Field(default=None, ge=0)
    """The most stored bytes of an object."""
    body_timeout: Seconds = timedelta(seconds=30)
    """How long a client may pause while it sends or takes a body."""
    total_timeout: Seconds = timedelta(seconds=60)
    """The deadline of every step of a storage operation."""
    drain_timeout: Seconds = timedelta(seconds=30)
    """How long requests may run on when the service is told to end."""
    grace: Seconds = timedelta(minutes=15)
    """How long after its deadline an object on S3 is left to the reaper."""
    reap_every: Seconds = timedelta(minutes=15)
    """How often expired objects are deleted; 0 is never."""
    sweep_every: Seconds = timedelta(hours=1)
    """How often the litter of broken uploads is removed; 0 is never."""
    upload_age: Seconds = timedelta(hours=24)
    """How long an unfinished upload is kept."""
    durable: bool = True
    """Files: wait until the disk confirms every write."""
    s3: S3Config = S3Config()
    """How S3 is reached."""

    @field_validator("signing_key")
    @classmethod
    def _check_signing_key(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and len(given.get_secret_value()) < _LEAST_KEY:
            raise ValueError(f"must have at least {_LEAST_KEY} characters")
        return given

    @field_validator("storage")
    @classmethod
    def _check_storage(cls, given: str) -> str:
        StoragePlace.parse(given)
        return given

    @model_validator(mode="after")
    def _check_auth(self) -> Self:
        if self.auth == "enforce" and not self.auth_keys:
            raise ValueError(
                "auth_keys: without any nobody could ask for anything; give"
                " --auth-key KID=PEM, or --no-auth to serve everybody"
            )
        return self


class StoragePlace(Refusing):
    """Where the objects are kept."""

    backend: str
    """What `open_backend` is given."""
    bucket: str
    """The bucket."""
    prefix: str = ""
    """What stands before every key; empty, or text that ends in a slash."""

    @classmethod
    def parse(cls, storage: str) -> StoragePlace:
        """Read `memory:`, `file:FOLDER` or `s3://BUCKET/PREFIX`.

        Raises:
            ValueError: It is none of them.
        """
        parts = urlsplit(storage)
        scheme, _, rest = storage.partition(":")
        if storage == "memory:":
            return cls(backend="mem:", bucket=_OBJECTS)
        if scheme == "file" and rest:
            return cls(backend=f"file:{rest.removeprefix('//')}", bucket=_OBJECTS)
        if scheme == "s3" and parts.netloc and "@" not in parts.netloc:
            prefix = parts.path.strip("/")
            check_prefix(prefix)
            folder = f"{prefix}/" if prefix else ""
            return cls(backend="s3:", bucket=parts.netloc, prefix=folder)
        raise ValueError("must be memory:, file:FOLDER or s3://BUCKET/PREFIX")


_OBJECTS: Final = "objects"
