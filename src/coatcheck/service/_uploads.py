"""Uploads as clients carry them: sealed texts that name one, bound to its key."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from coatcheck._core.expiry import format_time, parse_time
from coatcheck._core.writes import Upload, Write
from coatcheck.abc import Capability, require

from ._refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from coatcheck.abc import CanMultipart, Part

    from ._calls import Call
    from ._seals import Told


def told_of(upload: Upload) -> Told:
    """Return what a sealed text tells of an upload."""
    return {
        "key": upload.key,
        "id": upload.upload_id,
        "started": format_time(upload.started),
        "write": upload.write_id,
    }


def upload_of(told: Told) -> Upload:
    """Return the upload of which a sealed text tells."""
    write_id = told["write"]
    return Upload(
        key=str(told["key"]),
        upload_id=str(told["id"]),
        started=parse_time(str(told["started"])),
        mode=Write.OVERWRITE,
        write_id=None if write_id is None else str(write_id),
    )


def multipart(call: Call) -> CanMultipart:
    """Return the bucket as one that takes uploads.

    Raises:
        Refusal: It takes none.
    """
    if Capability.MULTIPART not in call.bucket.capabilities:
        raise Refusal(501, "client error: this storage takes no uploads in parts")
    return require(call.bucket, Capability.MULTIPART)


async def parts_of(call: Call, upload: Upload) -> list[Part]:
    """Return the parts of an upload that the storage holds, by number.

    Raises:
        ObjectNotFound: There is no such upload (any more).
    """
    listing = cast("AsyncGenerator[Part]", multipart(call).list_parts(upload))
    async with aclosing(listing):
        return [part async for part in listing]
