"""Equal creates make one write, and equal retrieves one read."""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest
from tests.stashes.slow import left_over, settle

from coatcheck import Config, TimeToIdle, TimeToLive, sync
from coatcheck.errors import (
    AtCapacity,
    BackendUnavailable,
    CoatcheckError,
    IntegrityError,
    Outcome,
    StashNotFound,
    Timeout,
)

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
TEXT = "t" * 200


class Together:
    """Calls that are under way at once, and what each brought."""

    def __init__(self, tasks):
        self._tasks = tasks
        self.results = []
        self.scopes = []

    async def start(self, *calls):
        for call in calls:
            scope = anyio.CancelScope()
            self.scopes.append(scope)
            self._tasks.start_soon(self._run, len(self.results), call, scope)
            self.results.append(None)
            # In this order, whatever order the loop is fond of.
            await settle(2)
        await settle()

    async def _run(self, number, call, scope):
        self.results[number] = "cancelled"
        with scope:
            try:
                self.results[number] = await call()
            except CoatcheckError as error:
                self.results[number] = error


@asynccontextmanager
async def together():
    async with anyio.create_task_group() as tasks:
        yield Together(tasks)


async def test_equal_creates_make_one_write(slow):
    """Each caller has a stash of its own, with data of its own."""
    async with slow.opened() as cc:
        slow.gates.hold("put")
        async with together() as calls:
            payloads = [{"rows": [TEXT, 1]} for _ in range(16)]
            await calls.start(*(lambda p=p: cc.create("n", p) for p in payloads))
            assert slow.calls["put"] == 1
            slow.gates.release("put")
        stashes = calls.results
        assert len({id(stash) for stash in stashes}) == 16
        assert len({id(stash.data["rows"]) for stash in stashes}) == 16
        stashes[0].data["rows"].clear()
        assert all(stash.data == {"rows": [TEXT, 1]} for stash in stashes[1:])
        assert (
            len({(each.address, each.created, each.deadline) for each in stashes}) == 1
        )
        assert dict(slow.calls) == {"put": 1}
        assert slow.told("put_coalesced") == 15
        # Each of them can act for itself.
        await stashes[7].delete()
        assert not await cc.exists(stashes[3].address)


async def test_what_is_not_equal_is_written(slow):
    """Another name, namespace, payload or digest is another stash."""
    mapped = {"default": "mem://a/", "other": "mem://a/", "third": "mem://a/x/"}
    async with slow.opened(backends=("inline", "mem")) as cc:
        slow.gates.hold("put")
        async with together() as calls:
            await calls.start(
                lambda: cc.create("n", TEXT),
                lambda: cc.create("m", TEXT),
                lambda: cc.create("n", TEXT, "other"),
                lambda: cc.create("n", TEXT + "!"),
                lambda: cc.create("n", 1),
            )
            assert slow.calls["put"] == 4
            slow.gates.release("put")
        datas = [stash.data for stash in calls.results]
        assert datas == [TEXT, TEXT, TEXT, TEXT + "!", 1]
        names = [(stash.name, stash.namespace) for stash in calls.results[:3]]
        assert names == [("n", "default"), ("m", "default"), ("n", "other")]
    slow.calls.clear()
    async with slow.opened(namespaces=mapped) as cc:
        slow.gates.hold("put")
        async with together() as calls:
            await calls.start(
                lambda: cc.create("n", TEXT),
                # The same place by another name, which its address keeps.
                lambda: cc.create("n", TEXT, "other"),
                lambda: cc.create("n", TEXT, "third"),
            )
            assert slow.calls["put"] == 2
            slow.gates.release("put")
        spaces = [stash.address.namespace for stash in calls.results]
        assert spaces == ["default", "other", "third"]


async def test_of_different_expiries_the_latest_holds(slow):
    """They are not equal, each is written, in whatever order they arrive."""
    policies = [TimeToLive(HOUR), TimeToIdle(2 * HOUR), None, TimeToLive(3 * HOUR)]
    for number, order in enumerate((policies, policies[::-1], policies[1::2])):
        name = f"n{number}"
        async with slow.opened() as cc:
            slow.gates.hold("put")
            async with together() as calls:
                await calls.start(
                    *(
                        lambda e=e: cc.create(name, TEXT, expires=e)  # noqa: B023
                        for e in order * 2
                    )
                )
                assert slow.calls["put"] == len(order)
                slow.gates.release("put")
            latest = None if None in order else slow.clock() + 3 * HOUR
            loaded = await cc.retrieve(calls.results[0].address)
            assert loaded.deadline == latest
            for stash, expires in zip(calls.results, order * 2, strict=True):
                own = None if expires is None else slow.clock() + expires.duration
                assert stash.deadline is None or (own and stash.deadline >= own)


async def test_a_create_lives_as_long_as_if_it_were_alone(slow):
    """A write that began too early for a caller's deadline is not enough for it."""
    live = TimeToLive(HOUR)
    async with slow.opened() as cc:
        slow.gates.hold("put")
        async with together() as calls:
            await calls.start(lambda: cc.create("n", TEXT, expires=live))
            slow.clock.advance(0.9)
            await calls.start(lambda: cc.create("n", TEXT, expires=live))
            slow.clock.advance(0.2)
            await calls.start(
                *(lambda: cc.create("n", TEXT, expires=live) for _ in range(3))
            )
            slow.gates.release("put")
        begun = slow.clock() - timedelta(seconds=1.1)
        deadlines = [stash.deadline for stash in calls.results]
        assert deadlines[:2] == [begun + HOUR] * 2
        assert deadlines[2:] == [slow.clock() + HOUR] * 3
        # One create, and one that finds it standing and extends it.
        assert (slow.calls["put"], slow.calls["update_info"]) == (2, 1)


async def test_a_failed_write_is_tried_once_more_for_the_others(slow):
    """Nobody fails of a write that began before he asked; then all fail of one."""
    async with slow.opened() as cc:
        slow.gates.hold("put")
        slow.gates.fail_next("put", AtCapacity("full"), None)
        async with together() as calls:
            await calls.start(*(lambda: cc.create("n", TEXT) for _ in range(5)))
            slow.gates.release("put")
        assert isinstance(calls.results[0], AtCapacity)
        assert [stash.data for stash in calls.results[1:]] == [TEXT] * 4
        assert slow.calls["put"] == 2
        await cc.delete(calls.results[1].address)
        slow.gates.hold("put")
        slow.gates.fail_next("put", AtCapacity("full"), AtCapacity("still full"))
        async with together() as calls:
            await calls.start(*(lambda: cc.create("n", TEXT) for _ in range(5)))
            slow.gates.release("put")
        told = [str(error) for error in calls.results]
        assert told == ["full", *["still full"] * 4]
        assert len({id(error) for error in calls.results}) == 5
        assert all("n." in error.address for error in calls.results)


async def test_a_cancelled_writer_hands_over(slow):
    """The others have their stash all the same, and it is stored."""
    async with slow.opened() as cc:
        slow.gates.hold("put")
        async with together() as calls:
            await calls.start(*(lambda: cc.create("n", TEXT) for _ in range(4)))
            calls.scopes[0].cancel()
            await settle()
            calls.scopes[1].cancel()
            calls.scopes[2].cancel()
            await settle()
            slow.gates.release("put")
        assert calls.results[:3] == ["cancelled"] * 3
        assert (await cc.retrieve(calls.results[3].address)).data == TEXT


async def test_a_thousand_retrieves_make_one_read(slow):
    """Each has decoded data of its own."""
    async with slow.opened() as cc:
        address = (await cc.create("n", {"rows": [TEXT]})).address
        slow.gates.hold("get")
        async with together() as calls:
            await calls.start(*(lambda: cc.retrieve(address) for _ in range(1000)))
            assert slow.calls["get"] == 1
            slow.gates.release("get")
        assert len({id(stash.data["rows"]) for stash in calls.results}) == 1000
        assert all(stash.data == {"rows": [TEXT]} for stash in calls.results)
        assert slow.calls["get"] == 1
        assert (slow.told("get"), slow.told("get_coalesced")) == (1, 999)
        assert (await cc.retrieve(address)).data == {"rows": [TEXT]}
        assert slow.calls["get"] == 2


async def test_the_first_calls_of_all_are_joined_too(slow):
    """Those who wait for the backend to open go on at the same moment."""
    async with slow.opened() as cc:
        address = (await cc.create("n", TEXT)).address
    async with slow.opened(warm=False) as cc:
        slow.gates.hold("get")
        async with together() as calls:
            await calls.start(*(lambda: cc.retrieve(address) for _ in range(100)))
            while not slow.calls["get"]:
                await settle(1)
            await settle()
            assert slow.calls["get"] == 1
            slow.gates.release("get")
        assert [stash.data for stash in calls.results] == [TEXT] * 100


async def test_who_opens_the_backend_may_be_cancelled(slow):
    """Somebody else opens it."""
    slow.may_open.clear()
    async with slow.opened(warm=False) as cc, together() as calls:
        await calls.start(*(lambda: cc.create("n", TEXT) for _ in range(10)))
        calls.scopes[0].cancel()
        await settle()
        slow.may_open.set()
    assert calls.results[0] == "cancelled"
    assert [stash.data for stash in calls.results[1:]] == [TEXT] * 9


async def test_a_cancelled_reader_leaves_the_others(slow):
    """The next in line reads; those who gave up are cancelled, nobody else is."""
    async with slow.opened() as cc:
        address = (await cc.create("n", TEXT)).address
        slow.gates.hold("get")
        async with together() as calls:
            await calls.start(*(lambda: cc.retrieve(address) for _ in range(10)))
            for number in (0, 5, 1):
                calls.scopes[number].cancel()
                await settle()
            assert slow.calls["get"] == 3
            slow.gates.release("get")
        for number, stash in enumerate(calls.results):
            if number in (0, 1, 5):
                assert stash == "cancelled"
            else:
                assert stash.data == TEXT


async def test_what_was_created_meanwhile_is_found(slow):
    """Who asks after the create is not told what was so before it."""
    async with slow.opened() as cc:
        address = (await cc.create("n", TEXT)).address
        await cc.delete(address)
        slow.gates.hold("get")
        slow.gates.fail_next("get", StashNotFound("not there yet"))
        async with together() as calls:
            await calls.start(lambda: cc.retrieve(address))
            await cc.create("n", TEXT)
            await calls.start(
                lambda: cc.retrieve(address), lambda: cc.retrieve(address)
            )
            slow.gates.release("get")
        assert isinstance(calls.results[0], StashNotFound)
        assert [stash.data for stash in calls.results[1:]] == [TEXT] * 2


async def test_what_was_created_elsewhere_meanwhile_is_found(slow):
    """Also when it is not this Coatcheck that creates it."""
    async with slow.opened() as cc, slow.opened() as other:
        address = (await cc.create("n", TEXT)).address
        await cc.delete(address)
        slow.gates.hold("get")
        slow.gates.fail_next("get", StashNotFound("not there yet"))
        async with together() as calls:
            await calls.start(lambda: cc.retrieve(address))
            await other.create("n", TEXT)
            await calls.start(
                lambda: cc.retrieve(address), lambda: cc.retrieve(address)
            )
            slow.gates.release("get")
        assert isinstance(calls.results[0], StashNotFound)
        assert [stash.data for stash in calls.results[1:]] == [TEXT] * 2
        assert slow.calls["get"] == 2


@pytest.mark.parametrize("verb", ["delete", "touch", "create"])
async def test_what_was_changed_meanwhile_is_read_anew(slow, verb):
    """A read that began before a change of ours is joined by nobody after it."""
    async with slow.opened() as cc:
        idle = TimeToIdle(HOUR)
        address = (await cc.create("n", TEXT, expires=idle)).address
        slow.gates.hold("get", first=1)
        async with together() as calls:
            await calls.start(lambda: cc.retrieve(address))
            slow.clock.advance(60)
            if verb == "create":
                await cc.create("n", TEXT)
            else:
                await getattr(cc, verb)(address)
            slow.calls.clear()
            await calls.start(lambda: cc.retrieve(address))
            assert slow.calls["get"] == 1
            slow.gates.release("get")
        now = slow.clock()
        found = calls.results[1]
        if verb == "delete":
            assert isinstance(found, StashNotFound)
        else:
            wanted = {"touch": now + HOUR, "create": None}[verb]
            assert found.deadline == wanted


async def test_a_delete_is_not_undone_by_a_write_under_way(slow):
    """Who creates after the delete writes, and does not join what it undid."""
    async with slow.opened() as cc:
        address = (await cc.create("n", TEXT)).address
        await cc.delete(address)
        slow.gates.hold("put")
        async with together() as calls:
            await calls.start(lambda: cc.create("n", TEXT))
            await cc.delete(address)
            await calls.start(lambda: cc.create("n", TEXT))
            assert slow.calls["put"] == 3
            slow.gates.release("put")
        assert [stash.data for stash in calls.results] == [TEXT] * 2


async def test_reads_that_wait_count_for_time_to_idle(slow):
    """When a renewal is due, those who joined read again, and see it renewed."""
    async with slow.opened() as cc:
        address = (await cc.create("n", TEXT, expires=TimeToIdle(HOUR))).address
        slow.clock.advance(HOUR / 2)
        slow.gates.hold("get")
        async with together() as calls:
            await calls.start(*(lambda: cc.retrieve(address) for _ in range(10)))
            slow.gates.release("get")
        assert [stash.data for stash in calls.results] == [TEXT] * 10
        assert (slow.calls["get"], slow.calls["update_info"]) == (2, 1)
        slow.clock.advance(HOUR - timedelta(seconds=1))
        assert await cc.exists(address)


async def test_renewals_that_fail_do_not_line_reads_up(slow):
    """A reader that may not write reads at most twice with all the others."""
    async with slow.opened() as cc:
        address = (await cc.create("n", TEXT, expires=TimeToIdle(HOUR))).address
        slow.clock.advance(HOUR / 2)
        slow.gates.hold("get")
        slow.gates.fail_next("update_info", *[BackendUnavailable("no")] * 100)
        async with together() as calls:
            await calls.start(*(lambda: cc.retrieve(address) for _ in range(100)))
            slow.gates.release("get")
        assert [stash.data for stash in calls.results] == [TEXT] * 100
        assert slow.calls["get"] == 2
        assert slow.told("touch_failed") == 2


async def test_nobody_is_given_what_expired_while_he_waited(slow):
    """The deadline counts when the body is there, and not when the read began."""
    async with slow.opened() as cc:
        address = (await cc.create("n", TEXT, expires=TimeToLive(HOUR))).address
        slow.gates.hold("read")
        async with together() as calls:
            await calls.start(*(lambda: cc.retrieve(address) for _ in range(3)))
            slow.clock.advance(HOUR)
            slow.gates.release("read")
        # The first looked before the deadline, as if it were alone.
        assert calls.results[0].data == TEXT
        assert all(isinstance(each, StashNotFound) for each in calls.results[1:])
        assert slow.calls["get"] == 2


async def test_links_and_streams_are_joined_too(slow):
    """A streamed stash is its bytes, which nobody can change."""
    async with slow.opened() as cc:
        stream = (await cc.create_stream("s", b"s" * 5000)).address
        slow.gates.hold("get")
        async with together() as calls:
            await calls.start(*(lambda: cc.retrieve(stream) for _ in range(5)))
            assert slow.calls["get"] == 1
            slow.gates.release("get")
        assert [stash.data for stash in calls.results] == [b"s" * 5000] * 5


async def test_damage_is_told_to_everybody(slow):
    """Twice it is read, and each has an error of his own with the address in it."""
    async with slow.opened() as cc:
        stash = await cc.create("n", TEXT)
        async with slow.behind() as bucket:
            await bucket.put(stash.address.key, b"x" * stash.size)
        slow.gates.hold("get")
        async with together() as calls:
            await calls.start(*(lambda: cc.retrieve(stash.address) for _ in range(9)))
            slow.gates.release("get")
        assert all(isinstance(each, IntegrityError) for each in calls.results)
        assert len({id(error) for error in calls.results}) == 9
        assert slow.calls["get"] == 2


async def test_types_are_each_callers_own(slow):
    """`as_type` is a matter of who asks, and its refusal too."""
    async with slow.opened() as cc:
        address = (await cc.create("n", [1] * 300)).address
        slow.gates.hold("get")
        async with together() as calls:
            await calls.start(
                lambda: cc.retrieve(address),
                lambda: cc.retrieve(address, as_type=list[int]),
                lambda: cc.retrieve(address, as_type=dict[str, int]),
                lambda: cc.retrieve(address, as_type=tuple[int, ...]),
            )
            slow.gates.release("get")
        plain, typed, refused, other = calls.results
        assert plain.data == typed.data == [1] * 300
        assert "dict" in str(refused)
        assert other.data == (1,) * 300
        assert slow.calls["get"] == 1


async def test_who_waits_for_a_turn_has_not_gone_deep(slow):
    """As many calls run as may, the others wait where they take little memory."""
    async with slow.opened(concurrency=4) as cc:
        slow.gates.hold("put")
        async with together() as calls:
            await calls.start(
                *(lambda n=n: cc.create(f"n{n}", TEXT) for n in range(20))
            )
            slots = cc._guards["mem"].slots.statistics()
            assert (slow.calls["put"], slots.tasks_waiting) == (4, 0)
            for scope in calls.scopes[2:10]:
                scope.cancel()
            await settle()
            assert slow.calls["put"] == 6
            slow.gates.release("put")
        names = [stash.name for stash in calls.results if stash != "cancelled"]
        assert names == ["n0", "n1", *(f"n{n}" for n in range(10, 20))]


async def test_the_wait_for_a_turn_has_a_deadline(slow):
    """What never began was not applied, and the error says so."""
    async with slow.opened(concurrency=1) as cc:
        cc._traffic._patience = 0.01
        slow.gates.hold("put")
        async with together() as calls:
            await calls.start(lambda: cc.create("a", TEXT))
            with pytest.raises(Timeout, match="no turn") as caught:
                await cc.create("b", TEXT)
            slow.gates.release("put")
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert "b." in caught.value.address
        assert calls.results[0].data == TEXT


@pytest.mark.parametrize("backends", [("inline", "mem"), ("mem",)])
async def test_memory_takes_no_part(place, backends):
    """What never waits has nothing to join."""
    if place.scheme != "mem":
        backends = ("inline",)
        backends += (place.scheme,)
    async with place.opened(backends=backends) as cc:

        async def refuse(*_, **__):
            raise AssertionError("joined")

        if place.scheme == "mem":
            cc._traffic.put = cc._traffic.get = refuse
        stash = await cc.create("n", TEXT)
        assert (await cc.retrieve(stash.address)).data == TEXT
        assert (await cc.create("n", 1)).data == 1


def test_threads_of_the_blocking_api_share(tmp_path):
    """All threads are callers of one loop, so that their creates are joined too."""
    events, results = [], []
    config = Config(backends=("file",), filesystem_root=str(tmp_path), durable=False)
    start = threading.Barrier(16)

    def create(cc):
        start.wait()
        stash = cc.create("n", [TEXT] * 10)
        results.append((stash, cc.retrieve(stash.address)))

    with sync.Coatcheck(config, observer=events.append) as cc:
        threads = [threading.Thread(target=create, args=(cc,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert left_over(cc._inner) == (0, 0, 0, 0)
    assert len(results) == 16
    assert all(stash == loaded for stash, loaded in results)
    assert len({id(loaded.data) for _, loaded in results}) == 16
    names = [event.name for event in events]
    for verb in ("put", "get"):
        assert names.count(verb) + names.count(f"{verb}_coalesced") >= 16
