"""Many processes that create the same and different payloads at once.

Run as a script by `test_races.py`; prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from coatcheck import Coatcheck, Config, S3Config

NAMESPACE = "jobs"


def config(root: str) -> Config:
    """Return files under a folder, or S3 when the root is a URL."""
    if root.startswith("http"):
        s3 = S3Config(endpoint_url=root, create_buckets=True)
        return Config(backends=("s3",), s3=s3, total_timeout=timedelta(seconds=120))
    return Config(backends=("file",), filesystem_root=root)


def contend(root: str, rounds: int, me: int, barrier, results) -> None:
    asyncio.run(rounds_of(root, rounds, me, barrier, results))


async def rounds_of(root: str, rounds: int, me: int, barrier, results) -> None:
    """Create the round's common payload and one of one's own, all at once."""
    async with Coatcheck(config(root)) as cc:
        for number in range(rounds):
            await asyncio.to_thread(barrier.wait)
            same, own = await asyncio.gather(
                cc.create(f"same{number}", [number] * 1000, NAMESPACE),
                cc.create(f"own{number}", [number, me] * 1000, NAMESPACE),
                return_exceptions=True,
            )
            results.put((number, me, str_of(same), str_of(own)))


def str_of(outcome: object) -> str:
    if isinstance(outcome, BaseException):
        return f"{type(outcome).__name__}: {outcome}"
    return str(outcome.address)


async def count_bodies(root: str) -> dict[str, int]:
    """Verify every stash, and count the bodies by kind."""
    counts = {"same": 0, "own": 0}
    async with Coatcheck(config(root)) as cc:
        async for entry in cc.scan(NAMESPACE):
            await cc.retrieve(entry.address)
            counts[entry.address.name.rstrip("0123456789")] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--endpoint", help="the URL of an S3 instead of files")
    options = parser.parse_args()
    processes, rounds = options.processes, options.rounds
    context = multiprocessing.get_context("spawn")
    work = tempfile.mkdtemp(prefix="coatcheck-races-")
    root = options.endpoint or work
    try:
        barrier, results = context.Barrier(processes), context.Queue()
        workers = [
            context.Process(target=contend, args=(root, rounds, me, barrier, results))
            for me in range(processes)
        ]
        for worker in workers:
            worker.start()
        told = [results.get(timeout=600) for _ in range(processes * rounds)]
        for worker in workers:
            worker.join()
        kept = "s3://" if options.endpoint else "file://"
        failures = [
            each
            for each in told
            if not (each[2].startswith(kept) and each[3].startswith(kept))
        ]
        report = {
            "processes": processes,
            "rounds": rounds,
            "creates": 2 * len(told),
            "failures": failures[:5],
            "addresses of same": len({each[2] for each in told}),
            "bodies": asyncio.run(count_bodies(root)),
            "left among drafts": len(list(Path(work).glob(".coatcheck/**/drafts/*"))),
        }
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
