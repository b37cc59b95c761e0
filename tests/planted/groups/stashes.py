"""What is broken in expiry, in stashes, and in what is joined and kept."""

from __future__ import annotations

from tests.planted.defect import defect

TRAFFIC = "stashes/test_traffic.py"
CACHING = "stashes/test_caching.py"

ON_EXPIRY = (
    defect(
        "an object is served at its deadline",
        "_core/expiry.py",
        "deadline is not None and now >= deadline",
        "deadline is not None and now > deadline",
        "_core/test_expiry.py::test_a_deadline_is_the_first_moment_of_absence",
    ),
    defect(
        "every read renews",
        "_core/expiry.py",
        "return fresh if deadline < fresh - debounce else None",
        "return fresh if deadline < fresh else None",
        "_core/test_expiry.py::test_the_debounce_is_exact",
    ),
    defect(
        "this machine's clock counts instead of the backend's",
        "wrappers/_deadlines.py",
        "        return self.backend.now()\n",
        "        return __import__('coatcheck._core.expiry')._core.expiry.utc_now()\n",
        "backends/test_contract.py::TestMemory::test_from_its_deadline_nothing_is_there",
    ),
    defect(
        "a scan shows what has expired",
        "wrappers/_expiring.py",
        "self._not_over(await self.looked_at(page))",
        "tuple(await self.looked_at(page))",
        "backends/test_contract.py::TestMemory::test_from_its_deadline_nothing_is_there",
    ),
    defect(
        "a read gives what has expired",
        "wrappers/_expiring.py",
        "            self._bucket.refuse_expired(reader.info)\n",
        "",
        "backends/test_contract.py::TestMemory::test_from_its_deadline_nothing_is_there",
    ),
    defect(
        "a reaper deletes what was touched meanwhile",
        "wrappers/_expiring.py",
        "await self._inner.delete(info.key, if_match=info.etag)",
        "await self._inner.delete(info.key)",
        "wrappers/test_wrappers_planted_gaps.py::test_a_reaper_deletes_only_what_it_saw",
    ),
    defect(
        "a reaper does not look again under its claim",
        "wrappers/_claims.py",
        """\
            if not self.is_over(standing):
                return False
            if self.now() >= until:
""",
        "            if self.now() >= until:\n",
        "wrappers/test_claims.py::test_the_reaper_looks_again_under_its_claim",
    ),
    defect(
        "a reaper takes no claim",
        "wrappers/_claims.py",
        "await self._inner.put(name, uuid4().bytes, mode=Write.CREATE)",
        "await self._inner.put(name, uuid4().bytes)",
        "wrappers/test_claims.py::test_who_creates_waits_for_the_reapers_claim",
    ),
    defect(
        "a link outlives its object",
        "wrappers/_expiring.py",
        "                expires_in = min(expires_in, info.deadline - self.now())\n",
        "                pass\n",
        "wrappers/test_wrappers_planted_gaps.py::test_a_link_never_outlives_its_object",
    ),
)

ON_STASHES = (
    defect(
        "calls wait for no slot",
        "wrappers/_bounds.py",
        "            await self.bounds.take_slot()\n            try:\n                return await call()\n            finally:\n                self.bounds.slots.release()\n",
        "            return await call()\n",
        "wrappers/test_guarded_slots.py::test_no_more_calls_run_than_allowed",
    ),
    defect(
        "calls have no deadline",
        "wrappers/_bounds.py",
        """\
        with until_deadline(self.bounds.seconds):
            return await call()
        raise self._timed_out(operation, key)
""",
        "        return await call()\n",
        "wrappers/test_guarded_slots.py::test_a_stream_that_waits_for_a_slot_has_a_deadline",
    ),
    defect(
        "the digest of a streamed stash is not compared",
        "stashes/_pins.py",
        "reader.pin(DigestAlgorithm.SHA256, address.sha256, size=address.size)",
        "pass",
        "stashes/test_stashes_planted_gaps.py::test_a_stream_is_held_against_its_address",
    ),
    defect(
        "a create does not compare what stands under its address",
        "stashes/_store.py",
        "                    await self._read(bucket, address)\n",
        "                    pass\n",
        "stashes/test_stashes.py::test_other_bytes_under_an_address",
    ),
    defect(
        "a create fails when what it found is deleted",
        "stashes/_store.py",
        "                taken = False\n",
        "                raise\n",
        "stashes/test_one_step.py::test_what_vanishes_while_it_is_compared_is_written_again",
    ),
    defect(
        "the digest of a compressed stash is not compared",
        "stashes/_claiming.py",
        "if await stash_digest(body, algorithm) != address.digest:",
        "if not await stash_digest(body, algorithm):",
        "stashes/test_stashes_planted_gaps.py::test_a_compressed_stash_is_held_against_its_address",
    ),
)

ON_TRAFFIC = (
    defect(
        "those who wait are cancelled with the one who works",
        "stashes/_flights.py",
        "        except CoatcheckError as error:\n            flight.fail(error)\n",
        """\
        except BaseException as error:
            flight.began = self._attempts = self._attempts + 1
            flight.fail(error)
""",
        f"{TRAFFIC}::test_a_cancelled_writer_hands_over",
        f"{TRAFFIC}::test_a_cancelled_reader_leaves_the_others",
    ),
    defect(
        "nobody takes over from the one who was cancelled",
        "stashes/_flights.py",
        "        finally:\n            self._go_on(flight)\n",
        """\
        finally:
            if self._is_current(flight):
                del self._under_way[flight.spot][flight.kind]
""",
        "stashes/test_flights.py::test_a_cancelled_worker_hands_over",
    ),
    defect(
        "who is cancelled as its turn comes does not hand over",
        "stashes/_flights.py",
        "        if waiter.leads:\n            # It was",
        "        if not waiter:\n            # It was",
        "stashes/test_flights.py::test_a_promoted_waiter_that_is_cancelled_hands_over",
    ),
    defect(
        "a failure is told to those who came after its attempt began",
        "stashes/_flights.py",
        "[each for each in self.waiters if each.asked < self.began]",
        "list(self.waiters)",
        f"{TRAFFIC}::test_what_was_created_elsewhere_meanwhile_is_found",
        f"{TRAFFIC}::test_a_failed_write_is_tried_once_more_for_the_others",
    ),
    defect(
        "one error is raised in many tasks",
        "stashes/_flights.py",
        "raise _own(waiter.failure) from waiter.failure",
        "raise waiter.failure",
        "stashes/test_flights.py::test_everybody_raises_an_error_of_his_own",
    ),
    defect(
        "creates of different payloads are one write",
        "stashes/_traffic.py",
        "    return place.scheme, place.bucket, place.prefix + key\n",
        "    return place.scheme, place.bucket, place.prefix + key.split('.')[0]\n",
        f"{TRAFFIC}::test_what_is_not_equal_is_written",
    ),
    defect(
        "creates of one name are one write, whatever they hold",
        "stashes/_traffic.py",
        "            (expires, body),\n",
        "            (expires, None),\n",
        "stashes/test_one_step.py::test_equal_creates_are_one_write_and_others_are_not",
    ),
    defect(
        "in one step deadlines do not count",
        "wrappers/_one_step.py",
        "return held if is_as_read(info.expiry, info.deadline, self._now()) else None",
        "return held",
        "stashes/test_one_step.py::test_expiring_stashes_are_read_in_one_step_until_they_expire",
    ),
    defect(
        "creates with different expiries are one write",
        "stashes/_traffic.py",
        "            (expires, body),\n",
        "            (None, body),\n",
        f"{TRAFFIC}::test_of_different_expiries_the_latest_holds",
    ),
    defect(
        "a create takes the deadline of a write that began long before",
        "stashes/_traffic.py",
        "return asked is None or satisfies(expires, kept.info.deadline, asked)",
        "return True",
        f"{TRAFFIC}::test_a_create_lives_as_long_as_if_it_were_alone",
    ),
    defect(
        "a read is joined after a delete",
        "stashes/_traffic.py",
        "        self._gets.forget(spot)\n",
        "",
        f"{TRAFFIC}::test_what_was_changed_meanwhile_is_read_anew",
        f"{CACHING}::test_a_read_that_a_delete_overtakes_is_not_kept",
    ),
    defect(
        "calls go deep before their turn",
        "stashes/_traffic.py",
        "        if turns.is_free(1):\n",
        "        if turns:\n",
        f"{TRAFFIC}::test_who_waits_for_a_turn_has_not_gone_deep",
    ),
    defect(
        "memory takes part",
        "stashes/_store.py",
        "            if bucket.is_immediate:\n                return await self._put",
        "            if not bucket:\n                return await self._put",
        f"{TRAFFIC}::test_memory_takes_no_part",
    ),
    defect(
        "memory serves past the deadline",
        "_core/expiry.py",
        "return not is_expired(deadline, now) and renewed",
        "return deadline is not None and renewed",
        f"{CACHING}::test_a_hit_honours_the_deadline",
        "stashes/test_cache.py::test_nothing_is_served_at_its_deadline",
    ),
    defect(
        "reads from memory never renew",
        "_core/expiry.py",
        " and renewed(expiry, deadline, now) is None",
        "",
        f"{CACHING}::test_a_hit_counts_for_time_to_idle",
    ),
    defect(
        "what is in memory is never stale",
        "stashes/_cache.py",
        "            now - claimed.asked >= self._ttl\n            or monotonic()",
        "            now is None\n            or monotonic()",
        f"{CACHING}::test_anothers_delete_is_unseen_for_at_most_the_ttl",
    ),
    defect(
        "a clock that is set back keeps what is in memory",
        "stashes/_cache.py",
        "            or monotonic() - claimed.ticks >= self._seconds\n",
        "",
        "stashes/test_cache.py::test_a_clock_that_is_set_back_does_not_stretch_the_ttl",
    ),
    defect(
        "a body is kept that was held against nothing",
        "stashes/_claiming.py",
        "                pin_to(reader, address)\n                return await reader.read()",
        "                return await reader.read()",
        f"{CACHING}::test_only_what_was_verified_is_kept",
    ),
    defect(
        "memory does not look at what an address pins",
        "stashes/_cache.py",
        "if entry.pins != pins or not is_current(claimed.info, now):",
        "if not is_current(claimed.info, now):",
        f"{CACHING}::test_bytes_are_served_only_to_the_pins_they_were_held_against",
    ),
    defect(
        "memory has no bound",
        "stashes/_cache.py",
        "        self._used += weight\n",
        "",
        "stashes/test_cache.py::test_the_one_not_used_for_longest_goes_first",
        f"{CACHING}::test_the_bound_on_bytes_is_kept",
    ),
    defect(
        "a delete leaves what is in memory",
        "stashes/_traffic.py",
        "            self._cache.forget(spot)\n",
        "            pass\n",
        f"{CACHING}::test_our_own_changes_are_seen_at_once",
    ),
    defect(
        "creates of many hold any number of bytes",
        "stashes/_batches.py",
        "                    await portion.take(len(draft.body))\n",
        "",
        "stashes/test_batches.py::test_creates_hold_few_bytes",
    ),
    defect(
        "retrieves of many hold any number of bytes",
        "stashes/_budget.py",
        "            raise NoRoom(size)\n",
        "            budget.change(0)\n",
        "stashes/test_batches.py::test_retrieves_hold_few_bytes",
    ),
    defect(
        "a body is decompressed without room for it",
        "stashes/_claiming.py",
        "            portion.fit(len(stored) + size_in_frame(stored, unknown=limit))\n",
        "            portion.fit(len(stored))\n",
        "stashes/test_batches.py::test_what_is_compressed_takes_room_for_all_of_it",
    ),
    defect(
        "who is cancelled while it waits for bytes keeps them",
        "stashes/_budget.py",
        "                self.change(-size)\n",
        "                pass\n",
        "stashes/test_budget.py::test_who_is_cancelled_holds_nothing",
    ),
)
