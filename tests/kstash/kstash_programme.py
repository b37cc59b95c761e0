"""Stashes and links exchanged between coatcheck and kstash.

Run as a script by `test_kstash.py`; prints one JSON object. Both libraries find the
store, and the credentials for it, in the SDK's own variables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import boto3
from kstash_exchange import Libraries, from_coatcheck, from_kstash, inline, vector
from kstash_links import beyond, links
from kstash_odd import odd
from kstash_samples import BUCKETS

from coatcheck import Coatcheck, Config, S3Config

SEEDS = {"kstash": 20_260, "coatcheck": 20_261, "inline": 20_262, "links": 20_263}


async def stashes_report(both: Libraries, count: int) -> dict[str, Any]:
    return {
        "kstash to coatcheck": await from_kstash(both, SEEDS["kstash"], count),
        "coatcheck to kstash": await from_coatcheck(both, SEEDS["coatcheck"], count),
        "inline": await inline(both, SEEDS["inline"], count),
        "vector": await vector(both),
        "odd": await odd(both),
        "beyond kstash": await beyond(both),
    }


async def links_report(both: Libraries, count: int) -> dict[str, Any]:
    return await links(both, SEEDS["links"], count)


async def report_of(arguments: argparse.Namespace) -> dict[str, Any]:
    part = {"stashes": stashes_report, "links": links_report}[arguments.part]
    config = Config(s3=S3Config(ca_bundle=os.environ.get("AWS_CA_BUNDLE")))
    processes = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=processes) as pool:
        async with Coatcheck(config) as cc:
            return await part(Libraries(cc, pool), arguments.count)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["stashes", "links"])
    parser.add_argument("--count", type=int, default=500)
    arguments = parser.parse_args()
    client = boto3.client("s3")
    for bucket in (*BUCKETS, "stashes"):
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=bucket)
    versions = {name: version(name) for name in ("coatcheck", "kstash", "boto3")}
    report = asyncio.run(report_of(arguments))
    print(json.dumps({"versions": versions, "seeds": SEEDS, **report}))


if __name__ == "__main__":
    main()
