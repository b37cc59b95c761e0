"""What every wrapper inherits."""

from __future__ import annotations

import inspect

import pytest

from coatcheck.abc import (
    Bucket,
    CanBatch,
    CanCopy,
    CanExpire,
    CanMultipart,
    CanResume,
    CanScan,
    CanSign,
    CanSweep,
    CanUpdate,
    Reader,
    innermost,
)
from coatcheck.wrappers import ExpiringBucket, GuardedBucket, LinkedBucket, scoped
from coatcheck.wrappers._forwarding import ForwardingBucket
from coatcheck.wrappers._reading import ForwardingReader
from coatcheck.wrappers._scoped import ScopedBucket

CONTRACTS = (
    *(Bucket, CanBatch, CanCopy, CanExpire, CanMultipart, CanResume, CanScan, CanSign),
    *(CanSweep, CanUpdate),
)


def methods_of(*contracts):
    return sorted(
        (name, contract)
        for contract in contracts
        for name, member in vars(contract).items()
        if not name.startswith("_")
        and (callable(member) or isinstance(member, property))
    )


@pytest.mark.parametrize(("name", "contract"), methods_of(*CONTRACTS), ids=str)
def test_no_method_of_a_contract_is_missing(name, contract):
    """Every member of every contract is forwarded, with the same parameters."""
    wanted = getattr(contract, name)
    given = vars(ForwardingBucket)[name]
    if isinstance(wanted, property):
        assert isinstance(given, property)
        return
    assert [
        (each.name, each.kind, each.default)
        for each in inspect.signature(given).parameters.values()
    ] == [
        (each.name, each.kind, each.default)
        for each in inspect.signature(wanted).parameters.values()
    ]


@pytest.mark.parametrize(
    "wrapper", [ExpiringBucket, GuardedBucket, LinkedBucket, ScopedBucket]
)
@pytest.mark.parametrize(("name", "contract"), methods_of(*CONTRACTS), ids=str)
def test_overrides_keep_the_parameters(wrapper, name, contract):
    """A wrapper takes what the contract takes, whichever methods it overrides."""
    wanted = getattr(contract, name)
    if isinstance(wanted, property):
        assert isinstance(inspect.getattr_static(wrapper, name), property)
        return
    parameters = inspect.signature(getattr(wrapper, name)).parameters
    for each in inspect.signature(wanted).parameters.values():
        given = parameters[each.name]
        assert (given.kind, given.default) == (each.kind, each.default)


def test_no_member_of_a_reader_is_missing():
    """Every member of the reader's contract is forwarded."""
    missing = {name for name, _ in methods_of(Reader)} - set(vars(ForwardingReader))
    assert missing == set()
    assert {"__aiter__", "__anext__"} <= set(vars(ForwardingReader))


@pytest.mark.asyncio
async def test_wrappers_are_looked_through(backend, waiting):
    """The driver's bucket and its key are found under any number of wrappers."""
    async with backend:
        bucket = backend.bucket("b")
        wrapped = scoped(waiting(scoped(bucket, "a/")), "b/")
        assert innermost(wrapped, "k") == (bucket, "a/b/k")
        assert (wrapped.name, wrapped.backend) == ("b", backend)
