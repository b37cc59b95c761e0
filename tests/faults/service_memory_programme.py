"""Large bodies through `coatcheck serve`, and the memory that both sides took.

Run as a script by `test_service.py`; prints one JSON object. This process is the
client: by a session of ours, and by plain HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration import servers
from tests.process_memory import forget_peak, held, most_held
from tests.service.processes import served

from coatcheck.objects import Client as Objects
from coatcheck.objects import Usecase

MIB = 1024 * 1024
BASE = "/v1/objects/large-ones/_"
PIECE = bytes(range(256)) * (MIB // 256)
DENSE = os.urandom(MIB)


class Client:
    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self._parts.hostname, self._parts.port)
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        connection.request(
            method, path, body, given, encode_chunked="chunked" in str(given)
        )
        return connection, connection.getresponse()

    def put(self, key: str, mib: int, query: str = "", **headers) -> dict:
        """Put a body piece by piece, chunked unless a length is given."""
        if "content_length" not in headers:
            headers["transfer_encoding"] = "chunked"
        connection, answer = self.ask(
            "PUT", f"{BASE}/{key}{query}", (PIECE for _ in range(mib)), **headers
        )
        text = answer.read()
        assert answer.status in (200, 201), (answer.status, text)
        connection.close()
        return json.loads(text)

    def get(self, key: str) -> tuple[int, str]:
        """Read an object; return its length and digest."""
        connection, answer = self.ask("GET", f"{BASE}/{key}")
        assert answer.status == 200
        received, running = 0, hashlib.sha256()
        while chunk := answer.read(MIB):
            received += len(chunk)
            running.update(chunk)
        connection.close()
        return received, running.hexdigest()


def resumable(client: Client, key: str, mib: int) -> None:
    connection, answer = client.ask(
        "PUT", f"{BASE}/{key}?upload_type=resumable", upload_length=str(mib * MIB)
    )
    session = json.loads(answer.read())["session"]
    connection.close()
    client.put(
        key,
        mib,
        f"?session={session}",
        upload_offset="0",
        content_length=str(mib * MIB),
    )


def at_once(count: int, act) -> None:
    threads = [threading.Thread(target=act, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def pieces(mib: int):
    for _ in range(mib):
        yield DENSE


async def by_session(session, key: str, mib: int, **options) -> None:
    """Put a body that cannot be compressed, and get it back."""
    await session.put(pieces(mib), key=key, **options)
    received, running = 0, hashlib.sha256()
    async with session.get(key) as result:
        async for chunk in result.payload:
            received += len(chunk)
            running.update(chunk)
    expected = hashlib.sha256()
    for _ in range(mib):
        expected.update(DENSE)
    assert (received, running.digest()) == (mib * MIB, expected.digest())


async def measure_session(service, mib: int, base: int) -> dict[str, float]:
    """Return what our own client and the service took, which has `base` of its own."""
    mine, pid = os.getpid(), service.process.pid
    grown = {}
    async with Objects(service.url) as client:
        session = client.session(Usecase("large-ones"))
        for compress in ("none", "zstd"):
            await by_session(session, "small", 4, compression=compress)
            own = held(mine)
            forget_peak(mine)
            forget_peak(pid)
            await by_session(session, "session", mib, compression=compress)
            grown[f"session, {compress}: client"] = (most_held(mine) - own) / MIB
            grown[f"session, {compress}: service"] = (most_held(pid) - base) / MIB
    return grown


def measure(service, mib: int) -> dict[str, float]:
    client, pid = Client(service.url), service.process.pid
    expected = hashlib.sha256()
    for _ in range(mib):
        expected.update(PIECE)
    # What the service needs after its first request is what it needs itself.
    client.put("small", 1)
    client.get("small")
    base = held(pid)
    grown = asyncio.run(measure_session(service, mib, base))

    def step(name: str, act) -> None:
        forget_peak(pid)
        act()
        grown[name] = (most_held(pid) - base) / MIB

    step("put", lambda: client.put("large", mib))

    def get() -> None:
        assert client.get("large") == (mib * MIB, expected.hexdigest())

    step("get", get)
    step("resumable", lambda: resumable(client, "again", mib))
    some = max(mib // 16, 1)
    step("4 puts at once", lambda: at_once(4, lambda n: client.put(f"c{n}", some)))
    step("8 gets at once", lambda: at_once(8, lambda _: client.get("c0")))
    return {name: round(size, 1) for name, size in grown.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="coatcheck-service-memory-"))
    environ = {**servers.CREDENTIALS, "COATCHECK_S3__CREATE_BUCKETS": "true"}
    try:
        if options.s3:
            (work / "weed").mkdir()
            with servers.seaweedfs(work / "weed") as url:
                environ["COATCHECK_S3__ENDPOINT_URL"] = url
                environ["AWS_DEFAULT_REGION"] = "us-east-1"
                given = ("--no-auth", "--storage", "s3://large/")
                with served(work, *given, **environ) as service:
                    grown = measure(service, options.mib)
        else:
            given = ("--no-auth", "--storage", f"file:{work / 'root'}")
            with served(work, *given) as service:
                grown = measure(service, options.mib)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report = {"storage": "s3" if options.s3 else "files", "MiB": options.mib}
    print(json.dumps({**report, "extra MiB": grown}))


if __name__ == "__main__":
    os.environ.pop("AWS_PROFILE", None)
    main()
