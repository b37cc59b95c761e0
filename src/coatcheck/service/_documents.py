"""JSON bodies of requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from coatcheck._core.expiry import parse_duration, parse_time
from coatcheck._core.extensions import Extension, FromCreation, FromNow, Until
from coatcheck.errors import InvalidInput

from ._refusals import Refusal

if TYPE_CHECKING:
    from typing import Self

    from ._calls import Call

_LONGEST: Final = 2_000_000
_ModelT = TypeVar("_ModelT", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _ExtendExpiry(_Strict):
    at: str | None = None
    after: str | None = None
    since: Literal["creation", "now"] | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        by_time = self.at is not None
        by_duration = self.after is not None and self.since is not None
        if by_time == by_duration or (by_time and (self.after or self.since)):
            raise ValueError("give 'at', or 'after' and 'from'")
        return self

    def extension(self) -> Extension:
        if self.at is not None:
            return Until(parse_time(self.at))
        duration = parse_duration(self.after or "")
        return FromCreation(duration) if self.since == "creation" else FromNow(duration)


class _Patch(_Strict):
    extend_expiry: _ExtendExpiry


class NamedPart(BaseModel):
    """One part that an upload shall be completed with."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    part_number: Annotated[int, Field(ge=1)]
    """Its number."""
    etag: str
    """Its ETag."""


class Completion(BaseModel):
    """The parts that an upload shall be completed with."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    parts: list[NamedPart]
    """In the order in which they are joined."""


async def read_extension(call: Call) -> Extension:
    """Read how long an object shall live on.

    Raises:
        Refusal: The body says something else.
    """
    document = await _read(call, _Patch)
    try:
        return document.extend_expiry.extension()
    except InvalidInput as error:
        raise Refusal(422, f"client error: {error.message}") from error


async def read_completion(call: Call) -> Completion:
    """Read what an upload shall be completed with.

    Raises:
        Refusal: The body says something else.
    """
    return await _read(call, Completion)


async def _read(call: Call, model: type[_ModelT]) -> _ModelT:
    media = (call.exchange.header("content-type") or "").partition(";")[0]
    if media.strip().lower() != "application/json":
        raise Refusal(415, "client error: send content-type: application/json")
    text = b"".join([chunk async for chunk in call.body(most=_LONGEST)])
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(400, "client error: the body is no JSON") from None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        where = ".".join(str(part) for part in faults[0]["loc"])
        raise Refusal(
            422, f"client error: {where[:80]}: {faults[0]['msg'][:200]}"
        ) from None
