"""Links that were altered, swapped, forged or used for something else."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string
from datetime import timedelta
from urllib.parse import unquote

import pytest
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer
from tests.service.conftest import KEY

from coatcheck.abc import SignGet, SignPut
from coatcheck.errors import InvalidConfig, StashNotFound
from coatcheck.service import create_links_app
from coatcheck.wrappers import LinkSigner, linked

pytestmark = pytest.mark.asyncio
SECRET = b"canary of the payload" * 10
CHANGED = (403, "link_changed")
OTHER = (403, "link_of_something_else")
NOT_A_READ = ("PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE")


async def shared(it, name="report"):
    """Return a link to a stash that holds the secret."""
    stash = await it.cc.create(name, SECRET, "jobs")
    return str(await stash.share(ttl_sec=60))


async def test_a_link_is_for_one_method(services):
    """A link to read does not write, one to write does not read, and neither deletes."""
    async with services.opened() as it:
        link = await shared(it)
        put = (await it.signed(SignPut(), "new")).url
        assert await it.code("PUT", link, data=b"x") == OTHER
        assert await it.code("GET", put) == OTHER
        assert (await it.answer("HEAD", put))[0] == 403
        for method in NOT_A_READ[1:]:
            for url in (link, put):
                status, headers, _ = await it.answer(method, url)
                assert (status, headers["allow"]) == (405, "GET, HEAD, PUT")
        assert (await it.answer("GET", link))[0] == 200


async def test_a_link_is_for_one_object(services):
    """Neither key nor bucket of a link can be replaced, nor its token by another's."""
    async with services.opened() as it:
        one, two = await shared(it, "one"), await shared(it, "two")
        for bucket in ("jobs", "other"):
            await (await it.bucket(bucket)).put("k", SECRET)
        signed = await it.signed(SignGet(), "k", bucket="jobs")
        path, _, query = one.partition("?")
        for url in (
            f"{path}?{two.partition('?')[2]}",
            f"{two.partition('?')[0]}?{query}",
            signed.url.replace("/jobs/", "/other/"),
            signed.url.replace("/jobs/k", "/jobs/other/../k"),
            signed.url.replace("/jobs/k", "/jobs//k"),
            signed.url.replace("/jobs/k", "/jobs/k/"),
            signed.url.replace("/jobs/k", "/jobs/K"),
            signed.url.replace("/jobs/k", "/jobs/"),
            signed.url.replace("/jobs/k", "/k"),
        ):
            assert await it.code("GET", url) == OTHER
        with pytest.raises(StashNotFound, match="changed since it was signed"):
            await it.cc.retrieve(f"{path}?{two.partition('?')[2]}")


async def test_a_link_of_another_backend(services):
    """A token names its backend, and one that is not configured has no objects."""
    async with services.opened() as it:
        link = await shared(it)
        other = "file" if services.scheme == "mem" else "mem"
        for scheme in (other, "s3", "https", "inline", "ftp"):
            token = forged(link, KEY, backend=scheme)
            url = f"{link.partition('?')[0]}?t={token}"
            assert await it.code("GET", url) == (404, "object_not_found")


def forged(
    link, key, *, salt=b"coatcheck.links", serializer=URLSafeSerializer, **changes
):
    """Return the token of a link with other fields, signed with a key."""
    signer = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    right = URLSafeSerializer(KEY, salt=b"coatcheck.links", signer_kwargs=signer)
    fields = right.loads(link.partition("?t=")[2]) | changes
    return serializer(key, salt=salt, signer_kwargs=signer).dumps(fields)


async def test_forged_tokens(services):
    """Only the service's own key signs, and only for links."""
    async with services.opened() as it:
        link = await shared(it)
        path = link.partition("?")[0]
        assert (await it.answer("GET", f"{path}?t={forged(link, KEY)}"))[0] == 200
        fields = URLSafeSerializer("any").load_payload(
            link.partition("?t=")[2].rpartition(".")[0].encode()
        )
        plain = (
            base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
        )
        for token in (
            forged(link, "another-signing-key-0123456789"),
            forged(link, KEY[:-1]),
            forged(link, KEY, salt=b"other"),
            forged(link, KEY, salt=b"itsdangerous"),
            forged(link, KEY, serializer=URLSafeTimedSerializer),
            *(forged(link, KEY).replace(".", ".."), forged(link, KEY) + "." + "A" * 43),
            URLSafeSerializer(KEY).dumps(fields),
            URLSafeSerializer(KEY, salt=b"coatcheck.links").dumps(fields),
            f"{plain}.",
            plain,
            f".{plain}",
        ):
            assert await it.code("GET", f"{path}?t={token}") == CHANGED


async def test_malformed_tokens(services):
    """Whatever stands for a token and is none is refused with the reason."""
    async with services.opened() as it:
        link = await shared(it)
        path, _, token = link.partition("?t=")
        payload, _, signature = token.rpartition(".")
        for query in (
            *("", "t=", "t", "t=.", "t=..", "t=x", "t=.x", "t=x.", "T=" + token),
            *(f"t={payload}", f"t={payload}.", f"t=.{signature}", f"t={signature}"),
            *(
                f"t={token}.",
                f"t=.{token}",
                f"t={token}=",
                f"t={token}==",
                f"t={token}A",
            ),
            *(f"t={payload}.{signature[:-1]}", f"t={payload}.{signature[::-1]}"),
            *(
                f"t={payload}..{signature}",
                f"t={signature}.{payload}",
                f"t={token}.{token}",
            ),
            *(f"t={token}&", f"&t={token}", f"t={token}&t={token}", f"t={token}&x=1"),
            *(
                f"t={token}&t=x",
                f"x=1&t={token}",
                f"t={token};",
                f"t=%{ord(token[0]):02x}{token[1:]}",
            ),
            *(
                f"t={token}%00",
                f"t={token}%20",
                f"t={token}+",
                f"t=+{token}",
                "t=" + "A" * 9000,
            ),
            *(
                f"t={token.swapcase()}",
                f"t={token}%ff",
                f"t=%ff{token}",
                f"token={token}",
            ),
            *(
                "t=" + "." * 5000,
                "t=" + "e" * 5000 + "." + signature,
                "t=eyJ9.x",
                "t=.eJx.x",
            ),
        ):
            url = f"{path}?{query}" if query else path
            assert await it.code("GET", url) == CHANGED, query
        assert (await it.answer("GET", link))[0] == 200


async def test_mutated_links(on_memory):
    """Of 2000 random mutations of a sound link every one is refused."""
    chance = random.Random(11)
    alphabet = string.ascii_letters + string.digits + "-_.~%/?&=+;:@!$'()*,"
    async with on_memory.opened() as it:
        link = await shared(it, "ünï cødé+%;")
        origin, target = link[: link.index("/v1/")], link[link.index("/v1/") :]
        refused = 0
        while refused < 2000:
            mutant = mutated(target, chance, alphabet)
            if means(mutant) == means(target):
                continue
            status, _, body = await it.answer("GET", origin + mutant)
            assert status in (400, 403, 404), mutant
            assert b"canary" not in body
            refused += 1
        assert (await it.answer("GET", link))[0] == 200


def mutated(text, chance, alphabet):
    """Replace, insert, drop, swap or repeat something, perhaps twice."""
    for _ in range(chance.choice((1, 1, 1, 2))):
        at = chance.randrange(2, len(text) - 1)
        other = chance.choice(alphabet)
        size = chance.choice((1, 1, 1, 5, 40))
        text = chance.choice(
            (
                text[:at] + other + text[at + 1 :],
                text[:at] + other + text[at + 1 :],
                text[:at] + other + text[at:],
                text[:at] + text[at + size :],
                text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :],
                text[:at] + text[at : at + size] + text[at:],
                text[:at] + text[at].swapcase() + text[at + 1 :],
            )
        )
    return text


def means(target):
    """Return what a target stands for: its path is escaped one way or another."""
    path, _, query = target.partition("?")
    return unquote(path), query


async def test_keys_are_rotated(services):
    """A link outlives the change of the key while the old one is still read."""
    old = "old-signing-key-0123456789"
    async with services.opened(signing_key=old) as it:
        link = await shared(it)
    target = link[link.index("/v1/") :]
    for retired, status in (([old], 200), ([], 403), ([old[:-1]], 403)):
        async with services.opened(retired_signing_keys=retired) as it:
            origin = str(it.cc.config.public_url)
            assert (await it.answer("GET", origin + target))[0] == status
            # New links are signed with the new key alone.
            fresh = await shared(it, "fresh")
            assert LinkSigner(KEY).read(fresh.partition("?t=")[2]).method == "GET"


async def test_signing_keys_have_their_length(services):
    """Too short a key is refused where it is given, and none is an error of its own."""
    for key in ("", "short", b"x" * 15, "ü" * 7):
        with pytest.raises(InvalidConfig, match="at least 16 bytes") as caught:
            LinkSigner(key)
        assert not key or str(key) not in str(caught.value)
        with pytest.raises(InvalidConfig):
            LinkSigner(KEY, retired=[key])
    assert LinkSigner(b"x" * 16)
    with pytest.raises(InvalidConfig, match=r"Config\.signing_key"):
        create_links_app(services.config(signing_key=None))


async def test_expired_tells_less_than_sound(services):
    """A token is held against its signature before anything in it counts."""
    async with services.opened() as it:
        link = await shared(it)
        it.clock.advance(timedelta(hours=1))
        assert await it.code("GET", link) == (403, "link_expired")
        assert await it.code("GET", link + "x") == CHANGED
        token = forged(link, "another-signing-key-0123456789", exp=10**17)
        assert await it.code("GET", f"{link.partition('?')[0]}?t={token}") == CHANGED


async def test_nothing_of_a_link_is_logged(services, caplog, capfd):
    """Servers log requests with their queries; a link's query is its secret."""
    async with services.opened(server={"log_level": "info", "access_log": True}) as it:
        link = await shared(it)
        put = (await it.signed(SignPut(), "new")).url
        for method in ("GET", "HEAD", *NOT_A_READ):
            for url in (link, put, link + "x"):
                await it.answer(method, url)
    output = caplog.text + "".join(capfd.readouterr())
    assert output.count("/v1/links/jobs/report.") >= 10
    for url in (link, put):
        for part in url.partition("?t=")[2].split("."):
            assert not part or part not in output


async def test_what_a_linked_bucket_signs_is_answered_anywhere(services):
    """Links are values: another process with the key makes and reads the same."""
    async with services.opened() as it:
        await shared(it)
        bucket = linked(
            (await it.bucket("jobs")).inner,
            public_url=it.cc.config.public_url,
            signer=LinkSigner(KEY.encode()),
        )
        await bucket.put("k", SECRET)
        signed = await bucket.sign(SignGet(), "k", expires_in=timedelta(seconds=1))
        assert (await it.answer(signed.method, signed.url))[0] == 200
