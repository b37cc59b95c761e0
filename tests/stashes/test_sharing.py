"""Sharing stashes of memory and files: what it needs, and what it gives."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from coatcheck import TimeToLive
from coatcheck.errors import (
    AccessDenied,
    StashNotFound,
    UnsupportedBackend,
    UnsupportedOperation,
)

pytestmark = pytest.mark.asyncio
TEXT = "t" * 200
KEY = "canary-signing-key-0123456789"
URL = "http://127.0.0.1:1/coats"


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({}, "Config.public_url and Config.signing_key"),
        ({"public_url": URL}, "Config.signing_key"),
        ({"signing_key": KEY}, "Config.public_url"),
    ],
)
async def test_what_links_need(place, fields, missing):
    """Without a URL and a key there are no links, and the error says what to set."""
    async with place.opened(**fields) as cc:
        stash = await cc.create("n", TEXT, "jobs")
        for call in (stash.share(), cc.share(stash.address, ttl_sec=5)):
            with pytest.raises(UnsupportedOperation) as caught:
                await call
            message = caught.value.message
            assert f"set {missing}, and let coatcheck.service answer" in message
            assert str(stash.address) in message
            assert KEY not in message


async def test_links_are_made_without_a_service(place):
    """With both, share makes a link that ends with the stash; nobody is asked for it."""
    async with place.opened(public_url=URL, signing_key=KEY) as cc:
        stash = await cc.create(
            "n", TEXT, "jobs", expires=TimeToLive(timedelta(hours=1))
        )
        link = await stash.share()
        pattern = rf"{URL}/v1/links/jobs/n\.[0-9a-f]{{32}}\?t=[\w.-]+"
        assert re.fullmatch(pattern, str(link))
        assert (link.scheme, link.namespace, link.name) == ("https", "jobs", "n")
        assert "?t=" not in repr(link)
        stream = await cc.create_stream("s", b"bytes", "jobs")
        link = await cc.share(stream.address)
        assert str(link).endswith(f"#sha256={stream.address.sha256}&size=5")
        place.clock.advance(3600)
        with pytest.raises(StashNotFound):
            await stash.share()


async def test_who_reads_links(place):
    """Links are read where `https` is among the backends and their origin is trusted."""
    async with place.opened(public_url=URL, signing_key=KEY) as cc:
        stash = await cc.create("n", TEXT, "jobs")
        link = str(await stash.share())
        with pytest.raises(UnsupportedBackend, match="https"):
            await cc.retrieve(link)
    async with place.opened(backends=("inline", "https")) as cc:
        with pytest.raises(AccessDenied, match="no configured endpoint") as caught:
            await cc.retrieve(link)
        assert link.partition("?t=")[2] not in caught.value.message
