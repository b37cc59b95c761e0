"""A reader releases the last bytes only when all of them are right."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.abc import DigestAlgorithm, ObjectInfo, Verified
from coatcheck.errors import BackendUnavailable, IntegrityError, InvalidInput
from coatcheck.payloads._hashing import StreamDigest
from coatcheck.payloads._integrity import OFF_LOOP, VerifiedReader

untimed = settings(deadline=None)

MD5, SHA256 = DigestAlgorithm.MD5, DigestAlgorithm.SHA256
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BODY = b"abcdefghij"
CHUNKS = (b"abc", b"defg", b"hij")


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def md5(body):
    return hashlib.md5(body).hexdigest()


async def feed(*chunks):
    for chunk in chunks:
        if isinstance(chunk, Exception):
            raise chunk
        yield chunk


def reader_of(*chunks, size=10, digest=None, span=None):
    info = ObjectInfo(
        key="some/key",
        size=size,
        etag="e",
        modified=EPOCH,
        created=EPOCH,
        sha256=digest,
    )
    return VerifiedReader(info, feed(*chunks), span=span)


async def released(reader):
    """What a caller gets before the reader fails, and the failure."""
    chunks = []
    try:
        async for chunk in reader:
            chunks.append(chunk)  # noqa: PERF401  # kept when the next one fails
    except IntegrityError as error:
        return chunks, error
    return chunks, None


@pytest.mark.asyncio
@pytest.mark.parametrize("digest", [None, sha256(BODY)])
async def test_right_bytes_flow_through(digest):
    """All chunks come in order, and the end comes again and again."""
    reader = reader_of(*CHUNKS, digest=digest)
    assert await released(reader) == (list(CHUNKS), None)
    assert await reader.read() == b""
    assert await released(reader) == ([], None)


@pytest.mark.asyncio
async def test_the_last_chunk_is_held_back():
    """When the digest is wrong the caller never gets the end."""
    reader = reader_of(*CHUNKS, digest=sha256(b"something else"))
    chunks, error = await released(reader)
    assert chunks == list(CHUNKS[:-1])
    assert "does not match its sha256" in str(error)
    assert error.key == "some/key"


@pytest.mark.asyncio
async def test_a_chunk_is_released_only_behind_another():
    """No chunk comes before the next one was received."""
    received = []

    async def watched():
        for chunk in CHUNKS:
            received.append(chunk)
            yield chunk

    info = reader_of().info
    reader = VerifiedReader(info, watched())
    assert await anext(reader) == CHUNKS[0]
    assert received == list(CHUNKS[:2])


@pytest.mark.asyncio
@pytest.mark.parametrize("place", range(len(BODY)))
async def test_a_damaged_byte_is_found(place):
    """One flipped bit anywhere fails the read."""
    damaged = bytearray(BODY)
    damaged[place] ^= 1
    reader = reader_of(bytes(damaged[:4]), bytes(damaged[4:]), digest=sha256(BODY))
    with pytest.raises(IntegrityError):
        await reader.read()


@pytest.mark.asyncio
@pytest.mark.parametrize("digest", [None, sha256(BODY)])
@pytest.mark.parametrize("count", [0, 1, 2])
async def test_a_short_object_is_found(digest, count):
    """An end before the known length fails, whatever else is known."""
    reader = reader_of(*CHUNKS[:count], digest=digest)
    chunks, error = await released(reader)
    assert chunks == list(CHUNKS[: max(count - 1, 0)])
    held = len(b"".join(CHUNKS[:count]))
    assert f"ended after {held} of 10 bytes" in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize("digest", [None, sha256(BODY)])
async def test_a_long_object_is_found(digest):
    """A byte beyond the known length fails the read before its end."""
    reader = reader_of(*CHUNKS[:-1], CHUNKS[-1] + b"!", digest=digest)
    chunks, error = await released(reader)
    assert chunks == list(CHUNKS[:1])
    assert "has more than 10 bytes" in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize(("algorithm", "digest"), [(MD5, md5), (SHA256, sha256)])
async def test_a_pin_is_what_counts(algorithm, digest):
    """A pinned digest replaces the one that stands beside the bytes."""
    reader = reader_of(*CHUNKS, digest=sha256(b"a lie"))
    reader.pin(algorithm, digest(BODY), size=len(BODY))
    assert reader.verified is Verified.DIGEST
    assert await reader.read() == BODY
    reader = reader_of(*CHUNKS, digest=sha256(BODY))
    reader.pin(algorithm, digest(b"other"))
    with pytest.raises(IntegrityError, match="does not match its digest"):
        await reader.read()


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [0, 9, 11])
async def test_a_pinned_size_is_checked_before_the_first_byte(size):
    """An object of another size than pinned gives no bytes at all."""
    reader = reader_of(*CHUNKS)
    reader.pin(SHA256, sha256(BODY), size=size)
    chunks, error = await released(reader)
    assert chunks == []
    assert f"has 10 bytes, not {size}" in str(error)


@pytest.mark.asyncio
async def test_a_pin_comes_before_the_first_read():
    """After a read it is too late, and the read goes on as it was."""
    reader = reader_of(*CHUNKS)
    assert await reader.read(1) == b"a"
    with pytest.raises(InvalidInput, match="pinned before its first read"):
        reader.pin(SHA256, sha256(b"other"))
    assert await reader.read() == BODY[1:]
    assert reader.verified is Verified.LENGTH


@pytest.mark.asyncio
async def test_a_range_cannot_be_pinned():
    """A digest of the whole says nothing about a part."""
    reader = reader_of(b"cd", span=range(2, 4))
    with pytest.raises(InvalidInput, match="range"):
        reader.pin(SHA256, sha256(BODY))
    assert await reader.read() == b"cd"


@pytest.mark.asyncio
async def test_a_range_has_its_exact_length():
    """A range is held against its length, not against the object's digest."""
    reader = reader_of(b"c", b"de", digest=sha256(BODY), span=range(2, 5))
    assert (reader.range, reader.verified) == (range(2, 5), Verified.LENGTH)
    assert await reader.read() == b"cde"
    for chunks in ([b"c"], [b"cd", b"ef"], []):
        reader = reader_of(*chunks, digest=sha256(BODY), span=range(2, 5))
        with pytest.raises(IntegrityError):
            await reader.read()


def test_a_reader_says_what_it_will_verify():
    """Before any read it is known what the bytes are held against."""
    assert reader_of().verified is Verified.LENGTH
    assert reader_of(digest=sha256(BODY)).verified is Verified.SHA256
    assert reader_of().range == range(10)
    assert reader_of().info.key == "some/key"


@pytest.mark.asyncio
async def test_an_empty_object_is_read():
    """An empty object ends at once, by iteration and by read."""
    for digest in (None, sha256(b"")):
        assert await released(reader_of(size=0, digest=digest)) == ([], None)
        assert await reader_of(size=0, digest=digest).read() == b""


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [-1, 0, 5])
async def test_an_empty_object_is_verified(size):
    """Nothing in the place of something is found, by iteration and by read."""
    reader = reader_of(size=0)
    reader.pin(SHA256, sha256(BODY))
    with pytest.raises(IntegrityError, match="does not match"):
        await reader.read(size)
    reader = reader_of(size=0, digest=sha256(BODY))
    assert (await released(reader))[1] is not None


@pytest.mark.asyncio
async def test_a_failure_stays():
    """After a failure every further read fails alike and gives no bytes."""
    reader = reader_of(*CHUNKS, digest=sha256(b"something else"))
    with pytest.raises(IntegrityError) as first:
        await reader.read()
    for again in (reader.read(), reader.read(1), anext(reader)):
        with pytest.raises(IntegrityError) as caught:
            await again
        assert caught.value is first.value


@pytest.mark.asyncio
async def test_a_failure_of_the_storage_passes_and_stays():
    """What the driver raises midway comes through, and again on the next read."""
    reader = reader_of(b"abc", b"def", BackendUnavailable("gone"), b"ghij")
    assert await reader.read(3) == b"abc"
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="gone"):
            await reader.read()


@pytest.mark.asyncio
async def test_large_chunks_are_verified_too():
    """Chunks that are hashed off the loop are hashed in order."""
    large = bytes(OFF_LOOP + 1)
    body = large + b"x" + large
    reader = reader_of(large, b"x", large, size=len(body), digest=sha256(body))
    assert await reader.read() == body


@pytest.mark.asyncio
@untimed
@given(
    st.lists(st.binary(max_size=6), max_size=8),
    st.lists(st.integers(0, 9), max_size=8),
)
async def test_reads_have_the_size_they_ask_for(chunks, sizes):
    """Each read gives exactly what it asks for until the bytes end."""
    body = b"".join(chunks)
    reader = reader_of(*chunks, size=len(body), digest=sha256(body))
    place = 0
    for size in sizes:
        assert await reader.read(size) == body[place : place + size]
        place = min(place + size, len(body))
    rest = [chunk async for chunk in reader]
    assert b"".join(rest) == body[place:]
    assert all(rest)
    assert await reader.read(5) == b""


@pytest.mark.asyncio
async def test_a_chunk_behind_the_end_is_found():
    """An object that is longer than its info by a whole chunk is damaged."""
    with pytest.raises(IntegrityError):
        await reader_of(*CHUNKS, b"!").read()


class Interrupted:
    """Chunks, and a digest that is cancelled while it takes one of them."""

    def __init__(self, monkeypatch, number):
        self.left = number
        take, is_as_expected = StreamDigest.take, StreamDigest.is_as_expected

        async def taken(digest, chunk):
            await take(digest, chunk)
            self.meet()

        async def ended(digest):
            self.meet()
            return await is_as_expected(digest)

        monkeypatch.setattr(StreamDigest, "take", taken)
        monkeypatch.setattr(StreamDigest, "is_as_expected", ended)

    def meet(self):
        self.left -= 1
        if self.left == 0:
            raise asyncio.CancelledError


@pytest.mark.asyncio
@pytest.mark.parametrize("number", range(1, len(CHUNKS) + 2))
@pytest.mark.parametrize("size", [None, -1, 1, 4, 100])
async def test_a_cancelled_read_loses_nothing(monkeypatch, number, size):
    """Whoever reads on after a deadline of his own gets every byte once."""
    Interrupted(monkeypatch, number)
    reader = reader_of(*CHUNKS, digest=sha256(BODY))
    got, cancelled = b"", 0
    while True:
        try:
            read = anext(reader, b"") if size is None else reader.read(size)
            piece = await read
        except asyncio.CancelledError:
            cancelled += 1
            continue
        if not piece:
            break
        got += piece
    assert got == BODY
    assert cancelled == 1
