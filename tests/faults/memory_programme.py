"""A large stream in and out, and the memory that it took.

Run as a script by `test_costs.py`; prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.process_memory import forget_peak, held, most_held

from coatcheck import Coatcheck, Config, S3Config

MIB = 1024 * 1024


class Scale:
    """Weighs one way after the other, each beside what there was when it began."""

    def __init__(self) -> None:
        self.grown: dict[str, float] = {}
        self._first = self._began = self._most = held()
        forget_peak()

    def weigh(self, way: str) -> None:
        """Note what was needed since the last time."""
        peak = most_held()
        self._most = max(self._most, peak)
        self.grown[way] = (peak - self._began) / MIB
        self.grown["altogether"] = (self._most - self._first) / MIB
        forget_peak()
        self._began = held()


async def chunks(total: int):
    piece = bytes(range(256)) * (MIB // 256)
    for _ in range(total // MIB):
        yield piece


def config_for(work: Path, endpoint: str | None) -> Config:
    if endpoint is None:
        return Config(backends=("file",), filesystem_root=str(work / "root"))
    return Config(s3=S3Config(endpoint_url=endpoint, create_buckets=True))


async def flow(work: Path, total: int, config: Config) -> dict[str, float]:
    async with Coatcheck(config) as cc:
        # What one small stream needs is what the library itself needs.
        small = await cc.create_stream("small", chunks(2 * MIB))
        await cc.download(small.address, work / "small")
        scale = Scale()
        stream = await cc.create_stream("large", chunks(total))
        scale.weigh("in")
        async with cc.open(stream.address) as reader:
            received = sum([len(chunk) async for chunk in reader])
        assert received == stream.size == total
        await cc.download(stream.address, work / "copy")
        scale.weigh("out")
        await cc.create_stream("again", work / "copy")
        scale.weigh("in again, from a path")
    return scale.grown


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--endpoint", help="an S3 store; files without it")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="coatcheck-memory-"))
    try:
        config = config_for(work, options.endpoint)
        grown = asyncio.run(flow(work, options.mib * MIB, config))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    rounded = {name: round(size, 1) for name, size in grown.items()}
    print(json.dumps({"MiB": options.mib, "extra MiB": rounded}))


if __name__ == "__main__":
    main()
