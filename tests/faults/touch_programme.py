"""Touches just before and after the deadline, against reapers in other processes.

Run as a script by `test_races.py`; prints one JSON object. The clock of all processes
runs faster than the wall's, and alike, because the monotonic clock is the machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import shutil
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from coatcheck import Coatcheck, Config, TimeToIdle
from coatcheck.errors import StashNotFound

SPEED = 4
IDLE = TimeToIdle(timedelta(seconds=1))
START = datetime(2026, 1, 1, tzinfo=UTC)


def fast_clock(origin: float):
    return lambda: START + timedelta(seconds=(time.monotonic() - origin) * SPEED)


def config(root: str) -> Config:
    return Config(backends=("file",), filesystem_root=root, durable=False)


def reap_for_ever(root: str, origin: float, stop) -> None:
    async def reap() -> None:
        async with Coatcheck(config(root), clock=fast_clock(origin)) as cc:
            while not stop.is_set():
                await cc.reap()

    asyncio.run(reap())


async def one_round(cc, clock, number: int, rng: random.Random, seen: Counter) -> None:
    """Touch at the deadline, and look at what came of it."""
    stash = await cc.create(f"n{number}", [number] * 100, expires=IDLE)
    edge = stash.deadline + timedelta(seconds=rng.uniform(-0.12, 0.02))
    await asyncio.sleep(max((edge - clock()).total_seconds() / SPEED, 0))
    try:
        deadline = await cc.touch(stash.address)
    except StashNotFound:
        seen["touched too late"] += 1
        await gone(cc, stash, seen)
        return
    seen["touched in time"] += 1
    try:
        await cc.retrieve(stash.address)
        seen["served after the touch"] += 1
    except StashNotFound:
        if clock() < deadline:
            seen["LOST"] += 1
    await asyncio.sleep(1.1 / SPEED)
    # Reading may have renewed it once more.
    asked = clock()
    try:
        await cc.retrieve(stash.address)
    except StashNotFound:
        return
    if asked >= deadline + IDLE.duration:
        seen["SERVED LATE"] += 1


async def gone(cc, stash, seen: Counter) -> None:
    """What was told to be gone stays so."""
    for _ in range(3):
        try:
            await cc.retrieve(stash.address)
        except StashNotFound:
            await asyncio.sleep(0.002)
        else:
            seen["SERVED LATE"] += 1


async def all_rounds(root: str, origin: float, rounds: int, seed: int) -> Counter:
    clock, rng, seen = fast_clock(origin), random.Random(seed), Counter()
    async with Coatcheck(config(root), clock=clock) as cc:
        for start in range(0, rounds, 10):
            await asyncio.gather(
                *(
                    one_round(cc, clock, number, rng, seen)
                    for number in range(start, min(start + 10, rounds))
                )
            )
    return seen


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--reapers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20261125)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    root, origin = tempfile.mkdtemp(prefix="coatcheck-touch-"), time.monotonic()
    stop = context.Event()
    reapers = [
        context.Process(target=reap_for_ever, args=(root, origin, stop))
        for _ in range(options.reapers)
    ]
    try:
        for reaper in reapers:
            reaper.start()
        seen = asyncio.run(all_rounds(root, origin, options.rounds, options.seed))
    finally:
        stop.set()
        for reaper in reapers:
            reaper.join()
        shutil.rmtree(root, ignore_errors=True)
    codes = [reaper.exitcode for reaper in reapers]
    print(json.dumps({"rounds": options.rounds, "reapers": codes, **seen}))


if __name__ == "__main__":
    main()
