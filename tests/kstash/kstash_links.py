"""Share links, and what kstash was never made to read."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
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
    """Exchange links of stashes on S3."""
    given = samples.stash_samples(seed, 2 * count)
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
        counts.update(
            {
                "links": 1,
                "signed the old way": int("AWSAccessKeyId=" in link),
                f"kstash refuses to give it out: {refusal}": int(bool(refusal)),
                "kstash retrieves its own data": int(same_data(theirs, sample)),
                "kstash retrieves its own name": int(theirs.is_of(sample)),
                "coatcheck retrieves it": int(claimed.is_of(sample)),
            }
        )
    return dict(counts)


async def from_coatcheck(both: Libraries, given: list[Sample]) -> dict[str, Any]:
    """Fetch with kstash what coatcheck signed."""
    counts: Counter[str] = Counter()
    shared = [await share(both.cc, sample) for sample in given]
    answers = await both.kstash(kstash.retrieve, shared)
    for sample, link, theirs in zip(given, shared, answers, strict=True):
        claimed = await both.retrieve(link)
        counts.update(
            {
                "links": 1,
                "kstash retrieves the data": int(same_data(theirs, sample)),
                f"kstash: {theirs.error[:60]}": int(bool(theirs.error)),
                "coatcheck retrieves it": int(claimed.is_of(sample)),
            }
        )
    return dict(counts)


async def offline(both: Libraries, given: list[Sample]) -> dict[str, Any]:
    """Compare how the two take apart a link in the form that Amazon S3 has."""
    counts: Counter[str] = Counter()
    for sample in given:
        link = as_amazon_s3(await share(both.cc, sample), sample.namespace)
        read, url = kstash.read_offline(link)
        ours = Address.parse(link)
        wanted = (sample.namespace, sample.name)
        counts.update(
            {
                "links": 1,
                "kstash would fetch the same URL": int(url == link),
                "kstash tells the name": int((read.namespace, read.name) == wanted),
                "kstash tells it percent-encoded": int(read.name == quote(sample.name)),
                "coatcheck tells the name": int((ours.namespace, ours.name) == wanted),
            }
        )
    return dict(counts)


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
