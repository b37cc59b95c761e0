"""Share links, and what kstash was never made to read."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import kstash_samples as samples
import kstash_side as kstash

from coatcheck import Address, Coatcheck

if TYPE_CHECKING:
    from kstash_exchange import Libraries
    from kstash_samples import Sample


async def links(both: Libraries, seed: int, count: int) -> dict[str, Any]:
    """Exchange links of stashes on S3; every other name needs no encoding in a URL."""
    given = [
        replace(sample, name=f"plain/v1.{number}") if number % 2 else sample
        for number, sample in enumerate(samples.stash_samples(seed, 2 * count))
    ]
    return {
        "kstash to coatcheck": await from_kstash(both, given[:count]),
        "coatcheck to kstash": await from_coatcheck(both, given[count:]),
        "offline": await offline(both, given[count:]),
    }


async def from_kstash(both: Libraries, given: list[Sample]) -> dict[str, Any]:
    """Fetch with coatcheck what kstash signed, whether kstash gives it out or not."""
    counts: Counter[str] = Counter()
    pairs = await both.kstash(kstash.share, given)
    own = await both.kstash(kstash.retrieve, [link for link, _ in pairs])
    for sample, (link, refusal), theirs in zip(given, pairs, own, strict=True):
        claimed = await both.retrieve(link)
        facts = {
            "signed the old way": "AWSAccessKeyId=" in link,
            "kstash gives it out": not refusal,
            "kstash retrieves its data": same_data(theirs, sample),
            "kstash retrieves its name": theirs.is_of(sample),
            "coatcheck retrieves it": claimed.is_of(sample),
        }
        counts.update({"links": 1, **facts, **errors(refusal, theirs.error)})
    return dict(counts)


async def from_coatcheck(both: Libraries, given: list[Sample]) -> dict[str, Any]:
    """Fetch with kstash what coatcheck signed."""
    counts: Counter[str] = Counter()
    shared = [await share(both.cc, sample) for sample in given]
    answers = await both.kstash(kstash.retrieve, shared)
    for sample, link, theirs in zip(given, shared, answers, strict=True):
        claimed = await both.retrieve(link)
        facts = {
            "kstash retrieves the data": same_data(theirs, sample),
            "kstash retrieves the name": theirs.is_of(sample),
            "coatcheck retrieves it": claimed.is_of(sample),
        }
        counts.update({"links": 1, **facts, **errors(theirs.error)})
    return dict(counts)


async def offline(both: Libraries, given: list[Sample]) -> dict[str, Any]:
    """Compare how the two take apart a link in the form that Amazon S3 has.

    kstash decodes no name, and takes the host's first label for the bucket.
    """
    counts: Counter[str] = Counter()
    for sample in given:
        link = as_amazon_s3(await share(both.cc, sample), sample.namespace)
        read, url = kstash.read_offline(link)
        ours = Address.parse(link)
        wanted = (sample.namespace, sample.name)
        as_it_stands = (sample.namespace.partition(".")[0], quote(sample.name))
        facts = {
            "kstash would fetch the same URL": url == link,
            "kstash tells what stands there": as_it_stands
            == (read.namespace, read.name),
            "what stands there is the stash's": as_it_stands == wanted,
            "coatcheck tells the stash's": wanted == (ours.namespace, ours.name),
        }
        counts.update({"links": 1, **facts})
    return dict(counts)


def errors(*texts: str) -> dict[str, int]:
    return {f"kstash: {text[:60]}": 1 for text in texts if text}


async def share(cc: Coatcheck, sample: Sample) -> str:
    stash = await cc.create(sample.name, sample.data, sample.namespace)
    return str(await stash.share(ttl_sec=60))


def as_amazon_s3(link: str, bucket: str) -> str:
    """Return a link of path style with Amazon's host, the bucket before it."""
    parts = urlsplit(link)
    host = f"{bucket}.s3.us-east-1.amazonaws.com"
    path = parts.path.removeprefix(f"/{bucket}")
    return f"https://{host}{path}?{parts.query}"


def same_data(told: kstash.Told, sample: Sample) -> bool:
    return not told.error and kstash.exact(told.data) == kstash.exact(sample.data)


async def beyond(both: Libraries) -> dict[str, str]:
    """Show kstash what only coatcheck makes; it answers with errors."""
    data, bucket = ["x" * 200], samples.BUCKETS[0]
    config = both.cc.config
    answers = {}
    async with AsyncExitStack() as stack:
        for what, change in {
            "a sha256 address": {"digest": "sha256"},
            "a zstd body": {"compression": "zstd"},
        }.items():
            changed = Coatcheck(config.model_copy(update=change))
            cc = await stack.enter_async_context(changed)
            answers[what] = (await cc.create(f"only {what}", data, bucket)).address
        stream = await both.cc.create_stream("stream", b"raw bytes" * 100, bucket)
        answers["a stream"] = stream.address
        times = [datetime(2024, 1, 1, tzinfo=UTC)] * 20
        answers["a time"] = (await both.cc.create("time", times, bucket)).address
    return {
        what: str(kstash.retrieve(str(address))) for what, address in answers.items()
    }
