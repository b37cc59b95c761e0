"""Kills a service on files at random moments under load, and looks at what is left.

Run as a script by `test_service.py`; prints one JSON object. This process is the
client: it knows what was acknowledged even though the service dies. Each thread owns
its keys, so that what may stand under a key is what was acknowledged last, or one of
the operations that were under way since.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from coatcheck.backends._filesystem import FilesystemBackend
from coatcheck.service import ServiceConfig
from coatcheck.service._server import serve

BASE = "/v1/objects/killed/org=1"
MULTIPART = "/v1/objects:multipart"
ABSENT = ""
MIB = 1024 * 1024


def body_of(key: str, version: str, size: int) -> bytes:
    """Return a body that tells its key and version, and whether it is whole."""
    head = f"{key} {version} {size} ".encode()
    filler = hashlib.sha256(head).digest() * (size // 32 + 1)
    body = head + filler[:size]
    return body + hashlib.sha256(body).digest()


def version_of(key: str, body: bytes) -> str:
    """Return the version of a whole body; what is torn or another's is `TORN`."""
    if hashlib.sha256(body[:-32]).digest() != body[-32:]:
        return "TORN"
    named, version, _ = body.split(b" ", 2)
    return version.decode() if named.decode() == key else "TORN"


@dataclass
class Known:
    """What may stand under a key."""

    acknowledged: str = ABSENT
    possible: set[str] = field(default_factory=set)

    def begin(self, version: str) -> None:
        self.possible.add(version)

    def end(self, version: str) -> None:
        self.acknowledged, self.possible = version, set()


class Worker(threading.Thread):
    """Puts, overwrites, deletes and uploads until the service is gone."""

    def __init__(self, number: int, seed: int, counts: Counter) -> None:
        super().__init__(daemon=True)
        self._rng = random.Random(seed * 1000 + number)
        self.known = {f"w{number}/k{each}": Known() for each in range(6)}
        self._number = number
        self._counts = counts
        self._versions = 0
        self._url = ""
        self._connection: http.client.HTTPConnection | None = None

    def load(self, url: str) -> threading.Thread:
        """Return a thread that works until the service is gone."""
        self._url = url
        return threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        parts = urlsplit(self._url)
        self._connection = http.client.HTTPConnection(
            parts.hostname, parts.port, timeout=10
        )
        try:
            while True:
                key = self._rng.choice(list(self.known))
                act = self._rng.choice(
                    [self._put, self._put, self._delete, self._parts, self._resumable]
                )
                act(key)
                self._counts[act.__name__.strip("_")] += 1
        except (OSError, http.client.HTTPException):
            return
        finally:
            self._connection.close()

    def _ask(self, method, path, body=None, **headers):
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        self._connection.request(method, path, body, given)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
        return text

    def _next(self) -> str:
        self._versions += 1
        return f"v{self._number}.{self._versions}.{self._rng.randrange(10**6)}"

    def _put(self, key: str) -> None:
        version = self._next()
        size = self._rng.choice([10, 5000, 100_000, 700_000])
        self.known[key].begin(version)
        self._ask("PUT", f"{BASE}/{key}", body_of(key, version, size))
        self.known[key].end(version)

    def _delete(self, key: str) -> None:
        self.known[key].begin(ABSENT)
        self._ask("DELETE", f"{BASE}/{key}")
        self.known[key].end(ABSENT)

    def _parts(self, key: str) -> None:
        version = self._next()
        body = body_of(key, version, 300_000)
        place = BASE.removeprefix("/v1/objects") + f"/{key}"
        upload = json.loads(self._ask("PUT", f"{MULTIPART}{place}"))["upload_id"]
        parts = []
        for number, start in enumerate(range(0, len(body), 100_000), start=1):
            path = f"{MULTIPART}:parts{place}?upload_id={upload}&part_number={number}"
            etag = json.loads(self._ask("PUT", path, body[start : start + 100_000]))
            parts.append({"part_number": number, **etag})
        self.known[key].begin(version)
        answer = self._ask(
            "POST",
            f"{MULTIPART}:complete{place}?upload_id={upload}",
            json.dumps({"parts": parts}),
            content_type="application/json",
        )
        if json.loads(answer) != {"key": key}:
            raise RuntimeError(f"completion of {key}: {answer!r}")
        self.known[key].end(version)

    def _resumable(self, key: str) -> None:
        version = self._next()
        body = body_of(key, version, 5 * MIB)
        path = f"{BASE}/{key}?upload_type=resumable"
        session = json.loads(self._ask("PUT", path, upload_length=str(len(body))))
        token = session["session"]
        path = f"{BASE}/{key}?session={token}"
        unit = session["granularity"]
        self._ask("PUT", path, body[:unit], upload_offset="0")
        self.known[key].begin(version)
        self._ask("PUT", path, body[unit:], upload_offset=str(unit))
        self.known[key].end(version)


def started(root: Path) -> tuple[int, str]:
    """Start a service in a forked child; return its process id and URL."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            config = ServiceConfig(storage=f"file:{root}", auth="off", durable=False)
            serve(
                config,
                host="127.0.0.1",
                port=0,
                announce=lambda url: os.write(writing, url.encode()),
            )
        finally:
            os._exit(1)
    os.close(writing)
    url = os.read(reading, 1000).decode()
    os.close(reading)
    if not url:
        raise RuntimeError("the service did not start")
    return child, url


def look(url: str, workers: list[Worker], seen: Counter) -> None:
    """Hold every key against what is known of it; then that is what stands there."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    for worker in workers:
        for key, known in worker.known.items():
            connection.request("GET", f"{BASE}/{key}")
            answer = connection.getresponse()
            body = answer.read()
            found = ABSENT if answer.status == 404 else version_of(key, body)
            if answer.status not in (200, 404):
                seen[f"STATUS {answer.status}"] += 1
            elif found == "TORN":
                seen["TORN"] += 1
            elif found == known.acknowledged:
                seen["as acknowledged"] += 1
            elif found in known.possible:
                seen["as was under way"] += 1
            else:
                seen["LOST"] += 1
            known.end(found)
    connection.close()


async def litter(root: Path) -> dict[str, int]:
    """Sweep, and return what is left beside the objects."""
    async with FilesystemBackend(root) as backend:
        bucket = backend.bucket("objects")
        swept = await bucket.sweep(older_than=timedelta(0))
        uploads = [each async for each in bucket.list_uploads()]
    return {
        "swept uploads": swept.uploads,
        "swept files": swept.files,
        "uploads left": len(uploads),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=20261125)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="coatcheck-service-kill-"))
    rng, seen, counts = random.Random(options.seed), Counter(), Counter()
    workers = [Worker(n, options.seed, counts) for n in range(options.workers)]
    child = 0
    try:
        for _ in range(options.kills):
            child, url = started(root)
            look(url, workers, seen)
            threads = [worker.load(url) for worker in workers]
            for thread in threads:
                thread.start()
            time.sleep(rng.uniform(0.02, 0.8))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            child = 0
            for thread in threads:
                thread.join(30)
                if thread.is_alive():
                    raise RuntimeError("a client hangs")
        child, url = started(root)
        look(url, workers, seen)
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        child = 0
        left = asyncio.run(litter(root))
        drafts = [path for path in root.rglob("*") if path.parent.name == "drafts"]
        left["drafts left"] = len(drafts)
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        shutil.rmtree(root, ignore_errors=True)
    report = {"kills": options.kills, "acknowledged": dict(counts), **seen, **left}
    print(json.dumps(report))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
