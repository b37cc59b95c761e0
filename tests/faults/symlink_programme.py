"""Ten thousand operations while somebody swaps folders for symlinks.

Run as a script by `test_symlinks.py`; prints one JSON object. A thread exchanges each
folder of the root for a symlink to a canary tree and back, as fast as it can.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import shutil
import tempfile
import threading
from collections import Counter
from pathlib import Path

from coatcheck import Coatcheck, Config
from coatcheck.errors import CoatcheckError


def fingerprint(folder: Path) -> str:
    """Return a digest of all names, modes, times and bytes below a folder."""
    running = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        running.update(repr((str(path), status.st_mode, status.st_mtime_ns)).encode())
        if path.is_file():
            running.update(path.read_bytes())
    return running.hexdigest()


def swap_for_ever(root: Path, canary: Path, stop: threading.Event, swaps: Counter):
    """Put symlinks in the place of folders, and the folders back."""
    names = ["ns", "ns/a+", ".coatcheck/buckets/ns/drafts", ".coatcheck/locks"]
    rng = random.Random(1)
    while not stop.is_set():
        folder = root / rng.choice(names)
        aside = Path(f"{folder}.aside")
        try:
            os.rename(folder, aside)
            os.symlink(canary, folder)
            swaps["swaps"] += 1
            stop.wait(rng.uniform(0, 0.002))
            os.unlink(folder)
            os.rename(aside, folder)
        except OSError:
            # The library made the folder anew meanwhile; keep both out of the way.
            shutil.rmtree(aside, ignore_errors=True)
            if folder.is_symlink():
                folder.unlink()


async def operate(root: Path, count: int, seen: Counter) -> None:
    config = Config(backends=("file",), filesystem_root=str(root), durable=False)
    rng = random.Random(2)
    async with Coatcheck(config) as cc:
        addresses = []

        async def one(number: int) -> None:
            kind = rng.randrange(6)
            try:
                if kind < 2 or not addresses:
                    name = rng.choice(["", "a/"]) + f"n{number % 50}"
                    addresses.append(
                        (await cc.create(name, [number] * 80, "ns")).address
                    )
                elif kind == 2:
                    await cc.retrieve(rng.choice(addresses))
                elif kind == 3:
                    await cc.delete(rng.choice(addresses))
                elif kind == 4:
                    [entry async for entry in cc.scan("ns", prefix="a/n1")]
                else:
                    await cc.reap("ns", prefix="n1")
                seen["done"] += 1
            except CoatcheckError as error:
                seen[type(error).__name__] += 1

        for start in range(0, count, 20):
            await asyncio.gather(*(one(start + offset) for offset in range(20)))
            del addresses[:-200]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=10_000)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="coatcheck-symlinks-"))
    root, canary, seen = work / "root", work / "canary", Counter()
    try:
        for name in ("a+", "n1", "b+", "drafts", "00"):
            (canary / name).mkdir(parents=True)
            (canary / name / "precious").write_bytes(b"precious")
        (canary / "n0.0").write_bytes(b"precious")
        before = fingerprint(canary)
        stop = threading.Event()
        swapper = threading.Thread(
            target=swap_for_ever, args=(root, canary, stop, seen)
        )
        swapper.start()
        try:
            asyncio.run(operate(root, options.operations, seen))
        finally:
            stop.set()
            swapper.join()
        untouched = fingerprint(canary) == before
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps({"canary untouched": untouched, **seen}))


if __name__ == "__main__":
    main()
