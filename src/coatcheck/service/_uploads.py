"""Uploads as clients carry them: sealed texts that name one, bound to its key."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, cast

from itsdangerous import BadData

from coatcheck._core.expiry import format_time, parse_time
from coatcheck._core.writes import Upload, Write
from coatcheck.abc import Capability, require
from coatcheck.errors import InvalidInput

from ._refusals import Refusal

if TYPE_CHECKING:
    from datetime import datetime

    from itsdangerous import URLSafeSerializer

    from coatcheck.abc import CanMultipart, Part

    from ._calls import Call

_LONGEST: Final = 4096


def seal(sealer: URLSafeSerializer, upload: Upload, **more: object) -> str:
    """Return a text that names an upload, which nobody else can make.

    Args:
        sealer: What signs it.
        upload: The upload.
        more: What else it says.
    """
    told = {
        "key": upload.key,
        "id": upload.upload_id,
        "started": format_time(upload.started),
        "write": upload.write_id,
        **more,
    }
    return sealer.dumps(told)


def unseal(sealer: URLSafeSerializer, text: str) -> dict[str, Any] | None:
    """Return what a sealed text says; None when it was not sealed here."""
    if len(text) > _LONGEST:
        return None
    try:
        return cast("dict[str, Any]", sealer.loads(text))
    except BadData:
        return None


def upload_of(told: dict[str, Any]) -> Upload:
    """Return the upload that a sealed text names."""
    return Upload(
        key=told["key"],
        upload_id=told["id"],
        started=_moment(told["started"]),
        mode=Write.OVERWRITE,
        write_id=told["write"],
    )


def _moment(text: str) -> datetime:
    try:
        return parse_time(text)
    except InvalidInput as error:
        raise Refusal(400, "client error: the upload cannot be read") from error


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
    listing: Any = multipart(call).list_parts(upload)
    async with aclosing(listing):
        return [part async for part in listing]
