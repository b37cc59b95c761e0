"""What one bucket holds; the store's lock guards it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from coatcheck._core.objects import ObjectInfo, Page, PutInfo
from coatcheck._core.writes import Part, Receipt, Upload, WriteMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from coatcheck.abc import Held

PAGE_SIZE: Final = 1000
_AFTER_SLASH: Final = chr(ord("/") + 1)
_TOLD = tuple(
    each.name
    for each in fields(PutInfo)
    if each.name not in ("pinned", "md5", "created", "sha256", "write_id")
)


@dataclass(eq=False, slots=True)
class Record:
    """One generation of one object, of which nothing changes once it stands.

    It is no frozen dataclass, since setting the fields of these costs more than all
    the rest of keeping an object.
    """

    key: str
    """The object's name in its bucket."""
    body: bytes
    """Its bytes."""
    size: int
    """Their number."""
    etag: str
    """Names this generation."""
    modified: datetime
    """When it was last written or touched, in UTC."""
    created: datetime
    """When it was written, in UTC."""
    sha256: str | None
    """SHA-256 of the bytes, when it is known."""
    info: PutInfo
    """What the last write said, with its deadline in UTC."""
    made_by: str
    """The write or upload that brought the bytes; updates keep it."""
    is_new: bool
    """Whether that write found the key free."""

    @property
    def write_id(self) -> str:
        """Names the last write."""
        return self.info.write_id or self.etag

    def described(self) -> ObjectInfo:
        """Return all that is known about the object."""
        told = {name: getattr(self.info, name) for name in _TOLD}
        return ObjectInfo(
            key=self.key,
            size=self.size,
            etag=self.etag,
            modified=self.modified,
            created=self.created,
            sha256=self.sha256,
            write_id=self.write_id,
            **told,
        )

    def receipt(self) -> Receipt:
        """Return what the write that left this record was told."""
        return Receipt(
            etag=self.etag,
            size=self.size,
            write_id=self.write_id,
            sha256=self.sha256,
            created=self.is_new,
        )

    def is_from(self, write_id: str | None) -> bool:
        """Tell whether this write brought the bytes or the metadata."""
        return write_id is not None and write_id in (self.made_by, self.write_id)


def kept_info(info: PutInfo) -> PutInfo:
    """Return metadata as records hold it."""
    deadline = info.deadline
    if deadline is None or deadline.tzinfo is UTC:
        return info
    return replace(info, deadline=deadline.astimezone(UTC))


def in_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC."""
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldPart:
    """A part and its bytes."""

    part: Part
    body: bytes


@dataclass(kw_only=True, slots=True)
class HeldUpload:
    """An upload that was begun and not yet completed."""

    upload: Upload
    info: PutInfo
    mode: WriteMode
    parts: dict[int, HeldPart] = field(default_factory=dict[int, HeldPart])

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(held.part.size for held in self.parts.values())


class Contents:
    """The objects and uploads of one bucket.

    The sorted list of keys is made when it is first asked for. From then on it is
    mended instead of sorted anew, and replaced instead of changed, so that a scan
    may keep the one it began with.
    """

    __slots__ = ("_gone", "_new", "_order", "records", "uploads")

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.uploads: dict[str, HeldUpload] = {}
        self._order: list[str] | None = None
        self._new: set[str] = set()
        self._gone: set[str] = set()

    def keep(self, key: str, record: Record) -> None:
        """Let a record stand under the key."""
        if self._order is not None and key not in self.records:
            if key in self._gone:
                self._gone.remove(key)
            else:
                self._new.add(key)
        self.records[key] = record

    def drop(self, key: str) -> None:
        """Remove the record under the key, which is there."""
        del self.records[key]
        if self._order is not None:
            if key in self._new:
                self._new.remove(key)
            else:
                self._gone.add(key)

    def ordered(self) -> list[str]:
        """Return the keys in order, for the caller to read only."""
        if self._order is None:
            self._order = sorted(self.records)
        elif self._new or self._gone:
            gone = self._gone
            order = [key for key in self._order if key not in gone]
            order.extend(sorted(self._new))
            # Two sorted runs, which the sort merges in linear time.
            order.sort()
            self._order, self._new, self._gone = order, set(), set()
        return self._order


class Listing:
    """One pass over keys that were sorted when it began.

    Args:
        keys: All keys in order.
        prefix: Only keys that begin with it.
        start_after: Only keys, and common prefixes, after this text.
        folded: Fold what follows the first slash after the prefix.
    """

    def __init__(
        self, keys: list[str], prefix: str, *, start_after: str | None, folded: bool
    ) -> None:
        self._keys = keys
        self._prefix = prefix
        self._after = start_after or ""
        self._folded = folded
        self._at = max(bisect_left(keys, prefix), bisect_right(keys, self._after))

    def next_page(self, records: Mapping[str, Record]) -> Page | None:
        """Return the next page of what still stands, None at the end."""
        entries: list[ObjectInfo] = []
        prefixes: list[str] = []
        while self._at < len(self._keys) and len(entries) + len(prefixes) < PAGE_SIZE:
            key = self._keys[self._at]
            if not key.startswith(self._prefix):
                break
            common = self._common_prefix(key)
            if common is not None:
                if self._pass_below(common, records):
                    prefixes.append(common)
                continue
            self._at += 1
            record = records.get(key)
            if record is not None:
                entries.append(record.described())
        if not entries and not prefixes:
            return None
        return Page(entries=tuple(entries), prefixes=tuple(prefixes))

    def _common_prefix(self, key: str) -> str | None:
        slash = key.find("/", len(self._prefix)) if self._folded else -1
        return None if slash < 0 else key[: slash + 1]

    def _pass_below(self, common: str, records: Mapping[str, Record]) -> bool:
        """Step over the keys below a common prefix; tell whether it is listed."""
        start = self._at
        past = common[:-1] + _AFTER_SLASH
        self._at = bisect_left(self._keys, past, start)
        below = (self._keys[index] in records for index in range(start, self._at))
        return common > self._after and any(below)


if TYPE_CHECKING:
    _conforms: Callable[..., Held] = Record
