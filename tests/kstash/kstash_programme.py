"""Stashes exchanged between coatcheck and kstash, on the store of the environment.

Run as a script by `test_kstash.py`; prints one JSON object. Both libraries find the
store in the SDK's own variables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import kstash_samples as samples
import kstash_side as kstash
from kstash_samples import Sample
from kstash_side import Told

from coatcheck import Coatcheck, Config, S3Config
from coatcheck.errors import CoatcheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CONTEXT = {"as_of": "today", "bin": b"0" * 1024 * 512}
SEEDS = {"kstash": 20_260, "coatcheck": 20_261, "inline": 20_262, "links": 20_263}


class Exchange:
    """One Coatcheck, processes of kstash's, and a report."""

    def __init__(self, cc: Coatcheck, pool: ProcessPoolExecutor, count: int) -> None:
        self.cc = cc
        self.pool = pool
        self.count = count

    async def kstash(self, call: Callable[..., Any], *given: Iterable[Any]) -> list[Any]:
        """Call for each, in the processes."""
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(
                loop.run_in_executor(self.pool, call, *each)
                for each in zip(*given, strict=True)
            )
        )

    async def retrieve(self, address: str) -> Told:
        return await told_of(self.cc.retrieve(address))

    async def create(self, sample: Sample) -> Told:
        return await told_of(self.cc.create(sample.name, sample.data, sample.namespace))

    async def round_trip(self, sample: Sample) -> tuple[Told, Told]:
        created = await self.create(sample)
        if created.error:
            return created, created
        return created, await self.retrieve(created.address)

    async def from_kstash(self) -> dict[str, Any]:
        """Claim what kstash created, and create it again."""
        given = samples.stash_samples(SEEDS["kstash"], self.count)
        pairs = await self.kstash(kstash.round_trip, given)
        counts: Counter[str] = Counter()
        wrong = []
        for sample, (created, own) in zip(given, pairs, strict=True):
            claimed = await self.retrieve(created.address)
            again = await self.create(sample)
            facts = {
                "kstash retrieves its own": own.is_of(sample),
                "coatcheck retrieves the same": claimed.is_of(sample),
                "same digest": claimed.digest == created.digest,
                "same address": again.address == claimed.address == created.address,
            }
            count(counts, facts, created)
            if not all(facts.values()):
                wrong.append(fault(sample, facts, created, own, claimed, again))
        return {"stashes": len(given), **counts, "wrong": wrong}

    async def from_coatcheck(self) -> dict[str, Any]:
        """Let kstash claim what coatcheck created, and create it again."""
        given = samples.stash_samples(SEEDS["coatcheck"], self.count)
        created = await asyncio.gather(*map(self.create, given))
        addresses = [stash.address for stash in created]
        pairs = await self.kstash(kstash.retrieve_and_create, addresses, given)
        counts: Counter[str] = Counter()
        wrong = []
        for sample, made, (claimed, again) in zip(given, created, pairs, strict=True):
            facts = {
                "coatcheck retrieves its own": (await self.retrieve(made.address)).is_of(
                    sample
                ),
                "kstash retrieves the same": claimed.is_of(sample),
                "same digest": claimed.digest == made.digest,
                "same address": again.address == claimed.address == made.address,
            }
            count(counts, facts, made)
            if not all(facts.values()):
                wrong.append(fault(sample, facts, made, claimed, again))
        return {"stashes": len(given), **counts, "wrong": wrong}

    async def inline(self) -> dict[str, Any]:
        """Exchange addresses that are stashes; no store is asked."""
        given = samples.inline_samples(SEEDS["inline"], self.count)
        counts: Counter[str] = Counter()
        wrong = []
        for sample in given:
            theirs, ours = kstash.create(sample), await self.create(sample)
            from_ours = kstash.retrieve(ours.address)
            from_theirs = await self.retrieve(theirs.address)
            facts = {
                "same address": ours.address == theirs.address,
                "same digest": ours.digest == theirs.digest,
                "kstash retrieves coatcheck's": from_ours.is_of(sample),
                "coatcheck retrieves kstash's": from_theirs.is_of(sample),
            }
            count(counts, facts, theirs)
            if not all(facts.values()):
                wrong.append(fault(sample, facts, theirs, ours, from_ours, from_theirs))
        return {"stashes": len(given), **counts, "wrong": wrong}

    async def vector(self) -> dict[str, Any]:
        """Create the payload that kstash's own README creates."""
        sample = Sample(name="context", data=CONTEXT, namespace="stashes")
        theirs = (await self.kstash(kstash.create, [sample]))[0]
        ours = await self.create(sample)
        again = await self.retrieve(theirs.address)
        return {
            "kstash": theirs.address,
            "coatcheck": ours.address,
            "coatcheck retrieves kstash's": again.is_of(sample),
            "kstash retrieves coatcheck's": kstash.retrieve(ours.address).is_of(sample),
        }

    async def odd(self) -> dict[str, Any]:
        """Try what one of the two cannot keep, on S3 and inline."""
        large = "x" * 200
        return {
            "names on S3": await self._tried(
                Sample(name=name, data=["s3", large, name[:9] != "sur\ud800rog" and name], namespace=samples.BUCKETS[0])
                for name in samples.ODD_NAMES
            ),
        }


def count(counts: Counter[str], facts: dict[str, bool], created: Told) -> None:
    counts[created.address.partition(":")[0] or "not created"] += 1
    counts.update({fact: int(holds) for fact, holds in facts.items()})


def fault(sample: Sample, facts: dict[str, bool], *told: Told) -> dict[str, Any]:
    """Return what can be looked into, without the payload."""
    return {
        "name": sample.name,
        "namespace": sample.namespace,
        "not": [fact for fact, holds in facts.items() if not holds],
        "told": [each.error or each.address for each in told],
    }


async def told_of(call: Any) -> Told:
    try:
        stash = await call
    except CoatcheckError as error:
        return Told(error=kstash.shown(error))
    return Told(
        name=stash.name,
        namespace=stash.namespace,
        digest=stash.digest,
        data=stash.data,
        address=str(stash.address),
    )
