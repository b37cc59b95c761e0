"""What is broken in payloads."""

from __future__ import annotations

from tests.planted.defect import defect

ON_PAYLOADS = (
    defect(
        "the digest of what is read is not compared",
        "payloads/_integrity.py",
        "if not await self._digest.is_as_expected():",
        "if await self._digest.is_as_expected() is None:",
        "payloads/test_integrity.py::test_a_damaged_byte_is_found",
    ),
    defect(
        "a stream runs ahead of its digest without a bound",
        "payloads/_hashing.py",
        "if self._taken - self._hashed > _MOST_BEHIND:",
        "if self._hashed > self._taken:",
        "payloads/test_hashing.py::test_a_stream_runs_only_so_far_ahead",
    ),
    defect(
        "a cancelled read loses the chunk that was ready",
        "payloads/_integrity.py",
        "            self._left = released\n",
        "",
        "payloads/test_integrity.py::test_a_cancelled_read_loses_nothing",
    ),
    defect(
        "a cancelled read loses what it had gathered",
        "payloads/_integrity.py",
        '            self._left = b"".join([*pieces, self._left])\n',
        "",
        "payloads/test_integrity.py::test_a_cancelled_read_loses_nothing",
    ),
    defect(
        "only the stored digest is compared, and not the pinned one",
        "payloads/_integrity.py",
        "        self._digest = StreamDigest(algorithm, digest)\n",
        "",
        "payloads/test_integrity.py::test_a_pin_is_what_counts",
    ),
    defect(
        "the last chunk is released before the whole is verified",
        "payloads/_integrity.py",
        "            released, self._held = self._held, chunk\n",
        "            released = chunk\n",
        "payloads/test_integrity.py::test_the_last_chunk_is_held_back",
    ),
    defect(
        "decompression has no bound",
        "payloads/_compression.py",
        "            left -= len(piece)\n",
        "",
        "payloads/test_compression.py::test_the_limit_is_kept_to_the_byte",
    ),
    defect(
        "a second frame is taken",
        "payloads/_compression.py",
        "    if decompressor.unused_data:\n",
        "    if not decompressor.eof:\n",
        "payloads/test_compression.py::test_nothing_may_follow_the_frame",
    ),
    defect(
        "msgpack extensions are taken",
        "payloads/_msgpack.py",
        '    raise PayloadError(f"the payload has msgpack extension type {code}")\n',
        "    return code, _data\n",
        "payloads/test_hostile_msgpack.py::test_extension_types_are_refused",
    ),
    defect(
        "the nodes of a payload are not counted",
        "payloads/_msgpack.py",
        "        self._nodes += nodes\n",
        "        self._nodes = nodes\n",
        "payloads/test_hostile_msgpack.py::test_nodes_are_counted_to_the_last",
    ),
    defect(
        "the caller's buffer is kept",
        "payloads/_body.py",
        "        body = bytes(body)\n",
        "",
        "backends/test_contract.py::TestMemory::test_the_callers_buffers_are_not_kept",
    ),
    defect(
        "everything runs at once",
        "payloads/_parallel.py",
        "workers = iter(range(at_once))",
        "workers = iter(range(at_once * 1000))",
        "payloads/test_payloads_planted_gaps.py::test_no_more_calls_run_than_allowed",
    ),
)
