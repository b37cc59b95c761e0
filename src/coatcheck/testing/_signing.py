"""Signing: links that need no credentials, and end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coatcheck.abc import Capability, SignGet, SignPut
from coatcheck.errors import Closed, InvalidInput

from ._stage import Contract, Stage, scenario

MINUTE = timedelta(minutes=1)


class SigningContract(Contract):
    """What a bucket promises to those who make links."""

    @scenario(Capability.SIGN)
    async def test_links_say_what_to_send(self, it: Stage) -> None:
        """A link has its method, a URL, the headers that it needs, and its end."""
        await it.bucket.put("a b/ü+%;", b"x")
        for what, method in (
            (SignGet(), "GET"),
            (SignGet(content_type="text/plain"), "GET"),
            (SignPut(content_type="text/plain"), "PUT"),
        ):
            signed = await it.bucket.sign(what, "a b/ü+%;", expires_in=MINUTE)
            assert signed.method == method
            assert signed.url.isascii()
            assert signed.url.startswith(("http://", "https://"))
            assert signed.expires_at <= it.backend.now() + MINUTE
            headers = {name.lower(): text for name, text in signed.headers.items()}
            wanted = what.content_type if method == "PUT" else None
            assert headers.get("content-type") == wanted

    @scenario(Capability.SIGN)
    async def test_links_are_not_shown(self, it: Stage) -> None:
        """The text of a signed request has no signature in it."""
        await it.bucket.put("k", b"x")
        signed = await it.bucket.sign(SignGet(), "k", expires_in=MINUTE)
        _, _, query = signed.url.partition("?")
        assert query
        assert query not in f"{signed!r} {signed}"

    @scenario(Capability.SIGN)
    async def test_links_are_of_one_object(self, it: Stage) -> None:
        """Links to other keys, or for other uses, are other links."""
        urls: set[str] = set()
        for key in ("k", "l"):
            await it.bucket.put(key, b"x")
            for what in (SignGet(), SignPut()):
                signed = await it.bucket.sign(what, key, expires_in=MINUTE)
                urls.add(signed.url)
        assert len(urls) == 4

    @scenario(Capability.SIGN)
    async def test_what_is_to_be_written_need_not_exist(self, it: Stage) -> None:
        """Nothing is looked up or made for a link to write."""
        assert (await it.bucket.sign(SignPut(), "absent", expires_in=MINUTE)).url
        await it.expect_empty()

    @scenario(Capability.SIGN)
    async def test_links_have_an_end(self, it: Stage) -> None:
        """Links for no time, for times past and for ever are refused."""
        await it.bucket.put("k", b"x")
        for time in (timedelta(0), -MINUTE, timedelta(days=7, seconds=1)):
            for what in (SignGet(), SignPut()):
                with pytest.raises(InvalidInput):
                    await it.bucket.sign(what, "k", expires_in=time)

    @scenario(Capability.SIGN)
    async def test_nothing_is_written_by_links_to_odd_keys(self, it: Stage) -> None:
        """A key that no object may have gets no link to write it."""
        for key in ("", "a//b", "..", "a/../b", "a\0b", "\ud800", "x" * 2000):
            with pytest.raises(InvalidInput):
                await it.bucket.sign(SignPut(), key, expires_in=MINUTE)

    @scenario(Capability.SIGN)
    async def test_a_closed_bucket_signs_nothing(self, it: Stage) -> None:
        """Signing is a use of the backend as any other."""
        bucket = it.bucket
        await it.reopen()
        with pytest.raises(Closed):
            await bucket.sign(SignPut(), "k", expires_in=MINUTE)
