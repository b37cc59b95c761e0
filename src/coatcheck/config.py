"""Configuration: frozen, checked once, told apart by value."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping  # noqa: TC003  # pydantic reads it
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from coatcheck._core.address import INLINE, LINK, STORED_SCHEMES
from coatcheck._core.frozen import FrozenTexts
from coatcheck._core.names import check_namespace, check_prefix
from coatcheck.errors import InvalidConfig, InvalidInput, InvalidName

ON_FILES: Final = (
    'coatcheck.Config(backends=("inline", "file"), filesystem_root="./coats")'
)
"""The line that runs without any store; errors about missing ones show it."""

__all__ = ("Config", "Place", "S3Config")

_BACKENDS: Final = frozenset({INLINE, LINK, *STORED_SCHEMES})
_PLACE = re.compile(r"(mem|file|s3)://([^/?#]+)(?:/([^?#]*))?")
_LINKABLE: Final = re.compile(r"[!-\[\]-~]+")
_MIB: Final = 1024 * 1024
_LEAST_TIMEOUT: Final = timedelta(milliseconds=1)
_MOST_TIME: Final = timedelta(days=1)
_LEAST_KEY: Final = 16


class Place(NamedTuple):
    """Where a namespace's stashes are kept."""

    scheme: str
    """The backend."""
    bucket: str
    """The bucket."""
    prefix: str
    """What stands before every key; empty, or text that ends in a slash."""


def _a_sequence(given: object) -> object:
    if isinstance(given, str) or not isinstance(given, list | tuple):
        raise ValueError("must be a list or tuple")  # noqa: TRY004  # for pydantic
    return tuple(given)


def _seconds(given: object) -> object:
    """Let variables of the environment give plain seconds."""
    try:
        return float(given) if isinstance(given, str) else given
    except ValueError:
        return given


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must have no user, query or fragment")
    return url.rstrip("/")


def _places(given: Mapping[str, str]) -> FrozenTexts:
    for namespace, url in given.items():
        try:
            check_namespace(namespace)
            _place(url)
        except InvalidInput as error:
            raise ValueError(error.message) from None
    return FrozenTexts(given)


def _place(url: str) -> Place:
    found = _PLACE.fullmatch(url)
    if found is None:
        raise InvalidName(
            f"{ascii(url)[:80]} has not the form scheme://bucket or"
            " scheme://bucket/prefix/, with mem, file or s3"
        )
    scheme, bucket, prefix = found[1], found[2], found[3] or ""
    if "@" in bucket:
        raise InvalidName("a place is scheme://bucket/prefix/, without a user")
    check_namespace(bucket)
    check_prefix(prefix)
    if prefix and not prefix.endswith("/"):
        raise InvalidName(f"the prefix of {ascii(url)[:80]} does not end in a slash")
    return Place(scheme=scheme, bucket=bucket, prefix=prefix)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_a_sequence)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_a_sequence)]
Seconds = Annotated[timedelta, BeforeValidator(_seconds)]
Url = Annotated[str, AfterValidator(_origin)]


class Refusing(BaseModel):
    """A model whose refusals name the field and never show what was given.

    Raises:
        InvalidConfig: A field cannot be used; the message names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InvalidConfig(_refusal(type(self).__name__, error)) from None


def _refusal(model: str, error: ValidationError) -> str:
    faults = [
        ".".join(str(part) for part in each["loc"])
        + ": " * bool(each["loc"])
        + each["msg"].removeprefix("Value error, ")
        for each in error.errors(include_input=False, include_url=False)
    ]
    return f"{model} cannot be used: {'; '.join(faults)}"


class S3Config(Refusing):
    """How S3, or a store that speaks it, is reached; credentials are the SDK's."""

    endpoint_url: Url | None = None
    """The store's URL; None is AWS, or what AWS_ENDPOINT_URL_S3 says."""
    public_endpoint_url: Url | None = None
    """The URL that share links are made for, when outsiders use another."""
    region: str | None = Field(default=None, min_length=1, max_length=64)
    """The region; None is the SDK's own choice."""
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """Where the bucket's name stands in URLs."""
    anonymous: bool = False
    """Sign nothing, for buckets that are open to all."""
    wire: Literal["auto", "sdk"] = "auto"
    """Whether the fast path around the SDK may be used."""
    create_buckets: bool = False
    """Make missing buckets, for development."""
    max_pool_connections: int = Field(default=50, ge=1, le=10_000)
    """Connections to the store."""
    ca_bundle: str | None = Field(default=None, min_length=1)
    """Path of the certificates that are trusted."""
    expected_bucket_owner: str | None = Field(default=None, pattern=r"^[0-9]{12}$")
    """The AWS account that must own the buckets."""
    sse: str | None = Field(default=None, min_length=1, max_length=256)
    """Server-side encryption: `AES256`, or `aws:kms` with `:` and a key id."""


class Config(BaseSettings):
    """Everything that can be configured, with defaults for S3.

    A Config is a value: frozen, hashable, equal by what it says. `Config(...)` reads
    nothing from the environment; `Config.from_env()` does.

    Raises:
        InvalidConfig: A field cannot be used; the message names it.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix="COATCHECK_",
        env_nested_delimiter="__",
    )

    backends: Names = (INLINE, "s3", LINK)
    """Who may keep stashes, in the order in which they are tried; `inline` first."""
    max_inline_len: int = Field(default=100, ge=1, le=8192)
    """The most base64 characters of a payload that becomes its own address."""
    share_ttl_sec: int = Field(default=10, ge=1, le=604_800)
    """Seconds that a share link works unless told otherwise."""
    digest: Literal["md5", "sha256"] = "md5"
    """What addresses are made with; sha256 where writers are hostile."""
    compression: Literal["none", "zstd"] = "none"
    """How payloads are compressed in the store."""
    max_payload_bytes: int = Field(default=64 * _MIB, ge=1, le=2048 * _MIB)
    """The most bytes of an encoded payload; larger things are streamed."""
    namespaces: Annotated[
        Mapping[str, str], AfterValidator(_places), PlainSerializer(dict)
    ] = FrozenTexts({})
    """Where namespaces are kept, `scheme://bucket/prefix/`; if any, no others are."""
    trusted_hosts: Names = ()
    """Hosts from which share links are fetched beside the configured endpoints."""
    public_url: Url | None = None
    """Where the service answers links for memory and files."""
    signing_key: SecretStr | None = None
    """What these links are signed with; at least 16 characters."""
    retired_signing_keys: Secrets = ()
    """Keys that links were signed with before, which are still read."""
    filesystem_root: str | None = Field(default=None, min_length=1)
    """The folder of the `file` backend."""
    durable: bool = True
    """Files: wait until the disk confirms every write."""
    total_timeout: Seconds = timedelta(seconds=60)
    """The deadline of every single storage operation."""
    concurrency: int = Field(default=64, ge=1, le=10_000)
    """Storage operations at once, for each backend."""
    grace: Seconds = timedelta(minutes=15)
    """How long after its deadline an object on S3 is left to the reaper."""
    cache_bytes: int = Field(default=0, ge=0)
    """Bytes of memory for verified stashes that were read before; 0 keeps none."""
    cache_ttl: Seconds = timedelta(seconds=60)
    """How long a deletion by others may stay unseen for what is kept in memory."""
    s3: S3Config = S3Config()
    """How S3 is reached."""

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InvalidConfig(_refusal("Config", error)) from None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the configuration from `COATCHECK_*` variables.

        A field's variable is its name in upper case; a field of `s3` stands behind
        `COATCHECK_S3__`. Lists are comma-separated or JSON, mappings JSON, times
        seconds or ISO 8601 durations. AWS's own variables go to the SDK.

        Args:
            environ: The variables; None is the process's environment.

        Raises:
            InvalidConfig: A variable cannot be used; the message names its field.
        """
        source = _Environment(cls, os.environ if environ is None else environ)
        try:
            fields = source()
        except SettingsError as error:
            raise InvalidConfig(f"the environment cannot be used: {error}") from None
        for name in ("backends", "trusted_hosts", "retired_signing_keys"):
            if isinstance(fields.get(name), str):
                fields[name] = _split(name, fields[name])
        return cls(**fields)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let `Config(...)` look at its arguments and at nothing else."""
        return (init_settings,)

    @field_validator("backends")
    @classmethod
    def _check_backends(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in given if name not in _BACKENDS]
        if unknown:
            raise ValueError(f"{ascii(unknown[0])[:40]} is none of {sorted(_BACKENDS)}")
        if not given or len(set(given)) != len(given):
            raise ValueError("must name at least one backend, and none twice")
        if INLINE in given[1:]:
            raise ValueError("'inline' must stand first")
        return given

    @field_validator("total_timeout", "grace", "cache_ttl")
    @classmethod
    def _check_time(cls, given: timedelta, info: ValidationInfo) -> timedelta:
        least = timedelta(0) if info.field_name == "grace" else _LEAST_TIMEOUT
        if not least <= given <= _MOST_TIME:
            raise ValueError(f"must be from {least} to {_MOST_TIME}")
        return given

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, given: str | None) -> str | None:
        if given is not None and _LINKABLE.fullmatch(given) is None:
            raise ValueError("must be printable ASCII, with all else percent-encoded")
        return given

    @field_validator("signing_key", "retired_signing_keys")
    @classmethod
    def _check_keys(
        cls, given: SecretStr | tuple[SecretStr, ...] | None
    ) -> SecretStr | tuple[SecretStr, ...] | None:
        keys = (given,) if isinstance(given, SecretStr) else given or ()
        if any(len(key.get_secret_value()) < _LEAST_KEY for key in keys):
            raise ValueError(f"must have at least {_LEAST_KEY} characters")
        return given

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if "file" in self.backends and self.filesystem_root is None:
            raise ValueError("filesystem_root: must be set when 'file' is in backends")
        for url in self.namespaces.values():
            scheme = _place(url).scheme
            if scheme not in self.backends:
                raise ValueError(f"namespaces: {scheme!r} is not in backends")
        return self

    def place(self, namespace: str) -> Place | None:
        """Return where a namespace is mapped to; None when none is mapped.

        Raises:
            InvalidName: Namespaces are mapped, and this one is not.
        """
        if not self.namespaces:
            return None
        url = self.namespaces.get(namespace)
        if url is None:
            raise InvalidName(
                f"namespace {ascii(namespace)[:80]} is not in Config.namespaces, which"
                " admits no others"
            )
        return _place(url)


class _Environment(EnvSettingsSource):
    """The environment, or a mapping in its stead."""

    def __init__(
        self, settings_cls: type[BaseSettings], environ: Mapping[str, str]
    ) -> None:
        self._environ = environ
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): text for name, text in self._environ.items()}


def _split(name: str, text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        names: list[str] = json.loads(text)
    except ValueError:
        raise InvalidConfig(f"Config cannot be used: {name}: is not JSON") from None
    return names
