"""Links that a service answers: what is signed, and what their tokens are."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest

from coatcheck._core.signing import LinkGrant
from coatcheck.abc import Capability, SignGet, SignPut, require
from coatcheck.errors import AccessDenied, Closed, InvalidConfig, InvalidInput
from coatcheck.wrappers import LinkSigner, expiring, linked, scoped

KEY = b"canary-signing-key-0123456789"
URL = "https://coats.example/below"
HOUR = timedelta(hours=1)
ALPHABET = string.ascii_letters + string.digits + "-_."
GRANT = LinkGrant(
    method="PUT",
    backend="file",
    bucket="jobs",
    key="ünï cødé/+%;",
    expires_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    content_type="text/plain; charset=utf-8",
    content_disposition='inline; filename="a"',
    max_size=0,
)


def signing(bucket, url=URL, **options):
    return linked(bucket, public_url=url, signer=LinkSigner(KEY, **options))


def granted(signed):
    """Return what a link's token says."""
    return LinkSigner(KEY).read(signed.url.partition("?t=")[2])


@pytest.mark.asyncio
async def test_what_is_signed(backend, clock):
    """The link's path and its token name the driver's bucket and key, the token all else."""
    async with backend:
        bucket = signing(backend.bucket("jobs"))
        what = SignGet(content_type="text/plain", content_disposition="inline")
        signed = await bucket.sign(what, "a b/ü+%;", expires_in=HOUR)
        assert (signed.method, dict(signed.headers)) == ("GET", {})
        assert signed.expires_at == clock() + HOUR
        path, token = re.fullmatch(rf"{URL}(/[!-~]+)\?t=([\w.-]+)", signed.url).groups()
        assert unquote(path) == "/v1/links/jobs/a b/ü+%;"
        assert LinkSigner(KEY).read(token) == LinkGrant(
            method="GET",
            backend="mem",
            bucket="jobs",
            key="a b/ü+%;",
            expires_at=clock() + HOUR,
            content_type="text/plain",
            content_disposition="inline",
        )
        assert token not in repr(signed)
        what = SignPut(content_type="text/plain", max_size=5)
        signed = await bucket.sign(what, "k", expires_in=HOUR)
        assert (signed.method, dict(signed.headers)) == (
            "PUT",
            {"Content-Type": "text/plain"},
        )
        assert (granted(signed).method, granted(signed).max_size) == ("PUT", 5)
        assert dict((await bucket.sign(SignPut(), "k", expires_in=HOUR)).headers) == {}


@pytest.mark.asyncio
async def test_under_and_over_other_wrappers(backend):
    """Whatever stands around or below it, the link leads to the driver's object."""
    async with backend:
        plain = backend.bucket("jobs")
        for bucket in (
            signing(scoped(plain, "a/b/")),
            scoped(signing(plain), "a/b/"),
            scoped(signing(scoped(plain, "a/")), "b/"),
            expiring(scoped(signing(expiring(scoped(plain, "a/"))), "b/")),
        ):
            await bucket.put("k", b"x")
            signed = await require(bucket, Capability.SIGN).sign(
                SignGet(), "k", expires_in=HOUR
            )
            assert (granted(signed).bucket, granted(signed).key) == ("jobs", "a/b/k")
            assert "/v1/links/jobs/a/b/k?t=" in signed.url


@pytest.mark.asyncio
async def test_only_signing_is_added(backend):
    """It can what the bucket can, and sign; nothing is looked up for it."""
    async with backend:
        plain = backend.bucket("jobs")
        assert Capability.SIGN not in plain.capabilities
        bucket = signing(plain)
        assert bucket.capabilities == plain.capabilities | {Capability.SIGN}
        assert (await bucket.sign(SignGet(), "absent", expires_in=HOUR)).url


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "key", ["", "a//b", "../k", "a/.", "k\n", "\ud800", "x" * 1025]
)
async def test_keys_that_no_object_has(backend, key):
    """A link to what cannot be is refused."""
    async with backend:
        bucket = signing(backend.bucket("jobs"))
        for what in (SignGet(), SignPut()):
            with pytest.raises(InvalidInput):
                await bucket.sign(what, key, expires_in=HOUR)


@pytest.mark.asyncio
async def test_how_long_links_work(backend, clock):
    """For some time up to a week, to the microsecond; not for none, and not backwards."""
    async with backend:
        bucket = signing(backend.bucket("jobs"))
        least, most = timedelta(microseconds=1), timedelta(days=7)
        for time in (least, most):
            signed = await bucket.sign(SignGet(), "k", expires_in=time)
            assert granted(signed).expires_at == signed.expires_at == clock() + time
        for time in (timedelta(0), -least, most + least, timedelta.max):
            with pytest.raises(InvalidInput, match="up to 7 days"):
                await bucket.sign(SignGet(), "k", expires_in=time)


@pytest.mark.asyncio
async def test_nothing_is_signed_when_closed(backend):
    """A bucket signs before its backend closes, and not after."""
    bucket = signing(backend.bucket("jobs"))
    with pytest.raises(Closed):
        await bucket.sign(SignGet(), "k", expires_in=HOUR)
    async with backend:
        assert (await bucket.sign(SignGet(), "k", expires_in=HOUR)).url
    with pytest.raises(Closed):
        await bucket.sign(SignGet(), "k", expires_in=HOUR)


@pytest.mark.parametrize(
    "url",
    [
        *("", "coats.example", "ftp://h", "https://", "https://h/ü", "https://h/a b"),
        *("https://h?x=1", "https://h/#f", "https://u:p@h", "https://h\\x", "//h"),
    ],
)
def test_public_urls(backend, url):
    """What no link can begin with is refused, and not shown."""
    with pytest.raises(InvalidConfig, match="public_url") as caught:
        signing(backend.bucket("jobs"), url)
    assert "u:p" not in str(caught.value)


def test_tokens_are_read_as_they_were_signed():
    """All of a grant comes back, and what it leaves out stays out."""
    signer = LinkSigner(KEY)
    bare = LinkGrant(
        method="GET", backend="mem", bucket="b", key="k", expires_at=GRANT.expires_at
    )
    for grant in (GRANT, bare):
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", signer.sign(grant))
        assert signer.read(signer.sign(grant)) == grant


@pytest.mark.parametrize("key", ["k" * 300, "k", "ünï" * 100])
def test_every_altered_token_is_refused(key):
    """Any character replaced, added or left out anywhere makes a token none."""
    signer = LinkSigner(KEY)
    token = signer.sign(
        LinkGrant(
            method="GET",
            backend="mem",
            bucket="b",
            key=key,
            expires_at=GRANT.expires_at,
        )
    )
    altered = {token[:at] + token[at + 1 :] for at in range(len(token))}
    for char in ALPHABET:
        altered |= {token[:at] + char + token[at + 1 :] for at in range(len(token))}
        altered |= {token[:at] + char + token[at:] for at in range(len(token) + 1)}
    altered.discard(token)
    assert len(altered) > 10_000
    for each in altered:
        with pytest.raises(AccessDenied):
            signer.read(each)


@pytest.mark.parametrize(
    "token",
    ["", ".", "x", "a.b", "=" * 50, "\0", "ü", "\ud800", "a." + "A" * 43, "x" * 10**6],
)
def test_what_is_no_token(token):
    """Nonsense is refused as what was altered is, and not shown."""
    with pytest.raises(AccessDenied) as caught:
        LinkSigner(KEY).read(token)
    assert not token or token not in str(caught.value) or len(token) == 1


def test_keys_are_rotated():
    """The key signs, it and the retired ones read, in whatever order they are given."""
    old, older = b"old-signing-key-0123456789", "older-signing-key-0123456789"
    signers = [LinkSigner(old), LinkSigner(older)]
    for retired in ([old, older], [older, old]):
        signer = LinkSigner(KEY, retired=retired)
        for each in signers:
            assert signer.read(each.sign(GRANT)) == GRANT
        assert LinkSigner(KEY).read(signer.sign(GRANT)) == GRANT
        with pytest.raises(AccessDenied):
            signers[0].read(signer.sign(GRANT))


def test_a_key_is_text_or_bytes():
    """The same key in either form reads what the other signed."""
    assert LinkSigner(KEY.decode()).read(LinkSigner(KEY).sign(GRANT)) == GRANT
