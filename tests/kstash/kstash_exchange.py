"""What both libraries are asked, and what the answers are counted as."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import kstash_samples as samples
import kstash_side as kstash
from kstash_samples import Sample
from kstash_side import Told, refused, told

from coatcheck.errors import CoatcheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from concurrent.futures import Executor

    from coatcheck import Coatcheck, Stash

CONTEXT = {"as_of": "today", "bin": b"0" * 1024 * 512}


class Libraries:
    """Both libraries on one store.

    Args:
        cc: coatcheck.
        pool: The processes in which kstash runs.
    """

    def __init__(self, cc: Coatcheck, pool: Executor) -> None:
        self.cc = cc
        self._pool = pool

    async def kstash(
        self, call: Callable[..., Any], *given: Iterable[Any]
    ) -> list[Any]:
        """Call a function of kstash's side with each of the arguments."""
        loop = asyncio.get_running_loop()
        calls = zip(*given, strict=True)
        return await asyncio.gather(
            *(loop.run_in_executor(self._pool, call, *each) for each in calls)
        )

    async def create(self, sample: Sample) -> Told:
        """Let coatcheck create a stash."""
        return await _answer(self.cc.create(sample.name, sample.data, sample.namespace))

    async def retrieve(self, address: str) -> Told:
        """Let coatcheck retrieve a stash."""
        return await _answer(self.cc.retrieve(address))


async def _answer(asked: Coroutine[Any, Any, Stash[Any]]) -> Told:
    try:
        stash = await asked
    except CoatcheckError as error:
        return refused(error)
    return told(stash, stash.digest)


class Tally:
    """Counts what held, and keeps what did not."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._wrong: list[dict[str, Any]] = []

    def add(self, sample: Sample, facts: dict[str, bool], *answers: Told) -> None:
        """Count one stash's facts."""
        scheme = answers[0].address.partition(":")[0] or "neither"
        self._counts.update({"stashes": 1, f"of these {scheme}": 1})
        self._counts.update({fact: int(holds) for fact, holds in facts.items()})
        if not all(facts.values()):
            self._wrong.append(
                {
                    "name": ascii(sample.name),
                    "namespace": ascii(sample.namespace),
                    "not": [fact for fact, holds in facts.items() if not holds],
                    "answers": [str(answer) for answer in answers],
                }
            )

    def report(self) -> dict[str, Any]:
        return {**self._counts, "wrong": self._wrong}


async def from_kstash(both: Libraries, seed: int, count: int) -> dict[str, Any]:
    """Claim with coatcheck what kstash created, and create it there again."""
    tally = Tally()
    given = samples.stash_samples(seed, count)
    pairs = await both.kstash(kstash.round_trip, given)
    for sample, (created, own) in zip(given, pairs, strict=True):
        claimed = await both.retrieve(created.address)
        again = await both.create(sample)
        facts = {
            "kstash retrieves its own": own.is_of(sample),
            "coatcheck retrieves it": claimed.is_of(sample),
            "one digest": claimed.digest == created.digest,
            "one address": again.address == claimed.address == created.address,
        }
        tally.add(sample, facts, created, own, claimed, again)
    return tally.report()


async def from_coatcheck(both: Libraries, seed: int, count: int) -> dict[str, Any]:
    """Claim with kstash what coatcheck created, and create it there again."""
    tally = Tally()
    given = samples.stash_samples(seed, count)
    created = await asyncio.gather(*map(both.create, given))
    addresses = [answer.address for answer in created]
    owns = await asyncio.gather(*map(both.retrieve, addresses))
    pairs = await both.kstash(kstash.retrieve_and_create, addresses, given)
    for sample, made, own, (claimed, again) in zip(
        given, created, owns, pairs, strict=True
    ):
        facts = {
            "coatcheck retrieves its own": own.is_of(sample),
            "kstash retrieves it": claimed.is_of(sample),
            "one digest": claimed.digest == made.digest,
            "one address": again.address == claimed.address == made.address,
        }
        tally.add(sample, facts, made, own, claimed, again)
    return tally.report()


async def inline(both: Libraries, seed: int, count: int) -> dict[str, Any]:
    """Exchange stashes that are their own addresses."""
    tally = Tally()
    for sample in samples.inline_samples(seed, count):
        theirs, ours = kstash.create(sample), await both.create(sample)
        from_ours = kstash.retrieve(ours.address)
        from_theirs = await both.retrieve(theirs.address)
        facts = {
            "one address": ours.address == theirs.address,
            "one digest": ours.digest == theirs.digest,
            "kstash retrieves coatcheck's": from_ours.is_of(sample),
            "coatcheck retrieves kstash's": from_theirs.is_of(sample),
        }
        tally.add(sample, facts, theirs, ours, from_ours, from_theirs)
    return tally.report()


async def vector(both: Libraries) -> dict[str, Any]:
    """Exchange the payload of kstash's own README."""
    sample = Sample(name="context", data=CONTEXT, namespace="stashes")
    theirs, own = kstash.round_trip(sample)
    ours = await both.create(sample)
    claimed = await both.retrieve(theirs.address)
    return {
        "kstash": theirs.address,
        "coatcheck": ours.address,
        "digests": sorted({theirs.digest, own.digest, ours.digest, claimed.digest}),
        "coatcheck retrieves it": claimed.is_of(sample),
        "kstash retrieves it": own.is_of(sample),
    }
