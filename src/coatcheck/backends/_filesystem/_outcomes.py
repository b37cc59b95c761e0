"""What became of a change, told by what stands afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from coatcheck._core.objects import ObjectInfo
from coatcheck.errors import Outcome

from ._record import etag_of

Judge: TypeAlias = Callable[[ObjectInfo | None], Outcome]
"""Tells from what stands, None for nothing, whether a change was applied."""


def written(write_id: str | None) -> Judge:
    """Judge whether a write was applied by the write id of what stands."""

    def judge(standing: ObjectInfo | None) -> Outcome:
        if standing is None:
            return Outcome.NOT_APPLIED
        applied = standing.write_id == write_id
        return Outcome.APPLIED if applied else Outcome.UNKNOWN

    return judge


def deleted(standing: ObjectInfo | None) -> Outcome:
    """Judge whether a delete was applied: then nothing stands."""
    return Outcome.APPLIED if standing is None else Outcome.UNKNOWN


def touched(before: ObjectInfo, micros: int) -> Judge:
    """Judge whether a touch was applied by the ETag of what stands."""
    etags = {
        etag_of(before.write_id or "", micros): Outcome.APPLIED,
        before.etag: Outcome.NOT_APPLIED,
    }

    def judge(standing: ObjectInfo | None) -> Outcome:
        etag = None if standing is None else standing.etag
        return etags.get(etag or "", Outcome.UNKNOWN)

    return judge
