"""The tree of errors: what a handler can tell, wherever the error comes from."""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import timedelta

import pytest

from coatcheck import errors
from coatcheck.errors import (
    CoatcheckError,
    ErrorKind,
    Outcome,
    OutcomeUnknown,
    RateLimited,
)

# Each class, its parents among ours, and the built-in error it also is.
TREE = {
    "InvalidInput": ("CoatcheckError", ValueError),
    "InvalidAddress": ("InvalidInput", ValueError),
    "InvalidName": ("InvalidInput", ValueError),
    "InvalidConfig": ("InvalidInput", ValueError),
    "InvalidRange": ("InvalidInput", ValueError),
    "PayloadError": ("InvalidInput", ValueError),
    "NotFound": ("CoatcheckError", LookupError),
    "StashNotFound": ("NotFound", LookupError),
    "ObjectNotFound": ("NotFound", LookupError),
    "FileRecordNotFound": ("NotFound", LookupError),
    "ArtifactNotFound": ("NotFound", LookupError),
    "BucketNotFound": ("NotFound", LookupError),
    "Conflict": ("CoatcheckError", None),
    "AlreadyExists": ("Conflict", None),
    "PreconditionFailed": ("Conflict", None),
    "OffsetMismatch": ("Conflict", None),
    "ExpiryNotExtendable": ("Conflict", None),
    "AccessDenied": ("CoatcheckError", None),
    "Unauthenticated": ("CoatcheckError", None),
    "Unsupported": ("CoatcheckError", None),
    "UnsupportedBackend": ("Unsupported", None),
    "UnsupportedOperation": ("Unsupported", None),
    "IntegrityError": ("CoatcheckError", None),
    "BackendError": ("CoatcheckError", None),
    "BackendUnavailable": ("BackendError", None),
    "Timeout": ("BackendError", TimeoutError),
    "AtCapacity": ("BackendError", None),
    "RateLimited": ("BackendError", None),
    "ClockSkew": ("BackendError", None),
    "OutcomeUnknown": ("BackendError", None),
    "Closed": ("CoatcheckError", None),
}
RETRYABLE = {"BackendUnavailable", "Timeout", "AtCapacity", "RateLimited"}
UNCERTAIN = {"Timeout", "OutcomeUnknown"}
CLASSES = [getattr(errors, name) for name in TREE]
BUILT_IN = (ValueError, LookupError, TimeoutError)
ATTRIBUTES = {
    "address": "mem://ns/n.0",
    "bucket": "b",
    "key": "k",
    "backend": "mem",
}

every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def test_the_tree_is_complete():
    """Every class of the module stands in the tree and is public."""
    found = {
        name
        for name, held in inspect.getmembers(errors, inspect.isclass)
        if issubclass(held, CoatcheckError)
    }
    assert found == {*TREE, "CoatcheckError"}
    assert set(errors.__all__) == {*found, "ErrorKind", "Outcome"}


@every_class
def test_a_class_stands_where_a_handler_looks(cls):
    """Each class has its one parent among ours and its built-in relative."""
    parent, built_in = TREE[cls.__name__]
    assert cls.__bases__[0] is getattr(errors, parent)
    assert [each for each in BUILT_IN if issubclass(cls, each)] == (
        [] if built_in is None else [built_in]
    )


def test_kinds_are_unique_and_complete():
    """Each class has a kind of its own, and each kind a class."""
    kinds = [cls.__dict__["kind"] for cls in CLASSES]
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) == set(ErrorKind)


@every_class
def test_a_kind_is_the_class_in_other_words(cls):
    """The kind's text is the class's name, so that logs can be searched for it."""
    words = cls.kind.value.replace("_", "")
    assert words in (cls.__name__.lower(), cls.__name__.lower().removesuffix("error"))


@every_class
def test_a_class_knows_whether_to_retry(cls):
    """What may succeed later says so, and nothing else does."""
    assert cls("m").retryable is (cls.__name__ in RETRYABLE)


@every_class
def test_a_class_knows_whether_the_store_changed(cls):
    """Only what lost an answer leaves the outcome open."""
    uncertain = cls.__name__ in UNCERTAIN
    assert cls("m").outcome is (Outcome.UNKNOWN if uncertain else Outcome.NOT_APPLIED)


@every_class
def test_one_error_can_know_better_than_its_class(cls):
    """Whether to retry, and what became of it, can be said for one error, and stay with it."""
    error = cls("m", retryable=not cls.retryable, outcome=Outcome.APPLIED)
    assert error.retryable is not cls.retryable
    assert error.outcome is Outcome.APPLIED
    assert cls("m").retryable is cls.retryable


@every_class
def test_the_message_is_what_is_printed(cls):
    """The text is the message alone, also where a built-in would quote it."""
    error = cls("object 'k' is not here")
    assert str(error) == error.message == "object 'k' is not here"
    assert error.args == ("object 'k' is not here",)
    assert repr(error) == f"{cls.__name__}(\"object 'k' is not here\")"


@every_class
def test_what_is_concerned_is_told_apart(cls):
    """Address, bucket, key and backend are attributes, and None unless given."""
    error = cls("m", **ATTRIBUTES)
    for name, given in ATTRIBUTES.items():
        assert getattr(error, name) == given
        assert getattr(cls("m"), name) is None
    with pytest.raises(TypeError):
        cls("m", "positional")


@every_class
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling(cls, protocol):
    """An error comes out of another process with all that it knew."""
    error = cls("m", **ATTRIBUTES, retryable=True, outcome=Outcome.APPLIED)
    error.add_note("while testing")
    found = pickle.loads(pickle.dumps(error, protocol))
    assert type(found) is cls
    assert vars(found) == vars(error)
    assert (found.args, str(found)) == (error.args, "m")
    assert found.__notes__ == ["while testing"]


@every_class
def test_an_error_can_be_copied(cls):
    """A copy of an error knows the same."""
    error = cls("m", **ATTRIBUTES)
    for found in (copy.copy(error), copy.deepcopy(error)):
        assert type(found) is cls
        assert vars(found) == vars(error)


def test_the_advised_wait_survives_pickling():
    """How long the storage asked to wait is not lost on the way."""
    assert RateLimited("m").retry_after is None
    error = RateLimited("m")
    error.retry_after = timedelta(seconds=3)
    assert pickle.loads(pickle.dumps(error)).retry_after == timedelta(seconds=3)


@pytest.mark.asyncio
@pytest.mark.parametrize("outcome", list(Outcome))
async def test_an_unknown_outcome_is_asked_for(outcome):
    """Resolve gives what the store says now."""
    error = OutcomeUnknown("m", key="k")

    async def probe():
        return outcome

    assert await error.resolve() is Outcome.UNKNOWN
    error.probe = probe
    assert await error.resolve() is outcome
    assert error.outcome is Outcome.UNKNOWN


@pytest.mark.asyncio
async def test_a_probe_that_fails_tells_so():
    """When the store still cannot be asked, resolve fails with its error."""
    error = OutcomeUnknown("m")

    async def probe():
        raise errors.BackendUnavailable("still gone")

    error.probe = probe
    with pytest.raises(errors.BackendUnavailable, match="still gone"):
        await error.resolve()


@pytest.mark.asyncio
async def test_a_pickled_probe_proves_nothing():
    """The probe stays behind, so the unpickled error answers UNKNOWN."""
    error = OutcomeUnknown("m", key="k")

    async def probe():
        return Outcome.APPLIED

    error.probe = probe
    found = pickle.loads(pickle.dumps(error))
    assert found.key == "k"
    assert found.probe is None
    assert await found.resolve() is Outcome.UNKNOWN
    assert await error.resolve() is Outcome.APPLIED


def test_a_subclass_elsewhere_survives_pickling():
    """An error of somebody else's own class is pickled like ours."""
    error = Strange("m", key="k")
    error.detail = {"a": 1}
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), found.key, found.detail) == (Strange, "k", {"a": 1})
    assert found.kind is ErrorKind.BACKEND


class Strange(errors.BackendError):
    """A third party's own error."""
