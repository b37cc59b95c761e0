"""Payloads become the types of a program, and mismatches do not print them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import pydantic
import pytest
from typing_extensions import TypedDict

from coatcheck.errors import InvalidInput, PayloadError
from coatcheck.payloads._typed import as_type

SECRET = "hunter2"


class Row(pydantic.BaseModel):
    """One line of a report."""

    name: str
    count: int


class Report(pydantic.BaseModel):
    """A model with all kinds of fields."""

    rows: list[Row]
    at: datetime
    extra: dict[str, int] = {}


@dataclasses.dataclass
class Point:
    """A dataclass of the standard library."""

    x: int
    y: float = 0.0


class Options(TypedDict, total=False):
    """A TypedDict."""

    verbose: bool


class Pair(NamedTuple):
    """A NamedTuple."""

    left: int
    right: str


DATA = {"rows": [{"name": "a", "count": 1}], "at": datetime(2026, 1, 1, tzinfo=UTC)}


def refusal(data, wanted):
    with pytest.raises(PayloadError) as caught:
        as_type(data, wanted)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    message = str(caught.value)
    assert SECRET not in message
    assert len(message) < 500
    return message


def test_a_payload_becomes_a_model():
    """A pydantic model is validated with its nested models."""
    report = as_type(DATA, Report)
    assert report == Report(rows=[Row(name="a", count=1)], at=DATA["at"])


@pytest.mark.parametrize(
    ("data", "wanted", "expected"),
    [
        ({"x": 1}, Point, Point(1)),
        ({"verbose": True}, Options, {"verbose": True}),
        ([1, "a"], Pair, Pair(1, "a")),
        ([1, 2], tuple[int, int], (1, 2)),
        ([{"x": 1}], list[Point], [Point(1)]),
        (None, int | None, None),
        (b"raw", bytes, b"raw"),
        (5, Annotated[int, pydantic.Field(gt=4)], 5),
    ],
    ids=str,
)
def test_a_payload_becomes_any_type_pydantic_knows(data, wanted, expected):
    """Dataclasses, TypedDicts, tuples, unions and constraints are types too."""
    found = as_type(data, wanted)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("data", "wanted", "kind"),
    [
        ({"name": SECRET}, Row, "missing"),
        ({"name": SECRET, "count": SECRET}, Row, "int_parsing"),
        ({"name": [SECRET], "count": 1}, Row, "string_type"),
        ({"x": SECRET}, Point, "int_parsing"),
        ({"verbose": SECRET}, Options, "bool_parsing"),
        ([SECRET], Pair, "int_parsing, missing"),
        (SECRET, Report, "model_type"),
        ({SECRET: SECRET}, dict[str, int], "int_parsing"),
        ({SECRET: {SECRET: SECRET}}, dict[str, dict[str, int]], "int_parsing"),
        (
            SECRET,
            Annotated[str, pydantic.Field(pattern="x")],
            "string_pattern_mismatch",
        ),
    ],
    ids=str,
)
def test_a_mismatch_tells_the_kind_and_hides_the_payload(data, wanted, kind):
    """The message names the type and the kinds of errors, no values and no keys."""
    message = refusal(data, wanted)
    assert message.startswith("the payload is not of type")
    assert kind in message


def test_a_mismatch_names_the_type():
    """The message says which type was asked for."""
    assert "not of type Row: 2 errors (missing)" in refusal({}, Row)


def test_many_mismatches_are_counted():
    """A thousand errors make one short message."""
    assert "1000 errors" in refusal([SECRET] * 1000, list[int])


def test_what_a_validator_says_is_not_printed():
    """A validator's own message may hold the payload and is left out."""

    def refuse(given):
        raise ValueError(f"do not like {given}")

    assert "value_error" in refusal(
        SECRET, Annotated[str, pydantic.AfterValidator(refuse)]
    )


def test_a_type_that_cannot_be_hashed_is_validated():
    """A type form without a hash is as good as any other."""
    wanted = Annotated[int, ["unhashable"]]
    assert as_type(5, wanted) == 5
    assert "int_parsing" in refusal(SECRET, wanted)


@pytest.mark.parametrize("wanted", [object(), 5, ...], ids=["object", "number", "dots"])
def test_what_is_no_type_is_refused(wanted):
    """What pydantic makes no schema of is a wrong argument, not a wrong payload."""
    with pytest.raises(
        InvalidInput, match="no type that pydantic can validate"
    ) as caught:
        as_type(DATA, wanted)
    assert not isinstance(caught.value, PayloadError)
    assert "\n" not in str(caught.value)


def test_a_class_without_a_schema_is_refused():
    """A class of which pydantic knows nothing is refused by name."""

    class Opaque:
        """No schema."""

    with pytest.raises(InvalidInput, match="as_type Opaque"):
        as_type(DATA, Opaque)


class Unfinished(pydantic.BaseModel):
    """A model that refers to a class that is nowhere."""

    held: NoSuchClass  # noqa: F821


@pytest.mark.parametrize("wanted", ["NoSuchClass", Unfinished, list[Unfinished]])
def test_a_type_that_is_not_fully_defined_is_refused(wanted):
    """A type with a reference to nothing is a wrong argument."""
    with pytest.raises(InvalidInput):
        as_type({"held": 1}, wanted)
