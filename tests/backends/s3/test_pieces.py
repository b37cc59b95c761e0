"""Streams are cut into parts that 10 000 of them reach, within bounded memory."""

from __future__ import annotations

from hashlib import sha256

import pytest

from coatcheck.backends._s3 import _streams
from coatcheck.backends._s3._streams import Pieces
from coatcheck.errors import InvalidInput
from coatcheck.payloads._body import open_source

pytestmark = pytest.mark.asyncio
GIB = 2**30


class Sized:
    """A source that says how long it is, and is never read."""

    def __init__(self, size):
        self.size = size


@pytest.mark.parametrize(
    ("size", "length", "at_once"),
    [
        (0, 8, 3),
        (8 * 2**20, 8, 3),
        (70 * GIB, 8, 3),
        (110 * GIB, 12, 2),
        (150 * GIB, 16, 1),
        (300 * GIB, 31, 1),
        (None, 8, 3),
    ],
)
async def test_lengths_follow_the_size(size, length, at_once):
    """Long objects have longer parts and fewer of them in flight: 24 MiB at most."""
    pieces = Pieces(Sized(size), None)
    assert -(-pieces._length // 2**20) == length
    assert pieces.at_once == at_once
    assert pieces.at_once * pieces._length <= 32 * 2**20
    assert pieces.at_once == 1 or pieces.at_once * pieces._length <= 24 * 2**20
    assert size is None or pieces._length * 10_000 >= size


async def test_what_parts_cannot_reach_is_refused_at_once():
    """Beyond 312 GiB nothing is sent."""
    with pytest.raises(InvalidInput, match="312 GiB"):
        Pieces(Sized(313 * GIB), None)


@pytest.mark.parametrize("step", [1, 7, 10, 23, 100])
@pytest.mark.parametrize("known", [True, False])
async def test_every_byte_is_in_one_piece(monkeypatch, step, known):
    """However the source is cut, pieces are as long as said, and hash to the whole."""
    monkeypatch.setattr(_streams, "PIECE", 10)
    monkeypatch.setattr(_streams, "_LONGER_AFTER", 3)
    body = bytes(range(95))

    async def flow():
        for start in range(0, len(body), step):
            yield body[start : start + step]

    running = sha256()
    async with open_source(flow(), len(body) if known else None) as source:
        numbered = [item async for item in Pieces(source, running)]
    pieces = [piece for _, piece in numbered]
    assert [number for number, _ in numbered] == list(range(1, len(pieces) + 1))
    assert b"".join(pieces) == body
    assert running.digest() == sha256(body).digest()
    lengths = [10] * 9 if known else [10, 10, 10, 20, 20, 20]
    assert [len(piece) for piece in pieces] == [*lengths, 5]


async def test_a_stream_without_end_is_given_up(monkeypatch):
    """After as many parts as S3 takes, the error says what to do."""
    from dataclasses import replace

    monkeypatch.setattr(_streams, "PIECE", 4)
    monkeypatch.setattr(_streams, "LIMITS", replace(_streams.LIMITS, max_parts=3))

    async def flow():
        for _ in range(100):
            yield b"1234"

    async with open_source(flow()) as source:
        with pytest.raises(InvalidInput, match="size"):
            [piece async for piece in Pieces(source, None)]
