"""What sessions promise about scopes, listings, copies, batches and lifetimes."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta

import pytest
from tests.objects.stage import MIB, case, fetched, keys, pattern, stream

from coatcheck.errors import (
    Closed,
    InvalidInput,
    InvalidName,
    ObjectNotFound,
    UnsupportedOperation,
)
from coatcheck.objects import (
    BatchResult,
    ByteSpan,
    Delete,
    Get,
    Head,
    Put,
    TimeToIdle,
    TimeToLive,
    Usecase,
)

HOUR = timedelta(hours=1)
USECASE = Usecase("attachments")


class ScopesCases:
    """Usecases and scopes keep objects apart."""

    @case
    async def test_scopes_are_apart(self, it):
        """The same key is another object in another scope, and in another usecase."""
        sessions = [
            it.client.session(USECASE),
            it.client.session(USECASE, org=1),
            it.client.session(USECASE, org=10),
            it.client.session(USECASE, org=1, project=2),
            it.client.session(USECASE, project=2, org=1),
            it.client.session(USECASE, org="1.project.2"[:1], team=2),
            it.client.session(Usecase("other"), org=1),
        ]
        for number, session in enumerate(sessions):
            await session.put(b"%d" % number, "key")
        for number, session in enumerate(sessions):
            assert await session.get_bytes("key") == b"%d" % number
            assert await keys(session) == ["key"]
        await sessions[1].delete("key")
        present = [await session.exists("key") for session in sessions]
        assert present == [True, False, *[True] * 5]

    @case
    async def test_equal_scopes_are_one(self, it):
        """Sessions with equal names and values see the same objects."""
        key = await it.client.session(USECASE, org=1, live=True).put(b"x")
        again = it.client.session(Usecase("attachments"), org="1", live="True")
        assert await again.get_bytes(key) == b"x"

    @case
    async def test_a_scope_is_not_listed_by_the_one_above(self, it):
        """Whoever may list an organisation sees nothing of its projects."""
        org = it.client.session(USECASE, org=1)
        project = it.client.session(USECASE, org=1, project=2)
        await org.put(b"x", "of-the-org")
        await project.put(b"x", "of-the-project")
        assert await keys(org) == ["of-the-org"]
        assert await keys(project) == ["of-the-project"]

    @case
    async def test_keys_do_not_leave_their_scope(self, it):
        """A key that looks like a scope's path is a key."""
        outer = it.client.session(USECASE, org=1)
        inner = it.client.session(USECASE, org=1, project=2)
        await inner.put(b"inner", "key")
        await outer.put(b"outer", "project.2/objects/key")
        assert await inner.get_bytes("key") == b"inner"
        assert await outer.get_bytes("project.2/objects/key") == b"outer"
        assert await keys(outer) == ["project.2/objects/key"]

    @case
    async def test_all_characters_of_scopes(self, it):
        """What the grammar admits works."""
        session = it.client.session(Usecase("a-_B9" * 12), **{"a-_()$!+'": "Z-_()$!+'"})
        key = await session.put(b"x")
        assert await session.get_bytes(key) == b"x"
        assert await keys(session) == [key]

    @case
    async def test_bad_scopes_are_refused(self, it):
        """Empty, odd and missing values are refused before anything is sent."""
        for value in ("", "a/b", "a;b", "a=b", "..", "a.b", " ", "\u00e9", None, 1.5):
            with pytest.raises(InvalidName):
                it.client.session(USECASE, org=value)


class DeletesCases:
    """Deleting."""

    @case
    async def test_deleting(self, it):
        """What was deleted is gone, and only that."""
        await it.session.put(b"x", "one")
        await it.session.put(b"x", "two")
        await it.session.delete("one")
        assert await keys(it.session) == ["two"]
        with pytest.raises(ObjectNotFound):
            await it.session.get_bytes("one")

    @case
    async def test_deleting_nothing(self, it):
        """An absent object is deleted with success, again and again."""
        key = await it.session.put(b"x")
        for _ in range(3):
            await it.session.delete(key)
        await it.session.delete("never-there")

    @case
    async def test_putting_after_deleting(self, it):
        """A key may be used again."""
        await it.session.put(b"one", "key", metadata={"a": "b"})
        await it.session.delete("key")
        await it.session.put(b"two", "key")
        assert await it.session.get_bytes("key") == b"two"
        assert (await it.session.head("key")).custom == {}


class ScansCases:
    """Listing."""

    @case
    async def test_objects_are_listed_in_order(self, it):
        """All keys come once, as the session knows them, with their sizes."""
        names = [f"k{number:03d}" for number in range(40)]
        for name in reversed(names):
            await it.plain().put(name.encode() * 2, name)
        entries = [entry async for entry in it.plain().scan()]
        assert [entry.key for entry in entries] == names
        assert {entry.size for entry in entries} == {8}
        assert all(entry.etag for entry in entries)

    @case
    async def test_listing_a_part(self, it):
        """By prefix, and from a key on, which is left out itself."""
        for name in ("a", "a/1", "a/2", "ab", "b", "b/1"):
            await it.session.put(b"x", name)
        assert await keys(it.session, "a/") == ["a/1", "a/2"]
        assert await keys(it.session, "b/1") == ["b/1"]
        assert await keys(it.session, "c") == []
        assert await keys(it.session, start_after="ab") == ["b", "b/1"]
        assert await keys(it.session, "a", start_after="a/1") == ["a/2", "ab"]
        assert await keys(it.session, start_after="zzz") == []

    @case
    async def test_an_empty_scope_lists_nothing(self, it):
        """Nothing is there before the first put."""
        assert await keys(it.session) == []
        assert await keys(it.client.session(Usecase("never-used"), org=1)) == []

    @case
    async def test_listings_may_be_left_early(self, it):
        """Who has seen enough closes the iterator."""
        for number in range(5):
            await it.session.put(b"x", f"k{number}")
        async with aclosing(it.session.scan()) as entries:
            async for entry in entries:
                assert entry.key == "k0"
                break
        assert len(await keys(it.session)) == 5

    @case
    async def test_bad_prefixes_are_refused(self, it):
        """What no key begins with is an error."""
        for prefix in ("a\0", "\ud800", "e\u0301", "x" * 2000):
            with pytest.raises(InvalidName):
                await keys(it.session, prefix)


class CopiesCases:
    """Copying."""

    @case
    async def test_copies(self, it):
        """A copy has the bytes and metadata, stored alike, and its own creation."""
        body = pattern(700_000)
        await it.session.put(
            body, "key", content_type="text/plain", origin="o", metadata={"a": "b"}
        )
        original = await it.session.head("key")
        it.clock.advance(60)
        assert await it.session.copy("key", "copy") == "copy"
        copied = await it.session.head("copy")
        assert await it.session.get_bytes("copy") == body
        assert copied.time_created == it.now
        for name in ("content_type", "compression", "origin", "size", "custom"):
            assert getattr(copied, name) == getattr(original, name)
        await it.session.delete("key")
        assert await it.session.get_bytes("copy") == body

    @case
    async def test_copies_get_keys(self, it):
        """Without a key a copy gets a new one."""
        key = await it.session.put(b"x")
        copies = {await it.session.copy(key), await it.session.copy(key)}
        assert len(copies | {key}) == 3
        assert len(await keys(it.session)) == 3

    @case
    async def test_copies_go_to_other_sessions(self, it):
        """A copy may stand in another scope and usecase."""
        target = it.client.session(Usecase("archive"), org=7)
        key = await it.session.put(b"x" * 1000, metadata={"a": "b"})
        await it.session.copy(key, key, to=target)
        assert await target.get_bytes(key) == b"x" * 1000
        assert (await target.head(key)).custom == {"a": "b"}

    @case
    async def test_copies_replace(self, it):
        """What stands under the copy's key gives way; onto itself works too."""
        await it.session.put(b"one", "one", metadata={"is": "one"})
        await it.session.put(b"two", "two")
        await it.session.copy("one", "two")
        assert await it.session.get_bytes("two") == b"one"
        await it.session.copy("one", "one")
        assert await it.session.get_bytes("one") == b"one"
        assert (await it.session.head("one")).custom == {"is": "one"}

    @case
    async def test_copies_expire_by_themselves(self, it):
        """A copy's policy is the source's and counts from the copying, or another."""
        session = it.expiring(TimeToLive(HOUR))
        await session.put(b"x", "key")
        it.clock.advance(HOUR / 2)
        await session.copy("key", "same")
        await session.copy("key", "never", expiration_policy=None)
        await session.copy("key", "idle", expiration_policy=TimeToIdle(2 * HOUR))
        assert (await session.head("same")).time_expires == it.now + HOUR
        assert (await session.head("never")).time_expires is None
        assert (await session.head("idle")).time_expires == it.now + 2 * HOUR
        it.clock.advance(HOUR / 2)
        assert await keys(session) == ["idle", "never", "same"]

    @case
    async def test_what_is_absent_or_over_is_not_copied(self, it):
        """There is nothing to copy."""
        session = it.expiring(TimeToLive(HOUR))
        await session.put(b"x", "key")
        it.clock.advance(HOUR)
        for key in ("key", "absent"):
            with pytest.raises(ObjectNotFound):
                await session.copy(key, "copy")
        assert not await session.exists("copy")


class BatchesCases:
    """Many operations at once."""

    @case
    async def test_results_keep_the_order(self, it):
        """Each result stands where its operation stood, whatever the outcome."""
        await it.session.put(b"one" * 1000, "one", metadata={"n": "1"})
        await it.session.put(b"two", "two")
        await it.session.put(b"three", "three")
        results = await it.session.many(
            [
                Get("one"),
                Head("two"),
                Put(b"four", "four", content_type="text/plain"),
                Get("absent"),
                Delete("three"),
                Delete("absent"),
                Head("absent"),
                Put(b"x", "a//b"),
            ]
        )
        assert [each.key for each in results] == [
            *("one", "two", "four", "absent", "three", "absent", "absent", "a//b")
        ]
        assert results[0].payload == b"one" * 1000
        assert results[0].metadata.custom == {"n": "1"}
        assert results[0].metadata.compression is None
        assert results[1].metadata.content_type == "application/octet-stream"
        assert [type(each.error) for each in results] == [
            *(type(None), type(None), type(None), ObjectNotFound),
            *(type(None), type(None), ObjectNotFound, InvalidName),
        ]
        assert await keys(it.session) == ["four", "one", "two"]
        assert (await it.session.head("four")).content_type == "text/plain"

    @case
    async def test_results_can_be_unwrapped(self, it):
        """A result gives itself, or raises its operation's error."""
        good, bad = await it.session.many([Put(b"x"), Get("absent")])
        assert isinstance(good.unwrap(), BatchResult)
        assert await it.session.get_bytes(good.key) == b"x"
        with pytest.raises(ObjectNotFound):
            bad.unwrap()

    @case
    async def test_batches_may_be_long(self, it):
        """Operations are taken one by one from a generator, a bounded number at once."""
        results = await it.session.many(
            (Put(b"%d" % number, f"k{number:03d}") for number in range(60)), at_once=8
        )
        assert [each.key for each in results] == [f"k{n:03d}" for n in range(60)]
        results = await it.session.many(Get(f"k{n:03d}") for n in range(60))
        assert [each.payload for each in results] == [b"%d" % n for n in range(60)]
        await it.session.many(Delete(f"k{n:03d}") for n in range(60))
        assert await keys(it.session) == []

    @case
    async def test_batches_put_as_put_does(self, it):
        """Every option of a put counts in a batch, large and flowing bodies too."""
        session = it.expiring(TimeToLive(HOUR))
        body = pattern(2 * MIB)
        results = await session.many(
            [
                Put(b"0" * 1000, "default"),
                Put(b"0" * 1000, "plain", compression="none"),
                Put(b"0", "kept", expiration_policy=None, origin="o", filename="f"),
                Put(body, "large", metadata={"a": "b"}),
                Put(stream(body, 300_000), "flowing"),
            ]
        )
        assert [each.error for each in results] == [None] * 5
        assert (await session.head("default")).compression == "zstd"
        assert (await session.head("default")).time_expires == it.now + HOUR
        assert (await session.head("plain")).size == 1000
        kept = await session.head("kept")
        assert (kept.time_expires, kept.origin, kept.filename) == (None, "o", "f")
        large, flowing = await session.many([Get("large"), Get("flowing")])
        assert large.payload == flowing.payload == body
        assert large.metadata.custom == {"a": "b"}

    @case
    async def test_an_empty_batch(self, it):
        """Nothing to do has no results."""
        assert await it.session.many([]) == []


class LinksCases:
    """URLs and tokens."""

    @case
    async def test_links_read_one_object(self, it):
        """Where the storage can sign, a URL gives the stored bytes to anybody."""
        key = await it.plain().put(b"for everybody", "shared/k e+y%")
        if not it.subject.signs:
            with pytest.raises(UnsupportedOperation):
                await it.plain().presigned_object_url("GET", key)
            return
        url = await it.plain().presigned_object_url("GET", key)
        status, body = await fetched(url)
        assert (status, body) == (200, b"for everybody")
        status, _ = await fetched(url.replace("everybody", "x")[:-8])
        assert status in (400, 401, 403)

    @case
    async def test_links_are_for_reading(self, it):
        """Other methods and longer times than a week are refused."""
        key = await it.session.put(b"x")
        for method in ("PUT", "DELETE", "get", ""):
            with pytest.raises(InvalidInput):
                await it.session.presigned_object_url(method, key)
        if it.subject.signs:
            with pytest.raises(InvalidInput):
                await it.session.presigned_object_url("GET", key, timedelta(days=8))

    @case
    async def test_urls_are_the_services(self, it):
        """Only a service has URLs for its objects."""
        if not it.subject.serves:
            with pytest.raises(UnsupportedOperation):
                it.session.object_url("key")
            return
        url = it.session.object_url("a b/c")
        assert url.endswith("/v1/objects/attachments/org=1;project=2/a%20b/c")
        assert url.startswith(it.client.service_url)


class LifetimeCases:
    """Opening and closing clients."""

    @case
    async def test_closed_clients_do_nothing(self, it):
        """Every verb of a session says that its client is closed; closing repeats."""
        key = await it.session.put(b"x")
        await it.client.aclose()
        await it.client.aclose()
        for call in (
            lambda: it.session.put(b"x"),
            lambda: it.session.get_bytes(key),
            lambda: it.session.head(key),
            lambda: it.session.delete(key),
            lambda: it.session.copy(key),
            lambda: it.session.many([]),
            lambda: it.session.extend_expiry(key, from_now=HOUR),
            it.session.initiate_multipart_upload,
            lambda: keys(it.session),
        ):
            with pytest.raises(Closed):
                await call()

    @case
    async def test_clients_are_entered_once(self, it):
        """A client that was entered, or closed, is not entered again."""
        with pytest.raises(Closed):
            await it.client.__aenter__()
        other = it.make_client()
        session = other.session(USECASE)
        with pytest.raises(Closed):
            await session.put(b"x")
        async with other:
            await session.put(b"x", "key")
        with pytest.raises(Closed):
            await other.__aenter__()

    @case
    async def test_every_client_sees_what_others_wrote(self, it):
        """What was acknowledged is there for the next client, with its metadata."""
        key = await it.session.put(b"x", metadata={"a": "b"})
        before = await it.session.head(key)
        async with it.make_client() as other:
            session = other.session(USECASE, org=1, project=2)
            assert await session.head(key) == before
            await session.delete(key)
        assert not await it.session.exists(key)

    @case
    async def test_clients_are_ready(self, it):
        """A check passes and leaves nothing."""
        await it.client.check()
        assert await keys(it.session) == []

    @case
    async def test_options_change_nothing_that_is_stored(self, it):
        """A client with other limits, and metrics, does the same."""
        names = []

        class Metrics:
            def increment(self, name, value=1, tags=None):
                names.append(name)

            def gauge(self, name, value, tags=None):
                names.append(name)

            def distribution(self, name, value, tags=None, unit=None):
                assert value >= 0
                names.append((name, (tags or {}).get("compression"), unit))

        async with it.make_client(
            timeout_ms=20_000,
            retries=0,
            metrics_backend=Metrics(),
            propagate_traces=True,
        ) as client:
            session = client.session(USECASE, org=1)
            key = await session.put(b"0" * 1000)
            assert await session.get_bytes(key, byte_range=ByteSpan(0, 3)) == b"000"
            await session.delete(key)
        assert ("storage.put.latency", None, None) in names
        assert ("storage.put.size", "none", "byte") in names
        assert ("storage.put.size", "zstd", "byte") in names
        assert ("storage.put.compression_ratio", "zstd", None) in names
        assert {"storage.get.latency", "storage.delete.latency"} <= {
            n for n, *_ in names
        }
