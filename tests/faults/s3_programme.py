"""Every operation of an S3 bucket against every fault, on SeaweedFS.

Run as a script by `test_s3_faults_table.py`; prints a line for each cell, and last
one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import queue
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import aioboto3

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration import servers
from tests.integration.s3_fault_cases import OPERATIONS
from tests.integration.s3_fault_judge import (
    PER_REQUEST,
    SECONDS,
    Verdict,
    fill_listing,
    play,
    stage,
    unexcused,
)
from tests.integration.s3_fault_kinds import FAULTS
from tests.integration.wires import set_default_wire

from coatcheck.backends._s3 import _bucket, _client


def positions(requests: int) -> list[int]:
    """Return the first, the middle and the last of so many requests."""
    return sorted({0, requests // 2, requests - 1})


def cells(operations: str, skipped: str, faults: str) -> list[tuple[str, str, int]]:
    return [
        (operation.name, fault, position)
        for fault in FAULTS
        if faults in fault
        for operation in OPERATIONS.values()
        if operations in operation.name and skipped not in operation.name
        for position in positions(operation.requests)
    ]


async def work(url: str, bucket: str, todo: queue.Queue, done: list[Verdict]) -> None:
    """Play cells, one after the other, until none is left."""
    async with stage(url, bucket, aioboto3.Session()) as on:
        while not todo.empty():
            try:
                operation, fault, position = todo.get_nowait()
            except queue.Empty:
                return
            verdict = await play(on, operation, fault, FAULTS[fault], position)
            done.append(verdict)
            print(line(verdict) + "\n", end="", flush=True)


def line(verdict: Verdict) -> str:
    """Return a row of the table."""
    where = f"request {verdict.position + 1}"
    ended = " ".join(filter(None, (verdict.ended, verdict.outcome)))
    if verdict.resolved:
        ended += f" -> {verdict.resolved}"
    judged = "; ".join(unexcused(verdict)) or "right"
    if judged == "right" and verdict.wrong:
        judged = f"undetectable: {verdict.excused}"
    return (
        f"{verdict.operation:17}{verdict.fault:31}{where:11}{ended:42}"
        f"{verdict.attempts:3} requests {verdict.seconds:6.2f} s  {judged}"
    )


def play_all(url: str, todo: queue.Queue, workers: int) -> list[Verdict]:
    """Play the cells in threads, each with a loop and a bucket of its own.

    What is left in a loop is so left by the cell that was played in it.
    """
    done: list[Verdict] = []
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            asyncio.run(work(url, f"faults{number}", todo, done))
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=run, args=(each,)) for each in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return done


def report(verdicts: list[Verdict]) -> dict[str, object]:
    """Return the totals."""
    longest = max(verdicts, key=lambda each: each.seconds)
    violations = [
        f"{each.operation} | {each.fault} | request {each.position + 1} |"
        f" {each.ended} {each.outcome} | {wrong}"
        for each in verdicts
        for wrong in unexcused(each)
    ]
    return {
        "cells": len(verdicts),
        "ended": dict(Counter(each.ended for each in verdicts)),
        "outcomes": dict(Counter(each.outcome for each in verdicts if each.outcome)),
        "resolved": dict(Counter(each.resolved for each in verdicts if each.resolved)),
        "undetectable": sum(bool(each.wrong and each.excused) for each in verdicts),
        "longest call": [longest.operation, longest.fault, longest.seconds],
        "bound": SECONDS,
        "violations": sorted(violations),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--operations", default="", help="a part of their names")
    parser.add_argument("--skip", default="none", help="a part of their names")
    parser.add_argument("--faults", default="", help="a part of their names")
    parser.add_argument("--wire", choices=("auto", "sdk"), default="auto")
    options = parser.parse_args()
    set_default_wire(options.wire)
    os.environ.update(servers.CREDENTIALS, AWS_EC2_METADATA_DISABLED="true")
    _client._CONNECT_SECONDS = _client._READ_SECONDS = 3
    _bucket._DELETE_STEP = PER_REQUEST
    todo: queue.Queue = queue.Queue()
    for cell in cells(options.operations, options.skip, options.faults):
        todo.put(cell)
    with (
        tempfile.TemporaryDirectory(prefix="coatcheck-s3-faults-") as folder,
        servers.seaweedfs(Path(folder)) as url,
    ):
        asyncio.run(fill_listing(url))
        verdicts = play_all(url, todo, options.workers)
    print(json.dumps(report(verdicts)))


if __name__ == "__main__":
    main()
