"""Kills processes at every system call and at random moments, and looks at the rest.

Run as a script by `test_kills.py`. This process never opens a backend itself: each
act is a forked child, so that what it kills is one act and what it looks at is the
disk alone. Prints one JSON object with what was done.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from coatcheck import Coatcheck, Config, TimeToIdle, TimeToLive
from coatcheck._core.objects import PutInfo
from coatcheck.backends import _filesystem
from coatcheck.backends._filesystem import _backend
from coatcheck.errors import ObjectNotFound, StashNotFound

NAMESPACE = "jobs"
HOUR = timedelta(hours=1)
OLD, NEW = b"old" * 20_000, b"new" * 30_000
CALLS = sorted(name for name in vars(_filesystem.Calls) if not name.startswith("_"))


def config(root: Path) -> Config:
    return Config(backends=("file",), filesystem_root=str(root))


def yesterday() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)


class KillingCalls(_filesystem.Calls):
    """Kills the process before the n-th system call; can lack O_TMPFILE."""

    left = 0
    named = False

    def nameless_file(self, folder: int) -> int:
        if self.named:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return super().nameless_file(folder)


def _killing(name: str):
    inherited = getattr(KillingCalls, name)

    def call(self, *args):
        if KillingCalls.left:
            KillingCalls.left -= 1
            if not KillingCalls.left:
                os.kill(os.getpid(), signal.SIGKILL)
        return inherited(self, *args)

    return call


for _name in CALLS:
    setattr(KillingCalls, _name, _killing(_name))


def in_child(act, *args, ack: int | None = None) -> int:
    """Run an async act in a forked child; return its wait status."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(act(*args))
            code = 0
        except BaseException as error:  # noqa: BLE001
            print(f"{act}: {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


# What the template holds, by name: every scenario must leave it as it was, save for
# what the scenario itself changes.
async def build(root: Path) -> None:
    async with Coatcheck(config(root), clock=yesterday) as cc:
        for i in range(3):
            await cc.create(
                f"expired{i}", [i] * 100, NAMESPACE, expires=TimeToLive(HOUR)
            )
    async with Coatcheck(config(root)) as cc:
        for i in range(3):
            await cc.create(f"kept{i}", [i] * 100, NAMESPACE)
        await cc.create("idle", "i" * 200, NAMESPACE, expires=TimeToIdle(HOUR))
        await cc.create("doomed", "d" * 200, NAMESPACE)
    async with _filesystem.FilesystemBackend(root) as backend:
        bucket = backend.bucket(NAMESPACE)
        await bucket.put("plain", OLD)
        await bucket.put("deep/er/object", OLD)
        await bucket.delete("deep/er/object")


async def addresses(root: Path) -> dict[str, str]:
    async with Coatcheck(config(root)) as cc:
        return {
            entry.address.name: str(entry.address) async for entry in cc.scan(NAMESPACE)
        }


async def open_all(root: Path):
    backend = _filesystem.FilesystemBackend(root)
    await backend.__aenter__()
    return backend, backend.bucket(NAMESPACE)


async def create(root: Path) -> None:
    async with Coatcheck(config(root)) as cc:
        await cc.create("new", "n" * 70_000, NAMESPACE, expires=TimeToIdle(HOUR))


async def create_over_expired(root: Path) -> None:
    async with Coatcheck(config(root)) as cc:
        await cc.create("expired0", [0] * 100, NAMESPACE, expires=TimeToLive(HOUR))


async def create_stream(root: Path) -> None:
    async with Coatcheck(config(root)) as cc:
        await cc.create_stream("new", Path(__file__), NAMESPACE)


async def overwrite(root: Path) -> None:
    backend, bucket = await open_all(root)
    await bucket.put("plain", NEW)
    await backend.aclose()


async def update_info(root: Path) -> None:
    backend, bucket = await open_all(root)
    info = await bucket.head("plain")
    await bucket.update_info("plain", PutInfo(custom={"a": "b"}), if_match=info.etag)
    await backend.aclose()


async def multipart(root: Path) -> None:
    backend, bucket = await open_all(root)
    upload = await bucket.initiate("plain")
    parts = [
        await bucket.put_part(upload, number, NEW[start : start + 45_000], size=45_000)
        for number, start in ((1, 0), (2, 45_000))
    ]
    await bucket.complete(upload, parts)
    await backend.aclose()


async def delete(root: Path) -> None:
    async with Coatcheck(config(root)) as cc:
        await cc.delete((await addresses(root))["doomed"])


async def touch(root: Path) -> None:
    async with Coatcheck(config(root)) as cc:
        await cc.touch((await addresses(root))["idle"])


async def reap(root: Path) -> None:
    async with Coatcheck(config(root)) as cc:
        await cc.reap(NAMESPACE)


async def sweep(root: Path) -> None:
    backend, bucket = await open_all(root)
    await bucket.sweep(older_than=timedelta(0))
    await backend.aclose()


SCENARIOS = (
    create,
    create_over_expired,
    create_stream,
    overwrite,
    update_info,
    multipart,
    delete,
    touch,
    reap,
    sweep,
)


async def killed_act(act, root: Path, nth: int, *, named: bool) -> None:
    KillingCalls.named = named
    _backend.Calls = KillingCalls
    KillingCalls.left = nth
    await act(root)


async def inspect(root: Path, act_name: str) -> None:
    """Raise unless everything acknowledged is whole and one sweep leaves no litter."""
    async with Coatcheck(config(root)) as cc:
        there = {
            entry.address.name: entry.address async for entry in cc.scan(NAMESPACE)
        }
        must = {"kept0", "kept1", "kept2", "idle"}
        if act_name != "delete":
            must.add("doomed")
        assert must <= set(there), f"lost {must - set(there)}"
        assert set(there) - must <= {"new", "doomed", "expired0"}, f"grew {set(there)}"
        for address in there.values():
            await cc.retrieve(address)
    backend, bucket = await open_all(root)
    try:
        async with bucket.get("plain") as reader:
            body = await reader.read()
        assert body in (OLD, NEW), "torn"
        await bucket.sweep(older_than=timedelta(0))
        left = litter(root)
        assert not left, f"litter {left}"
    finally:
        await backend.aclose()


def litter(root: Path) -> list[str]:
    """Return files and folders that are no object and no lock."""
    control = root / ".coatcheck"
    found = [
        str(path)
        for name in ("drafts", "uploads")
        for path in (control / "buckets").glob(f"*/{name}/*")
    ]
    return found + [
        str(path) for path in (root / NAMESPACE).rglob("*") if path.is_dir()
    ]


def kill_at_every_call(work: Path, wanted: list[str]) -> dict[str, int]:
    template = work / "template"
    assert in_child(build, template) == 0
    kills: Counter[str] = Counter()
    for named in (False, True):
        for act in SCENARIOS:
            if wanted and act.__name__ not in wanted:
                continue
            for nth in range(1, 10_000):
                root = work / "root"
                shutil.copytree(template, root)
                if act is sweep:
                    plant(root)
                status = in_child(partial(killed_act, named=named), act, root, nth)
                assert in_child(inspect, root, act.__name__) == 0, (act, nth, named)
                shutil.rmtree(root)
                if not os.WIFSIGNALED(status):
                    assert status == 0, (act, nth, status)
                    break
                kills[f"{act.__name__}{' named' if named else ''}"] += 1
    return dict(kills)


def plant(root: Path) -> None:
    """Leave what a killed process would: drafts, an upload, empty folders."""
    control = root / ".coatcheck" / "buckets" / NAMESPACE
    for folder in ("drafts", "uploads"):
        (control / folder).mkdir(parents=True, exist_ok=True)
    for i in range(2):
        (control / "drafts" / f"{i:016x}-{i:032x}").write_bytes(b"half")
        upload = control / "uploads" / f"{i:016x}-{i:032x}"
        upload.mkdir()
        (upload / "00001").write_bytes(b"half a part")
    (root / NAMESPACE / "a+" / "b+").mkdir(parents=True)


async def busy(root: Path, acks: int, seed: int) -> None:
    """Create, overwrite, touch, delete and reap for ever, and tell what is done."""
    rng = random.Random(seed)

    def acknowledge(*what: object) -> None:
        os.write(acks, (json.dumps(what) + "\n").encode())

    backend, bucket = await open_all(root)
    async with Coatcheck(config(root)) as cc:

        async def creator(me: int) -> None:
            for i in range(10_000):
                body = rng.randbytes(rng.choice((10, 3000, 300_000)))
                stash = await cc.create(f"r{seed}-{me}-{i}", body, NAMESPACE)
                acknowledge("created", str(stash.address))
                if rng.random() < 0.3:
                    acknowledge("deleting", str(stash.address))
                    await cc.delete(stash.address)
                    acknowledge("deleted", str(stash.address))

        async def overwriter() -> None:
            for i in range(10_000):
                await bucket.put("counter", f"{i:06d}".encode() * 1000)
                acknowledge("counter", i)

        async def keeper() -> None:
            for _ in range(10_000):
                await cc.create("idle", "i" * 200, NAMESPACE, expires=TimeToIdle(HOUR))
                await cc.touch((await addresses(root))["idle"])
                await cc.reap(NAMESPACE)

        async with asyncio.TaskGroup() as tasks:
            for me in range(3):
                tasks.create_task(creator(me))
            tasks.create_task(overwriter())
            tasks.create_task(keeper())
    await backend.aclose()


async def verify_acks(root: Path, lines: list[list]) -> None:
    created = {line[1] for line in lines if line[0] == "created"}
    doubtful = {line[1] for line in lines if line[0] == "deleting"}
    deleted = {line[1] for line in lines if line[0] == "deleted"}
    counters = [line[1] for line in lines if line[0] == "counter"]
    async with Coatcheck(config(root)) as cc:
        for address in created - doubtful:
            await cc.retrieve(address)
        for address in deleted:
            try:
                await cc.retrieve(address)
            except StashNotFound:
                continue
            raise AssertionError(f"{address} came back")
        async for entry in cc.scan(NAMESPACE):
            await cc.retrieve(entry.address)
    backend, bucket = await open_all(root)
    try:
        if counters:
            async with bucket.get("counter") as reader:
                body = (await reader.read()).decode()
            assert body == body[:6] * 1000, "torn counter"
            assert int(body[:6]) >= max(counters), "counter went back"
        await bucket.sweep(older_than=timedelta(0))
        assert not litter(root), f"litter {litter(root)}"
    except ObjectNotFound:
        raise AssertionError("the counter is lost") from None
    finally:
        await backend.aclose()


def kill_at_random(work: Path, times: int, seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    acknowledged: Counter[str] = Counter()
    root = work / "random"
    for round_number in range(times):
        if round_number % 25 == 0:
            shutil.rmtree(root, ignore_errors=True)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                asyncio.run(busy(root, writing, seed + round_number))
            finally:
                os._exit(1)
        os.close(writing)
        received = bytearray()
        until = time.monotonic() + rng.uniform(0.02, 0.25)
        os.set_blocking(reading, False)
        while time.monotonic() < until:
            try:
                received += os.read(reading, 65536)
            except BlockingIOError:
                time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status), "the busy process ended by itself"
        os.set_blocking(reading, True)
        while more := os.read(reading, 65536):
            received += more
        os.close(reading)
        lines = [json.loads(line) for line in bytes(received).split(b"\n")[:-1]]
        acknowledged.update(line[0] for line in lines)
        assert in_child(verify_acks, root, lines) == 0, f"round {round_number}"
    return dict(acknowledged)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every-call", action="store_true")
    parser.add_argument("--acts", nargs="*", default=[])
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=20261125)
    options = parser.parse_args()
    report: dict[str, object] = {}
    work = Path(tempfile.mkdtemp(prefix="coatcheck-kills-"))
    try:
        if options.every_call:
            kills = kill_at_every_call(work, options.acts)
            report["kills at system calls"] = sum(kills.values())
            report["by act"] = kills
        if options.random:
            report["kills at random moments"] = options.random
            report["acknowledged"] = kill_at_random(work, options.random, options.seed)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
