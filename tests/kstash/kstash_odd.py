"""Names, namespaces and payloads that one library keeps and the other does not."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import kstash_samples as samples
import kstash_side as kstash
from kstash_samples import Sample

if TYPE_CHECKING:
    from kstash_exchange import Libraries
    from kstash_side import Told

BUCKET = samples.BUCKETS[0]


async def odd(both: Libraries) -> dict[str, Any]:
    """Sort what is odd by what the two make of it."""
    names = list(enumerate(samples.ODD_NAMES))
    spaces = list(enumerate(samples.ODD_NAMESPACES))
    on_s3 = [
        Sample(name=name, data=[number, "x" * 200], namespace=BUCKET)
        for number, name in names
    ]
    inside = [Sample(name=name, data=number, namespace="ns") for number, name in names]
    spaced = [Sample(name="n", data=number, namespace=name) for number, name in spaces]
    payloads = [
        Sample(name=name, data=data, namespace=BUCKET)
        for name, data in samples.ODD_PAYLOADS.items()
    ]
    return {
        "names on s3": await sort(both, on_s3, "name"),
        "names inline": await sort(both, inside, "name"),
        "namespaces inline": await sort(both, spaced, "namespace"),
        "payloads": await sort(both, payloads, "name"),
    }


async def sort(
    both: Libraries, given: list[Sample], field: str
) -> dict[str, dict[str, dict[str, str]]]:
    """Return each sample under its verdict, with the answers that led to it."""
    found: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    pairs = await both.kstash(kstash.round_trip, given)
    for sample, (created, own) in zip(given, pairs, strict=True):
        # Tuples come back as lists and bytearrays as bytes, from both.
        expected = replace(sample, data=plain(sample.data))
        claimed = await both.retrieve(created.address) if created.address else created
        ours = await both.create(sample)
        again = await both.retrieve(ours.address) if ours.address else ours
        what = verdict(expected, created, own, claimed, ours, again)
        found[what][short(getattr(sample, field))] = {
            "kstash": str(own),
            "coatcheck on kstash's": str(claimed),
            "coatcheck": str(again),
        }
    return dict(found)


def short(text: str) -> str:
    shown = ascii(text)
    return shown if len(text) < 60 else f"{shown[:8]}... ({len(text)})"


def plain(data: Any) -> Any:
    match data:
        case tuple() | list():
            return [plain(each) for each in data]
        case bytearray():
            return bytes(data)
        case _:
            return data


def verdict(
    expected: Sample, created: Told, own: Told, claimed: Told, ours: Told, again: Told
) -> str:
    """Say in words what became of a sample."""
    if ours.address and not again.is_of(expected):
        return "coatcheck loses it"
    if own.is_of(expected):
        if not claimed.is_of(expected):
            return "kstash keeps it, coatcheck refuses it"
        if ours.error:
            return "both read it, coatcheck refuses to create it"
        if not created.address == ours.address == claimed.address:
            return "the addresses differ"
        return "both keep it"
    if ours.address:
        return "kstash fails, coatcheck keeps it"
    return (
        "both refuse it" if created.error else "kstash loses it, coatcheck refuses it"
    )
