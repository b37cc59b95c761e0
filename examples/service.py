"""An asyncio service that passes addresses between its parts instead of payloads.

    python examples/service.py [FOLDER]                 # on files
    COATCHECK_BACKENDS=s3 python examples/service.py    # on S3, as the AWS SDK finds it

The namespace is the bucket, unless COATCHECK_NAMESPACES maps it to another, as in
`{"default": "s3://bucket/prefix/"}`. COATCHECK_S3__ENDPOINT_URL names a store of your
own, and COATCHECK_S3__CREATE_BUCKETS=true makes a bucket that is missing.

Clients send orders over a socket. The front stashes each and queues the address; a
worker claims it, and answers with the address of the result. One Coatcheck serves
the whole process for as long as it lives. Stashes expire by themselves, and a reaper
deletes now and then what has expired.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta

from coatcheck import Address, Coatcheck, Config, TimeToIdle, TimeToLive
from coatcheck.errors import CoatcheckError, InvalidInput, NotFound

QUEUE_SIZE = 100
MAX_LINE = 16 * 1024 * 1024
ORDERS = TimeToLive(timedelta(hours=1))
RESULTS = TimeToIdle(timedelta(days=1))


@dataclass
class Order:
    """What a client asks for."""

    items: list[float]


@dataclass
class Job:
    """An order on its way to the worker: its address, never its payload."""

    order: Address
    answer: asyncio.Future[Address]


class Service:
    """Takes orders, works on them, answers with addresses."""

    def __init__(self, coats: Coatcheck) -> None:
        self.coats = coats
        self.jobs: asyncio.Queue[Job] = asyncio.Queue(QUEUE_SIZE)

    async def run(self, ready: asyncio.Future[int]) -> None:
        """Serve until cancelled; tell the port when clients may come."""
        server = await asyncio.start_server(
            self.talk, host="127.0.0.1", port=0, limit=MAX_LINE
        )
        async with server, asyncio.TaskGroup() as tasks:
            tasks.create_task(self.work())
            tasks.create_task(self.clean_up())
            ready.set_result(server.sockets[0].getsockname()[1])
            await server.serve_forever()

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one client, line by line."""
        try:
            while line := await reader.readline():
                reply = await self.reply_to(line)
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()

    async def reply_to(self, line: bytes) -> dict[str, str]:
        """Let one order be worked on."""
        try:
            stash = await self.coats.create("order", json.loads(line), expires=ORDERS)
            job = Job(stash.address, asyncio.get_running_loop().create_future())
            await self.jobs.put(job)
            return {"result": str(await job.answer)}
        except (InvalidInput, ValueError) as error:
            return {"error": f"this order cannot be taken: {error}"}
        except CoatcheckError as error:
            return {"error": f"try again later: {error.kind}"}

    async def work(self) -> None:
        """Claim orders, add up their items, stash the results."""
        while True:
            job = await self.jobs.get()
            try:
                order = await self.coats.retrieve(job.order, as_type=Order)
                total = {"total": sum(order.data.items)}
                result = await self.coats.create("result", total, expires=RESULTS)
            except CoatcheckError as error:
                job.answer.set_exception(error)
            else:
                job.answer.set_result(result.address)

    async def clean_up(self) -> None:
        """Delete what has expired, every ten minutes."""
        while True:
            try:
                await self.coats.reap()
            except CoatcheckError as error:
                print(f"nothing reaped this time: {error}", file=sys.stderr)
            await asyncio.sleep(600)


async def client(port: int, coats: Coatcheck) -> None:
    """Order, claim the result, and order what cannot be done."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(order: object) -> dict[str, str]:
        writer.write(json.dumps(order).encode() + b"\n")
        reply: dict[str, str] = json.loads(await reader.readline())
        return reply

    replies = [await ask({"items": [number] * 100_000}) for number in (1, 2)]
    for reply in replies:
        stash = await coats.retrieve(reply["result"])
        print(f"{stash.address} holds {stash.data}")
    print(await ask({"articles": "none"}))
    await coats.delete(replies[0]["result"])
    try:
        await coats.retrieve(replies[0]["result"])
    except NotFound as error:
        print(error)
    writer.close()
    await writer.wait_closed()


def on_files(folder: str) -> Config:
    """Return a configuration that keeps everything in a folder."""
    return Config(backends=("inline", "file"), filesystem_root=folder)


async def main(config: Config) -> None:
    """Run the service and a client of it."""
    async with Coatcheck(config) as coats:
        await coats.check()
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(Service(coats).run(ready))
        try:
            await client(await ready, coats)
        finally:
            running.cancel()
            await asyncio.wait([running])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(on_files(sys.argv[1])))
    elif "COATCHECK_BACKENDS" in os.environ:
        asyncio.run(main(Config.from_env()))
    else:
        with tempfile.TemporaryDirectory(prefix="coatcheck-service-") as work:
            asyncio.run(main(on_files(work)))
