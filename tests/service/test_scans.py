"""Listing a usecase and scope."""

from __future__ import annotations

from datetime import datetime

import pytest
from tests.service.stage import SCOPE, USECASE, config_of, serving

pytestmark = pytest.mark.asyncio

PATH = f"/v1/objects:scan/{USECASE}/{SCOPE}"
KEYS = ["a", "b/1", "b/2", "b/c/3", "c", "d/e", "objects/x", "z%20z", "%C3%BC"]
DECODED = ["a", "b/1", "b/2", "b/c/3", "c", "d/e", "objects/x", "z z", "ü"]


@pytest.fixture(params=["memory", "files"])
def config(request, tmp_path):
    """A configuration on memory, and one on files."""
    if request.param == "memory":
        return config_of()
    return config_of(storage=f"file:{tmp_path / 'root'}", durable=False)


async def filled(it):
    for key in KEYS:
        await it.put(key, key.encode())
    for other in ("_", "org=42", "org=42;project=1337;team=1", "org=42;project=13"):
        await it.ask("PUT", f"/v1/objects/{USECASE}/{other}/other", b"x")
    await it.ask("PUT", f"/v1/objects/{USECASE}-2/{SCOPE}/other", b"x")


async def listed(it, query=""):
    answer = await it.ask("GET", f"{PATH}/?{query}")
    assert answer.status == 200
    return answer.json()


async def test_everything(config):
    """All keys of the scope and of no other, with size, ETag and time."""
    async with serving(config) as it:
        await filled(it)
        for path in (PATH, f"{PATH}/"):
            page = (await it.ask("GET", path)).json()
            assert [entry["key"] for entry in page["entries"]] == DECODED
            assert page["prefixes"] == []
            assert page["truncated"] is False
        entry = page["entries"][0]
        assert entry["size"] == 1
        assert f'"{entry["etag"]}"' == (await it.head("a")).headers["etag"]
        assert datetime.fromisoformat(entry["modified"]).tzinfo is not None


@pytest.mark.parametrize(
    ("query", "keys", "prefixes"),
    [
        ("prefix=b/", ["b/1", "b/2", "b/c/3"], []),
        ("prefix=b", ["b/1", "b/2", "b/c/3"], []),
        ("prefix=z%20", ["z z"], []),
        ("prefix=%C3%BC", ["ü"], []),
        ("prefix=nothing", [], []),
        ("start_after=b/2", ["b/c/3", "c", "d/e", "objects/x", "z z", "ü"], []),
        ("start_after=zz", ["ü"], []),
        ("delimiter=/", ["a", "c", "z z", "ü"], ["b/", "d/", "objects/"]),
        ("delimiter=%2F&prefix=b/", ["b/1", "b/2"], ["b/c/"]),
        ("delimiter=/&start_after=b/", ["c", "z z", "ü"], ["d/", "objects/"]),
        ("prefix=../", [], []),
        ("limit=100000", DECODED, []),
    ],
)
async def test_queries(config, query, keys, prefixes):
    """Prefix, start and delimiter mean what they mean in a bucket."""
    async with serving(config) as it:
        await filled(it)
        page = await listed(it, query)
        assert [entry["key"] for entry in page["entries"]] == keys
        assert page["prefixes"] == prefixes
        assert page["truncated"] is False


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 8, 9, 10])
@pytest.mark.parametrize("delimiter", ["", "&delimiter=/"])
async def test_pages(config, limit, delimiter):
    """Pages behind one another are the whole, each key and prefix once."""
    async with serving(config) as it:
        await filled(it)
        whole = await listed(it, delimiter)
        after, keys, prefixes = "", [], []
        while True:
            page = await listed(it, f"limit={limit}{delimiter}{after}")
            names = [entry["key"] for entry in page["entries"]]
            assert 1 <= len(names) + len(page["prefixes"]) <= limit
            keys += names
            prefixes += page["prefixes"]
            if not page["truncated"]:
                break
            last = max([*names, *page["prefixes"]], key=str.encode)
            after = "&start_after=" + last.replace(" ", "%20").replace("ü", "%C3%BC")
        assert keys == [entry["key"] for entry in whole["entries"]]
        assert prefixes == whole["prefixes"]


async def test_expired_objects_are_not_listed(config, clock):
    """What is over is not there."""
    async with serving(config, clock=clock) as it:
        await it.put("short", x_sn_expiration="ttl:1h")
        await it.put("long", x_sn_expiration="ttl:2h")
        clock.advance(3600)
        assert [entry["key"] for entry in (await listed(it))["entries"]] == ["long"]
