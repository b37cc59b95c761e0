"""Payloads as the types that a program thinks in."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from coatcheck.errors import InvalidInput, PayloadError

_T = TypeVar("_T")
_SHOWN_ERRORS = 5


def as_type(data: object, wanted: type[_T]) -> _T:
    """Validate a payload into a type that pydantic knows.

    Args:
        data: The decoded payload.
        wanted: A pydantic model, dataclass, TypedDict, NamedTuple, or any type that
            pydantic's TypeAdapter takes.

    Raises:
        PayloadError: The payload is not of that type. The message tells which
            fields and why, and shows nothing of the payload.
        InvalidInput: Pydantic cannot make a schema of the type.
    """
    adapter = _adapter_of(wanted)
    try:
        validated: _T = adapter.validate_python(data)
    except PydanticUserError as error:
        raise _no_type(wanted, error) from error
    except ValidationError as error:
        raise PayloadError(
            f"the payload is not of type {_name(wanted)}: {_reasons(error)}"
        ) from None
    return validated


def _adapter_of(wanted: Any) -> TypeAdapter[Any]:
    try:
        return _cached_adapter(wanted)
    except TypeError:
        # Some type forms cannot be hashed; they are not worth refusing.
        return _adapter(wanted)


@lru_cache(maxsize=256)
def _cached_adapter(wanted: Any) -> TypeAdapter[Any]:
    return _adapter(wanted)


def _adapter(wanted: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(wanted)
    except Exception as error:
        raise _no_type(wanted, error) from error


def _no_type(wanted: Any, error: Exception) -> InvalidInput:
    why = str(error).partition("\n")[0]
    return InvalidInput(
        f"as_type {_name(wanted)} is no type that pydantic can validate: {why}"
    )


def _reasons(error: ValidationError) -> str:
    """Return the kinds of error with their depth, but neither values nor keys.

    Locations may hold keys of the payload's maps, so only positions that are
    numbers, and names that the schema itself has, could be told; kinds are enough.
    """
    kinds = [str(each["type"]) for each in error.errors(include_input=False)]
    shown = ", ".join(sorted(set(kinds))[:_SHOWN_ERRORS])
    return f"{len(kinds)} errors ({shown})"


def _name(wanted: Any) -> str:
    return getattr(wanted, "__name__", None) or type(wanted).__name__
