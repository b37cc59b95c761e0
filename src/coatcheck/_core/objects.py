"""What travels beside the bytes: entries, infos, and what a write says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from typing import Any

from coatcheck.errors import InvalidInput

from .digests import DigestAlgorithm, is_digest
from .expiry import Expiry, check_aware
from .frozen import FrozenTexts

NOTHING: Mapping[str, str] = FrozenTexts({})
"""The empty mapping that stands where nothing was given."""


def nothing() -> Mapping[str, str]:
    """Return the empty mapping; dataclasses before 3.12 take it from a factory."""
    return NOTHING


_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_CONTENT_TYPE = re.compile(
    rf"{_WORD}/{_WORD}(?:[ ]?;[ ]?{_WORD}=(?:{_WORD}|\"[ !\x23-\x5b\x5d-\x7e]*\"))*"
)
_ENCODING = re.compile(rf"{_WORD}(?:, ?{_WORD})*")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_CUSTOM_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MAX_HEADER = 1024
_MAX_TAGS = 10
_MAX_TAG_NAME = 128
_MAX_TAG = 256


# These three have no slots: the copies that every call makes of them are dicts.
@dataclass(frozen=True, kw_only=True)
class ObjectEntry:
    """What a listing tells about one object."""

    key: str
    """The object's name in its bucket."""
    size: int
    """Stored bytes."""
    etag: str
    """Changes with the bytes; with GENERATION, with every mutation."""
    modified: datetime
    """When the object was last written or touched, in UTC."""


@dataclass(frozen=True, kw_only=True)
class ObjectInfo(ObjectEntry):
    """All that the store knows about one object; what it cannot tell is None."""

    created: datetime
    """When the object was written, in UTC."""
    content_type: str | None = None
    """Media type of the stored bytes."""
    encoding: str | None = None
    """Content-Encoding of the stored bytes, `zstd` for instance."""
    sha256: str | None = None
    """SHA-256 of the stored bytes in lower-case hex."""
    codec: str | None = None
    """How a payload became bytes: `msgpack` or `raw`."""
    write_id: str | None = None
    """Names the write that made the object."""
    version: str | None = None
    """The store's version id, where buckets are versioned."""
    expiry: Expiry | None = None
    """The expiration policy."""
    deadline: datetime | None = None
    """From when on the object does not exist, in UTC."""
    origin: str | None = None
    """Where the object came from, an IP address for instance."""
    filename: str | None = None
    """The name that a download should have."""
    cache_control: str | None = None
    """Cache-Control for links."""
    content_disposition: str | None = None
    """Content-Disposition for links."""
    storage_class: str | None = None
    """The store's class of storage."""
    tags: Mapping[str, str] = field(default_factory=nothing)
    """Tags for the store's own rules, where the store tells them."""
    custom: Mapping[str, str] = field(default_factory=nothing)
    """The user's own metadata."""

    @classmethod
    def of(
        cls,
        info: PutInfo,
        *,
        key: str,
        size: int,
        etag: str,
        modified: datetime,
        version: str | None = None,
    ) -> ObjectInfo:
        """Join what a write said with what the store knows.

        Args:
            info: What the write said; without `created`, `modified` stands in.
            key: The object's key.
            size: Stored bytes.
            etag: The ETag.
            modified: When the object was last written or touched.
            version: The version id.
        """
        joined = object.__new__(cls)
        told = joined.__dict__
        told.update(info.__dict__)
        del told["pinned"], told["md5"]
        told.update(
            key=key,
            size=size,
            etag=etag,
            modified=modified,
            version=version,
            created=info.created or modified,
        )
        return joined

    def put_info(self) -> PutInfo:
        """Return what a write of an equal object would be given."""
        return PutInfo(**{name: getattr(self, name) for name in _COPIED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One step of a scan."""

    entries: tuple[ObjectEntry, ...]
    """Objects in UTF-8 order of their keys; stores that know more give ObjectInfo."""
    prefixes: tuple[str, ...] = ()
    """With a delimiter: what keys have in common up to it, in UTF-8 order."""


@dataclass(frozen=True, kw_only=True)
class PutInfo:
    """What a write says about its object; all of it is optional.

    Raises:
        InvalidInput: A field cannot be stored faithfully; the message names it.
    """

    content_type: str | None = None
    """Media type, for instance `text/plain; charset=utf-8`."""
    encoding: str | None = None
    """Content-Encoding of the bytes as they are handed over."""
    expiry: Expiry | None = None
    """The expiration policy; stands with `deadline` or not at all."""
    deadline: datetime | None = None
    """When the object expires; stands with `expiry` or not at all."""
    origin: str | None = None
    """Where the object came from."""
    filename: str | None = None
    """The name that a download should have."""
    codec: str | None = None
    """How a payload became bytes: `msgpack` or `raw`."""
    sha256: str | None = None
    """SHA-256 of the bytes when the caller knows it, so that nothing hashes twice."""
    md5: str | None = None
    """MD5 of the bytes when the caller knows it, in lower-case hex; it is sent along
    for the store to check and kept nowhere."""
    pinned: bool = False
    """The content is pinned by a digest in its address or row, so that the driver
    need not compute a SHA-256 of its own."""
    cache_control: str | None = None
    """Cache-Control for links."""
    content_disposition: str | None = None
    """Content-Disposition for links."""
    storage_class: str | None = None
    """The store's class of storage."""
    tags: Mapping[str, str] = field(default_factory=nothing)
    """At most ten tags for the store's own rules."""
    custom: Mapping[str, str] = field(default_factory=nothing)
    """The user's own metadata; names of `a-z 0-9 . _ -`, at most 64 characters."""
    created: datetime | None = None
    """When the object was first written; None is now."""
    write_id: str | None = None
    """Names this write, so that a lost answer can be recognised; None is a new one."""

    def __post_init__(self) -> None:
        for what, check in _CHECKS:
            text = getattr(self, what)
            if text is not None:
                check(what, text)
        if (self.expiry is None) != (self.deadline is None):
            raise InvalidInput("expiry and deadline stand together or not at all")
        for what in ("deadline", "created"):
            moment = getattr(self, what)
            if moment is None:
                continue
            if not isinstance(moment, datetime):
                raise InvalidInput(
                    f"{what} must be a datetime, not {type(moment).__name__}"
                )
            check_aware(moment, what=what)
        if self.custom is not NOTHING:
            object.__setattr__(self, "custom", _checked_custom(self.custom))
        if self.tags is not NOTHING:
            object.__setattr__(self, "tags", _checked_tags(self.tags))

    def with_valid(self, **fields: Any) -> PutInfo:
        """Do as `dataclasses.replace` with fields that need no checks."""
        made = object.__new__(PutInfo)
        made.__dict__.update(self.__dict__)
        made.__dict__.update(fields)
        return made


_CUSTOM_CLASS = re.compile(r"[A-Za-z0-9_-]{1,64}")
_COPIED = tuple(
    each.name
    for each in fields(PutInfo)
    if each.name not in ("pinned", "md5", "write_id")
)


def _check_digest(algorithm: DigestAlgorithm, what: str, text: object) -> None:
    length = algorithm.hex_length
    if not isinstance(text, str) or len(text) != length or not is_digest(text):
        raise InvalidInput(f"{what} must be {length} lower-case hex digits")


def _check_pattern(pattern: re.Pattern[str], what: str, text: object) -> None:
    if not isinstance(text, str) or len(text) > _MAX_HEADER:
        raise InvalidInput(f"{what} must be text of at most {_MAX_HEADER} characters")
    if pattern.fullmatch(text) is None:
        raise InvalidInput(f"{what} has a form that headers cannot carry")


def _check_text(what: str, text: object) -> None:
    if not isinstance(text, str):
        raise InvalidInput(f"{what} must be text, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} has a lone surrogate in it") from None


_CHECKS: tuple[tuple[str, Callable[[str, object], None]], ...] = (
    ("content_type", partial(_check_pattern, _CONTENT_TYPE)),
    ("encoding", partial(_check_pattern, _ENCODING)),
    ("cache_control", partial(_check_pattern, _PRINTABLE)),
    ("content_disposition", partial(_check_pattern, _PRINTABLE)),
    ("storage_class", partial(_check_pattern, _CUSTOM_CLASS)),
    ("codec", partial(_check_pattern, _CUSTOM_CLASS)),
    ("write_id", partial(_check_pattern, _CUSTOM_CLASS)),
    ("origin", _check_text),
    ("filename", _check_text),
    ("sha256", partial(_check_digest, DigestAlgorithm.SHA256)),
    ("md5", partial(_check_digest, DigestAlgorithm.MD5)),
)


def _texts_of(what: str, given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{what} must be a mapping, not {type(given).__name__}")
    for name, text in given.items():
        if name is None or text is None:
            raise InvalidInput(f"{what} maps text to text, and None is none")
        _check_text(f"a name in {what}", name)
        _check_text(f"{what} {ascii(name)[:80]}", text)
    return dict(given)


def _checked_custom(custom: Mapping[str, str]) -> Mapping[str, str]:
    held = _texts_of("custom", custom)
    for name in held:
        if _CUSTOM_NAME.fullmatch(name) is None:
            raise InvalidInput(
                "custom metadata names are 1 to 64 characters of a-z 0-9 . _ -,"
                f" not {ascii(name)[:80]}"
            )
    return FrozenTexts(held) if held else NOTHING


def _checked_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    held = _texts_of("tags", tags)
    if len(held) > _MAX_TAGS:
        raise InvalidInput(f"an object has at most {_MAX_TAGS} tags, not {len(held)}")
    for name, text in held.items():
        if not 1 <= len(name) <= _MAX_TAG_NAME or len(text) > _MAX_TAG:
            raise InvalidInput("tags have names of 1 to 128 and values of 0 to 256")
    return FrozenTexts(held) if held else NOTHING
