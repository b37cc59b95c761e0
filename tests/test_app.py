"""The facade's lifetime: loops, threads, forks, closing, and no configuration."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading

import anyio
import pytest

import coatcheck
from coatcheck import Coatcheck, Config, sync
from coatcheck._default import _loops
from coatcheck.errors import (
    AccessDenied,
    BackendError,
    Closed,
    CoatcheckError,
    InvalidConfig,
    Unauthenticated,
    UnsupportedOperation,
)

TEXT = "t" * 200
MEM = Config(backends=("mem",))


def on_files(tmp_path):
    return Config(backends=("file",), filesystem_root=str(tmp_path / "root"))


async def every_verb(cc, address):
    """Yield calls of all verbs."""
    yield cc.create("n", TEXT)
    yield cc.create("n", 1)
    yield cc.create_many([("n", TEXT)])
    yield cc.create_stream("n", b"x")
    yield cc.retrieve(address)
    yield cc.retrieve("inline://ns/n?data=DA%3D%3D")
    yield cc.retrieve_many([address])
    yield cc.exists(address)
    yield cc.touch(address)
    yield cc.delete(address)
    yield cc.share(address)
    yield cc.reap()
    yield cc.check()
    yield cc.open(address).__aenter__()
    yield cc.download(address, "never")


@pytest.mark.asyncio
@pytest.mark.parametrize("state", ["new", "closed"])
async def test_every_verb_needs_an_open_instance(state):
    """Before it is entered, and after it was closed, every verb says so."""
    cc = Coatcheck(Config(backends=("inline", "mem")))
    if state == "closed":
        async with cc:
            pass
    async for call in every_verb(cc, "mem://ns/n." + "0" * 32):
        with pytest.raises(Closed, match="Coatcheck"):
            await call
    with pytest.raises(Closed):
        cc.scan()


@pytest.mark.asyncio
async def test_it_is_entered_once():
    """An instance is opened and closed once; closing again does nothing."""
    cc = Coatcheck(MEM)
    async with cc:
        with pytest.raises(Closed, match="already open"):
            await cc.__aenter__()
    await cc.aclose()
    with pytest.raises(Closed, match="make a new one"):
        await cc.__aenter__()


def test_another_loop_is_told_to_open_its_own():
    """An instance serves the loop that entered it."""
    cc = Coatcheck(MEM)

    async def enter():
        await cc.__aenter__()
        await cc.create("n", TEXT)

    async def use():
        async for call in every_verb(cc, "mem://ns/n." + "0" * 32):
            with pytest.raises(Closed, match="another event loop"):
                await call

    asyncio.run(enter())
    asyncio.run(use())


@pytest.mark.parametrize("where", ["instance", "module", "sync"])
def test_after_a_fork(where, tmp_path):
    """A child that goes on with its parent's instance is told so, and hangs nowhere."""
    code = f"""
import asyncio, os, sys, warnings
import coatcheck
from coatcheck import Coatcheck, Config, sync
from coatcheck.errors import Closed

warnings.simplefilter("ignore", DeprecationWarning)
config = Config(backends=("file",), filesystem_root={str(tmp_path / "root")!r})

def in_child(act):
    child = os.fork()
    if child == 0:
        try:
            os._exit(act())
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
            os._exit(9)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

async def instance():
    async with Coatcheck(config) as cc:
        await cc.create("n", "x" * 200)
        def act():
            try:
                cc.create("n", "x" * 200).send(None)
            except Closed as error:
                return 0 if "fork" in str(error) else 8
            return 7
        return in_child(act)

def module():
    asyncio.run(coatcheck.create("n", "x" * 200, config=config))
    def act():
        stash = asyncio.run(coatcheck.create("n", "x" * 200, config=config))
        return 0 if stash.data == "x" * 200 else 7
    return in_child(act)

def blocking():
    stash = sync.create("n", "x" * 200, config=config)
    def act():
        again = sync.create("n", "x" * 200, config=config)
        return 0 if again == sync.retrieve(stash.address, config=config) else 7
    return in_child(act)

where = {where!r}
code = asyncio.run(instance()) if where == "instance" else (
    module() if where == "module" else blocking())
sys.exit(code)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["module", "instance", "sync"])
async def test_without_configuration_the_error_says_what_to_set(how):
    """Within moments, and with the one line that runs on files instead."""

    async def create():
        if how == "module":
            await coatcheck.create("n", TEXT)
        elif how == "sync":
            await asyncio.to_thread(sync.create, "n", TEXT)
        else:
            async with Coatcheck() as cc:
                await cc.create("n", TEXT)

    with pytest.raises(Unauthenticated) as caught:
        await asyncio.wait_for(create(), 30)
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)
    line = 'coatcheck.Config(backends=("inline", "file"), filesystem_root="./coats")'
    assert line in str(caught.value)
    assert eval(line, {"coatcheck": coatcheck}).filesystem_root == "./coats"


@pytest.mark.asyncio
async def test_inline_needs_no_configuration():
    """What is small enough works everywhere."""
    stash = await coatcheck.create("n", 12)
    assert (await coatcheck.retrieve(stash.address)).data == 12


@pytest.mark.asyncio
async def test_a_wrong_environment_names_its_field(monkeypatch):
    """Module functions tell which variable is wrong."""
    monkeypatch.setenv("COATCHECK_MAX_INLINE_LEN", "many")
    with pytest.raises(InvalidConfig, match="max_inline_len"):
        await coatcheck.create("n", 1)


def test_module_functions_share_one_instance_for_each_loop():
    """It is opened on first use, and closed when the loop ends."""
    seen = []

    async def use():
        stashes = await asyncio.gather(
            *(coatcheck.create("n", TEXT, config=MEM) for _ in range(5))
        )
        instances = _loops[asyncio.get_running_loop()]
        assert list(instances.open) == [MEM]
        seen.append(instances.open[MEM])
        return stashes[0]

    first, second = asyncio.run(use()), asyncio.run(use())
    assert first == second
    assert seen[0] is not seen[1]
    assert not any(cc.is_open for cc in seen)
    assert not [loop for loop in _loops if loop.is_closed()]


def test_memory_behind_module_functions_is_one_store():
    """Two event loops, and the blocking API, see the same stashes."""
    stash = asyncio.run(coatcheck.create("shared", TEXT, config=MEM))
    loaded = asyncio.run(coatcheck.retrieve(stash.address, config=MEM))
    assert loaded == sync.retrieve(stash.address, config=MEM)
    with sync.Coatcheck(MEM) as cc:
        assert cc.exists(stash.address)


@pytest.mark.asyncio
async def test_all_module_functions(tmp_path):
    """Each does what the method of its name does."""
    config = on_files(tmp_path)
    (stash,) = await coatcheck.create_many([("n", TEXT)], config=config)
    stream = await coatcheck.create_stream("s", b"bytes", config=config)
    loaded = await coatcheck.retrieve_many([stash.address], config=config)
    assert loaded == [stash]
    async with coatcheck.open(stream.address, config=config) as reader:
        assert await reader.read() == b"bytes"
    await coatcheck.download(stream.address, tmp_path / "copy", config=config)
    assert await asyncio.to_thread((tmp_path / "copy").read_bytes) == b"bytes"
    names = [entry.address.name async for entry in coatcheck.scan(config=config)]
    assert names == ["n", "s"]
    assert await coatcheck.touch(stash.address, config=config) is None
    with pytest.raises(UnsupportedOperation):
        await coatcheck.share(stash.address, config=config)
    await coatcheck.check(config=config)
    await coatcheck.delete(stash.address, config=config)
    assert not await coatcheck.exists(stash.address, config=config)
    assert (await coatcheck.reap(config=config)).scanned == 1


@pytest.mark.asyncio
async def test_unpickled_stashes_use_the_default_instance(tmp_path, monkeypatch):
    """A stash that came from elsewhere can delete itself."""
    monkeypatch.setenv("COATCHECK_BACKENDS", "file")
    monkeypatch.setenv("COATCHECK_FILESYSTEM_ROOT", str(tmp_path / "root"))
    stash = await coatcheck.create("n", TEXT)
    await pickle.loads(pickle.dumps(stash)).delete()
    assert not await coatcheck.exists(stash.address)


def test_the_blocking_api_from_many_threads(tmp_path):
    """Threads share one instance; each gets its own answers."""
    failures = []

    def work(cc, me):
        try:
            for number in range(10):
                stash = cc.create(f"n{me}-{number}", [me, number] * 50)
                assert cc.retrieve(str(stash.address)).data == [me, number] * 50
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    with sync.Coatcheck(on_files(tmp_path)) as cc:
        threads = [threading.Thread(target=work, args=(cc, me)) for me in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(list(cc.scan())) == 80


@pytest.mark.asyncio
async def test_the_blocking_api_in_a_thread_with_a_loop(tmp_path):
    """It blocks this loop, and works."""
    with sync.Coatcheck(on_files(tmp_path)) as cc:
        stash = cc.create("n", TEXT)
        with cc.open(stash.address) as reader:
            assert len(b"".join(reader)) == stash.size
        for entry in cc.scan():
            assert entry.address == stash.address
            break
        stash.delete()


def test_the_blocking_api_refuses_its_own_thread():
    """A callback that calls back would wait for itself, and is told."""
    caught = []

    def progress(_):
        try:
            sync.create("n", TEXT, config=MEM)
        except UnsupportedOperation as error:
            caught.append(str(error))

    sync.create_stream("s", b"x", config=MEM, progress=progress)
    assert "its own event loop's thread" in caught[0]


@pytest.mark.parametrize("scheme", ["mem", "file"])
def test_the_facade_under_trio(scheme, tmp_path):
    """An instance of one's own runs on trio as it does on asyncio."""
    config = Config(backends=(scheme,), filesystem_root=str(tmp_path / "root"))

    async def use():
        async with Coatcheck(config) as cc:
            await cc.check()
            stashes = await cc.create_many([(f"n{i}", [i] * 100) for i in range(20)])
            loaded = await cc.retrieve_many([stash.address for stash in stashes])
            assert loaded == stashes
            stream = await cc.create_stream("s", bytes(1_500_000))
            async with cc.open(stream.address) as reader:
                assert sum([len(chunk) async for chunk in reader]) == 1_500_000
            with anyio.move_on_after(0):
                await cc.create("cancelled", TEXT)
            assert len([entry async for entry in cc.scan(prefix="n")]) == 20
            assert (await cc.reap()).deleted == 0

    anyio.run(use, backend="trio")


@pytest.mark.asyncio
async def test_a_root_that_cannot_be_used(tmp_path):
    """The first call says what is wrong with the folder, and so does check."""
    (tmp_path / "file").write_text("in the way")
    config = Config(backends=("file",), filesystem_root=str(tmp_path / "file" / "root"))
    async with Coatcheck(config) as cc:
        for call in (cc.check(), cc.create("n", TEXT)):
            with pytest.raises(CoatcheckError) as caught:
                await call
            assert isinstance(caught.value, BackendError | AccessDenied) or str(
                caught.value
            )
            assert "root" in str(caught.value)


@pytest.mark.asyncio
async def test_events_reach_the_observer():
    """Every operation on a stored stash is told, with key and kind of error."""
    events = []
    async with Coatcheck(MEM, observer=events.append) as cc:
        stash = await cc.create("n", TEXT)
        await cc.retrieve(stash.address)
        await cc.delete(stash.address)
    told = [(event.name, event.key) for event in events]
    assert told == [(verb, stash.address.key) for verb in ("put", "get", "delete")]


def test_the_interpreter_ends(tmp_path):
    """Neither an open instance nor the blocking API keeps a script alive."""
    code = f"""
from coatcheck import sync
config = sync.Config(backends=("file",), filesystem_root={str(tmp_path / "root")!r})
cc = sync.Coatcheck(config).__enter__()
print(cc.create("n", "x" * 200).address)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("file://default/n.")
    assert os.listdir(tmp_path / "root" / "default")
