"""Listing, and deleting what was listed."""

from __future__ import annotations

import anyio
import pytest

from coatcheck.abc import Capability
from coatcheck.errors import InvalidInput
from coatcheck.wrappers import closed_after

from ._stage import Contract, Stage, scenario

KEYS = (
    *("a", "a/b", "a/b/c", "a/bc", "a b", "a!", "a0", "a-", "A", "Z", "b", "ab"),
    *("\u00e9", "\uffee", "\U0001f600", "x" * 300, "x" * 300 + "y", "p/" + "q" * 300),
    *("p/q", "p/r/s", "p/r/t", "p0", "~", "%", "%41", "a.b", "a+b", "a+/b"),
)
MANY = 2300
"""Objects that no store lists in one page."""


def listed(
    keys: set[str], prefix: str, after: str | None, *, folded: bool
) -> list[str]:
    """Return what a scan must give, computed the slow way."""
    found: set[str] = set()
    for key in keys:
        slash = key.find("/", len(prefix)) if folded else -1
        shown = key if slash < 0 else key[: slash + 1]
        if key.startswith(prefix) and (after is None or shown > after):
            found.add(shown)
    return sorted(found, key=str.encode)


class ListingContract(Contract):
    """What a backend promises to those who list."""

    @scenario(Capability.SCAN)
    async def test_scans_are_ordered_and_cut_as_asked(self, it: Stage) -> None:
        """Order, prefix, start and folding are those of UTF-8 text."""
        keys = {key for key in KEYS if it.subject.storable(key)}
        for key in keys:
            await it.bucket.put(key, b"")
        for prefix in ("", "a", "a/", "a/b", "p/", "p/q", "x" * 300, "none", "%"):
            for after in (None, "a", "a/", "a/b", "p/r/", "p/r/s", "~", "\U0001f600"):
                for delimiter in (None, "/"):
                    found = await it.keys(
                        prefix, start_after=after, delimiter=delimiter
                    )
                    wanted = listed(keys, prefix, after, folded=delimiter == "/")
                    assert sorted(found, key=str.encode) == wanted
                    if delimiter is None:
                        assert found == wanted

    @scenario(Capability.SCAN)
    async def test_scans_list_all_that_was_asked_for(self, it: Stage) -> None:
        """Whatever the order, each key or common prefix is listed exactly once."""
        keys = {key for key in KEYS if it.subject.storable(key)}
        for key in keys:
            await it.bucket.put(key, b"")
        for prefix in ("", "a", "a/", "a/b", "p/", "p/q", "none", "%"):
            for delimiter in (None, "/"):
                found = await it.keys(prefix, delimiter=delimiter, ordered=False)
                wanted = listed(keys, prefix, None, folded=delimiter == "/")
                assert sorted(found, key=str.encode) == wanted

    @scenario(Capability.SCAN)
    async def test_entries_tell_size_etag_and_time(self, it: Stage) -> None:
        """An entry says what head would say."""
        for number in range(5):
            await it.bucket.put(f"k{number}", b"x" * number)
            it.clock.advance(1)
        pages = it.bucket.scan()
        async with closed_after(pages):
            async for page in pages:
                for entry in page.entries:
                    info = await it.bucket.head(entry.key)
                    assert entry.size == info.size
                    assert entry.etag == info.etag
                    assert entry.modified == info.modified

    @scenario(Capability.SCAN)
    async def test_many_objects_come_page_by_page(self, it: Stage) -> None:
        """Every object is listed exactly once, in pages of bounded size."""
        keys = [f"n/{number:05d}" for number in range(MANY)]

        async def put(some: list[str]) -> None:
            for key in some:
                await it.bucket.put(key, b"")

        async with anyio.create_task_group() as tasks:
            for start in range(8):
                tasks.start_soon(put, keys[start::8])
        sizes: list[int] = []
        found: list[str] = []
        pages = it.bucket.scan("n/")
        async with closed_after(pages):
            async for page in pages:
                sizes.append(len(page.entries))
                found += [entry.key for entry in page.entries]
        assert found == keys
        assert max(sizes) <= 1000
        assert await it.keys("n/", start_after=keys[-2]) == keys[-1:]
        results = await it.bucket.delete_many(keys)
        assert results == dict.fromkeys(keys)
        assert await it.keys() == []

    @scenario(Capability.SCAN)
    async def test_a_scan_beside_changes_lists_what_stays(self, it: Stage) -> None:
        """What stands all the while is listed once, whatever comes and goes."""
        staying = [f"k{number:04d}" for number in range(0, 1500, 2)]
        for key in staying:
            await it.bucket.put(key, b"")
        found: list[str] = []
        pages = it.bucket.scan()
        async with closed_after(pages):
            async for page in pages:
                found += [entry.key for entry in page.entries]
                for number in range(1, 60, 2):
                    await it.bucket.put(f"k{number + len(found):04d}x", b"")
                    await it.bucket.delete(f"k{number:04d}x")
        assert [key for key in found if not key.endswith("x")] == staying
        assert len(set(found)) == len(found)

    @scenario(Capability.SCAN)
    async def test_a_scan_may_be_left_early(self, it: Stage) -> None:
        """An iterator that is closed half-way holds nothing any more."""
        for number in range(1100):
            await it.bucket.put(f"k{number}", b"")
        for _ in range(5):
            pages = it.bucket.scan()
            async with closed_after(pages):
                async for page in pages:
                    assert page.entries
                    break

    @scenario(Capability.SCAN)
    async def test_bad_scans_are_refused(self, it: Stage) -> None:
        """A delimiter but the slash, or a prefix of no key, is an error."""
        for prefix, delimiter in (("", "."), ("", "//"), ("\ud800", None)):
            with pytest.raises(InvalidInput):
                await it.keys(prefix, delimiter=delimiter)

    @scenario(Capability.SCAN)
    async def test_deleting_many(self, it: Stage) -> None:
        """Each key has its result; absent and impossible ones are success."""
        await it.bucket.put("a", b"")
        await it.bucket.put("b", b"")
        wanted = ["a", "none", "..", "a//b"]
        assert await it.bucket.delete_many(iter(wanted)) == dict.fromkeys(wanted)
        assert await it.bucket.delete_many([]) == {}
        assert await it.keys() == ["b"]
