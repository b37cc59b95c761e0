"""Attachments of many tenants in one folder: sessions, expiry, parts, usage.

    python examples/objects.py [FOLDER]

Every tenant has a scope of its own, which no key leaves. What is dense already is
stored as it is, everything else compressed; drafts expire when nobody reads them. The
same code runs over S3 (`s3:` instead of the folder), or through a service, with
`Client("http://localhost:8888")` instead of a bucket.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

from coatcheck.backends import open_backend
from coatcheck.errors import InvalidName, ObjectNotFound
from coatcheck.objects import (
    ByteSpan,
    Client,
    Delete,
    Get,
    Put,
    Scope,
    Session,
    TimeToIdle,
    TimeToLive,
    Usecase,
    delete_scope,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coatcheck.abc import Bucket

ATTACHMENTS = Usecase("attachments", expiration_policy=TimeToIdle(timedelta(days=30)))
EXPORTS = Usecase("exports", compression="none")
PART = 5 * 1024 * 1024


async def log_lines(count: int) -> AsyncIterator[bytes]:
    """Yield a log as it would come from elsewhere: line by line, of unknown length."""
    for number in range(count):
        yield b"%08d INFO nothing happened, and it happened again\n" % number


async def keep_attachments(session: Session) -> None:
    """Put, look, read a part, and let live on."""
    key = await session.put(
        log_lines(50_000),
        content_type="text/plain",
        filename="service.log",
        origin="203.0.113.42",
        metadata={"source": "upload-service"},
    )
    metadata = await session.head(key)
    print(f"stored {metadata.size} bytes as {metadata.compression}")
    part = await session.get_bytes(key, byte_range=ByteSpan(0, 13))
    print(f"it begins with {part.decode()!r}")
    async with session.get(key) as result:
        lines = [line async for line in result.payload]
    print(f"{sum(map(len, lines))} bytes came back in {len(lines)} chunks")
    deadline = await session.extend_expiry(key, from_now=timedelta(days=90))
    assert metadata.time_expires is not None
    print(f"it lives {(deadline - metadata.time_expires).days} days longer")


async def keep_many(session: Session) -> None:
    """Do many things at once, each with a result of its own."""
    notes = (Put(b"note %d" % number, f"notes/{number:02d}") for number in range(20))
    await session.many(notes)
    good, gone, bad = await session.many(
        [Get("notes/07"), Delete("notes/08"), Get("notes/99")]
    )
    print(f"{good.payload!r}, {gone.key} deleted, {type(bad.error).__name__}")
    async with aclosing(session.scan("notes/")) as entries:
        print(f"{len([entry async for entry in entries])} notes are left")
    await session.put(b"not yet", "draft", expiration_policy=TimeToLive(timedelta(1)))
    await session.copy("draft", "final", expiration_policy=None)
    print(f"the copy expires: {(await session.head('final')).time_expires}")


async def export(session: Session) -> None:
    """Upload in parts, any order, several at once; go on in another process."""
    begun = await session.initiate_multipart_upload(
        key="2026/all.bin", content_type="application/octet-stream"
    )
    bodies = [os.urandom(PART), os.urandom(PART), b"the end"]
    upload = session.resume_multipart_upload(begun.key, begun.upload_id)
    parts = await asyncio.gather(
        *(
            upload.put_part(body, part_number=number)
            for number, body in enumerate(bodies, 1)
        )
    )
    await upload.complete(parts)
    got = await session.get_bytes("2026/all.bin")
    print(f"exported {len(got)} bytes whole: {got == b''.join(bodies)}")


async def look_around(bucket: Bucket) -> None:
    """See what everybody holds, and let a tenant go."""
    async for row in usage(bucket):
        print(f"{row.usecase} {row.scope}: {row.amount.count} objects")
    leaving = Scope.of(org=42)
    planned = await delete_scope(bucket, "attachments", leaving, below=True)
    done = await delete_scope(bucket, "attachments", leaving, below=True, dry_run=False)
    print(f"{planned.found.count} would go, {done.deleted} went")


async def main(folder: str) -> None:
    """Keep the attachments of two tenants, and an export."""
    async with open_backend(f"file:{folder}") as files:
        bucket = files.bucket("objects")
        async with Client(bucket) as client:
            session = client.session(ATTACHMENTS, org=42, project=1337)
            await keep_attachments(session)
            await keep_many(session)
            await export(client.session(EXPORTS, org=42))
            stranger = client.session(ATTACHMENTS, org=43)
            try:
                await stranger.get_bytes("notes/07")
            except ObjectNotFound:
                print("another tenant has no such note")
            try:
                await stranger.get_bytes("../project.1337/objects/notes/07")
            except InvalidName as error:
                print(f"and cannot ask for it otherwise: {error.kind}")
        await look_around(bucket)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            asyncio.run(main(temporary))
