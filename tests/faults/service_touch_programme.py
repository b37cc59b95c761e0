"""Touches, reaps and new objects at the deadline, through services on one storage.

Run as a script by `test_service.py`; prints one JSON object. Several services serve
one storage (on memory there is one), each with a reaper that never rests. A proxy
before each holds answers back, and on S3 one before the store does so, too. A round
is one key: it is put with a short TimeToIdle, read just before its deadline or after
it, and then put again, on either side of deadline and grace, as the same bytes or as
others: equal bytes have equal ETags on S3, so that no condition tells them apart.
Many rounds run at once. What a client was told holds:

* who read it in time (the answer was 200) finds it again until that renewal ends;
* who was told that it is gone finds it gone until it is put again;
* nothing is served after the last moment to which anything could have renewed it;
* who put it again finds what was put, until its own deadline.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration import servers
from tests.service.processes import served

from coatcheck.testing import FaultProxy, Stall

BASE = "/v1/objects/touched/_"
GRACE = 12
CONFIG = """
reap_every = {reap_every}
sweep_every = 0
durable = false
grace = {grace}
total_timeout = 3
"""


@dataclass(frozen=True)
class Times:
    """Seconds of a scenario."""

    idle: float
    """Of the time to idle."""
    slack: float
    """By which clocks may be apart: on S3 they go by the store's, which tells whole
    seconds, in answers that are held back."""
    waits: tuple[float, ...]
    """From what was told of the deadline to the next put."""
    reap_every: float
    at_once: int
    """Rounds at once."""


# Only where ETags are no generations does a reaper wait for the grace to pass.
AT_DEADLINE = (0, 0.02, 0.1, 0.3, 1)
AT_GRACE = (0, 0.5, GRACE / 2, GRACE - 1, GRACE, GRACE + 0.5)
TIMES = {
    "memory": Times(4, 0.2, AT_DEADLINE, 0.1, 200),
    "files": Times(4, 0.2, AT_DEADLINE, 0.1, 200),
    "s3": Times(12, 3, AT_GRACE, 0.5, 150),
}


class Client:
    """Asks the services in turn."""

    def __init__(self, session, urls, seed, times):
        self._session = session
        self.times = times
        self._urls = urls
        self._rng = random.Random(seed)

    async def ask(self, method, key, body=None, **headers) -> tuple[int, bytes]:
        url = self._rng.choice(self._urls)
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        async with self._session.request(
            method, f"{url}{BASE}/{key}", data=body, headers=given
        ) as answer:
            return answer.status, await answer.read()

    async def put(self, key: str, version: str) -> tuple[float, float]:
        """Put a version; return the moments between which its time began to run."""
        for _ in range(20):
            sent = time.monotonic()
            status, text = await self.ask(
                "PUT", key, version.encode(), x_sn_expiration=f"tti:{self.times.idle}s"
            )
            if status == 200:
                return sent, time.monotonic()
            if status not in (429, 503):
                break
        raise RuntimeError(f"put: {status} {text!r}")


async def one_round(client: Client, number: int, rng: random.Random, seen: Counter):
    """Play one key, and count what was seen."""
    idle, slack = client.times.idle, client.times.slack
    key, version = f"k{number}", f"first-{number}"
    sent, told = await client.put(key, version)
    # The deadline lies between these two; aim about there.
    early = rng.choice([slack, slack + 0.4 * idle])
    await until(sent + idle + rng.uniform(-early, slack))
    asked = time.monotonic()
    status, body = await client.ask("GET", key)
    answered = time.monotonic()
    if status == 200:
        seen["read in time"] += 1
        if body != version.encode():
            seen["WRONG BODY"] += 1
        if asked > told + idle + slack:
            seen["SERVED LATE"] += 1
        # What was answered after the deadline may have been renewed too late.
        renewed = answered < sent + idle - slack
        await after_a_touch(
            client, key, version, renewed, (told, asked, answered), seen
        )
    elif status == 404:
        seen["read too late"] += 1
        if answered < sent + idle - slack:
            seen["LOST"] += 1
        if (await client.ask("GET", key))[0] == 200:
            seen["CAME BACK"] += 1
    else:
        seen[f"STATUS {status}"] += 1
        return
    # Put again somewhere around the deadline and the end of grace.
    await asyncio.sleep(rng.choice(client.times.waits))
    version = rng.choice([version, f"second-{number}"])
    sent, _ = await client.put(key, version)
    for wait in (0, 0.2, 0.5, 1.0):
        await asyncio.sleep(wait)
        asked = time.monotonic()
        status, body = await client.ask("GET", key)
        if asked >= sent + idle - slack or (status, body) == (200, version.encode()):
            continue
        if status in (200, 404):
            seen["NEW ONE LOST"] += 1
            late = round(asked - sent, 2)
            print(f"round {number}: {status} {late} s after put", file=sys.stderr)
        else:
            seen[f"status {status}"] += 1
    seen["put again"] += 1


async def after_a_touch(client, key, version, renewed, when, seen) -> None:
    """Hold a service to what an answer in time said."""
    told, asked, answered = when
    idle, slack = client.times.idle, client.times.slack
    seen["renewed"] += renewed
    status, body = await client.ask("GET", key)
    # The read renewed it, from some moment between question and answer on.
    live_until = asked + idle - slack
    early = renewed and time.monotonic() < live_until
    if early and (status, body) != (200, version.encode()):
        seen["LOST AFTER A TOUCH"] += 1
    last = time.monotonic() if status == 200 else answered
    # Reads renew what is older than a quarter of its time; see that this one did.
    old_deadline = told + idle + slack
    if early and asked > told + idle / 4 + slack and old_deadline + 1 < live_until:
        await until(old_deadline)
        status, _ = await client.ask("GET", key)
        if status == 404 and time.monotonic() < live_until:
            seen["NOT RENEWED"] += 1
        last = time.monotonic()
        seen["read after the old deadline"] += status == 200
    await until(last + idle + slack)
    status, _ = await client.ask("GET", key)
    if status == 200:
        seen["SERVED LATE"] += 1


async def until(moment: float) -> None:
    await asyncio.sleep(max(moment - time.monotonic(), 0))


async def all_rounds(urls: list[str], options) -> Counter:
    seen, todo = Counter(), iter(range(options.rounds))
    times = TIMES[options.storage]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = Client(session, urls, options.seed, times)

        async def play_some() -> None:
            for number in todo:
                await one_round(
                    client, number, random.Random(options.seed + number), seen
                )

        async with asyncio.TaskGroup() as tasks:
            for _ in range(times.at_once):
                tasks.create_task(play_some())
    return seen


def delayed(url: str, seed: int) -> FaultProxy:
    """Return a proxy that holds every fifth answer back."""
    rng, proxy = random.Random(seed), FaultProxy(url)
    for seconds in (0.1, 0.3, 0.8):
        proxy.always(Stall(seconds=seconds), match=lambda *_: rng.random() < 0.07)
    return proxy


def start(stack: ExitStack, work: Path, options, storage: str, **environ) -> list[str]:
    """Start the services, and return their URLs."""
    config = work / "serve.toml"
    reap_every = TIMES[options.storage].reap_every
    config.write_text(CONFIG.format(grace=GRACE, reap_every=reap_every))
    given = ("--no-auth", "--storage", storage, "--config", str(config))
    return [
        stack.enter_context(served(work / f"service-{number}", *given, **environ)).url
        for number in range(1 if options.storage == "memory" else 2)
    ]


async def play(stack: ExitStack, work: Path, options) -> Counter:
    """Start everything, and play all rounds."""
    async with AsyncExitStack() as proxies:
        storage, environ = "memory:", {}
        if options.storage == "files":
            storage = f"file:{work / 'root'}"
        elif options.storage == "s3":
            (work / "weed").mkdir()
            url = stack.enter_context(servers.seaweedfs(work / "weed"))
            store = await proxies.enter_async_context(delayed(url, options.seed))
            storage = "s3://touched/"
            environ = {
                **servers.CREDENTIALS,
                "AWS_DEFAULT_REGION": "us-east-1",
                "COATCHECK_S3__ENDPOINT_URL": store.url,
                "COATCHECK_S3__CREATE_BUCKETS": "true",
            }
        # In a thread: the services start only when the proxy, here, answers.
        urls = await asyncio.to_thread(
            lambda: start(stack, work, options, storage, **environ)
        )
        try:
            before = [
                await proxies.enter_async_context(delayed(url, options.seed + n))
                for n, url in enumerate(urls, start=1)
            ]
            seen = await all_rounds([proxy.url for proxy in before], options)
            held = [each.fault for proxy in before for each in proxy.requests]
            return Counter({**seen, "answers held back": len(held) - held.count(None)})
        finally:
            # They end before the proxies do, which wait for their clients.
            await asyncio.to_thread(stack.close)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--storage", choices=["memory", "files", "s3"], required=True)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20261126)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="coatcheck-service-touch-"))
    try:
        with ExitStack() as stack:
            seen = asyncio.run(play(stack, work, options))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps({"storage": options.storage, "rounds": options.rounds, **seen}))


if __name__ == "__main__":
    main()
