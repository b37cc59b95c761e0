"""Listing what a usecase and scope hold: an extension of objectstore's wire."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from coatcheck._core.expiry import format_time
from coatcheck._core.names import check_prefix
from coatcheck._core.permissions import Permission
from coatcheck.abc import Capability, ObjectEntry, require
from coatcheck.wrappers import closed_after

from ._refusals import Refusal

if TYPE_CHECKING:
    from ._calls import Call

_MOST: Final = 1000
_NUMBER: Final = re.compile(r"[0-9]{1,6}")


async def scan(call: Call) -> None:
    """Answer with one page of keys, in UTF-8 order.

    Who wants the next page sets `start_after` to the greater of the last key and the
    last prefix.
    """
    query = call.exchange.query
    prefix, start_after = query.get("prefix", ""), query.get("start_after")
    delimiter = query.get("delimiter") or None
    limit = _limit(query.get("limit"))
    check_prefix(prefix)
    if delimiter not in (None, "/"):
        raise Refusal(400, "client error: the delimiter may be / and no other")
    call.allow(Permission.OBJECT_READ)
    async with call.slot():
        found = await _listed(call, prefix, start_after, delimiter, limit)
    page = found[:limit]
    await call.exchange.answer_json(
        200,
        {
            "entries": [
                _document(key, entry) for key, entry in page if entry is not None
            ],
            "prefixes": [key for key, entry in page if entry is None],
            "truncated": len(found) > limit,
        },
    )


async def _listed(
    call: Call,
    prefix: str,
    start_after: str | None,
    delimiter: str | None,
    limit: int,
) -> list[tuple[str, ObjectEntry | None]]:
    """Return keys and common prefixes in order, one more than wanted if there is."""
    folder = call.stored_key
    pages = require(call.bucket, Capability.SCAN).scan(
        folder + prefix,
        start_after=None if start_after is None else folder + start_after,
        delimiter=delimiter,
    )
    found: list[tuple[str, ObjectEntry | None]] = []
    async with closed_after(pages):
        async for page in pages:
            here: list[tuple[str, ObjectEntry | None]] = [
                (entry.key.removeprefix(folder), entry) for entry in page.entries
            ]
            here += [(each.removeprefix(folder), None) for each in page.prefixes]
            found += sorted(here, key=lambda each: each[0].encode())
            if len(found) > limit:
                break
    return found


def _document(key: str, entry: ObjectEntry) -> dict[str, object]:
    return {
        "key": key,
        "size": entry.size,
        "etag": entry.etag,
        "modified": format_time(entry.modified),
    }


def _limit(text: str | None) -> int:
    if text is None:
        return _MOST
    if _NUMBER.fullmatch(text) is None or not int(text):
        raise Refusal(400, "client error: limit is a number from 1 on")
    return min(int(text), _MOST)
