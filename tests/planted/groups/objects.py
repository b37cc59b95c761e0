"""What is broken in sessions, in their client and in the service."""

from __future__ import annotations

from tests.planted.defect import defect

SERVICE = "service"
SERVICE_TESTS = "service"
CLIENT = "backends/_service"
CLIENT_FAULTS = "backends/service/test_service_faults.py"
SESSIONS = "objects/test_sessions.py::TestOverMemory"
SERVED = "objects/test_sessions_served.py::TestServedFromMemory"

ON_SESSIONS = (
    defect(
        "a body that broke off is ended as if it were whole",
        f"{CLIENT}/_streams.py",
        "                await self._pour(to_request)\n",
        "                async with to_request:\n"
        "                    await self._pour(to_request)\n",
        f"{SERVED}::test_a_source_that_fails_leaves_what_was_there",
    ),
    defect(
        "the last chunk goes before the body's end is known",
        f"{CLIENT}/_streams.py",
        "_AHEAD: Final = 2",
        "_AHEAD: Final = 1",
        f"{SERVED}::test_parts_have_the_length_that_was_declared",
    ),
    defect(
        "the rest of a body passes for all of it",
        f"{CLIENT}/_streams.py",
        "        if self._begun:\n",
        "        if self._begun is None:\n",
        f"{CLIENT_FAULTS}::test_a_body_that_flows_is_read_by_one_request",
    ),
    defect(
        "a create over the wire conflicts with itself",
        f"{CLIENT}/_writes.py",
        "        receipt = await self.made(location, write_id)\n",
        "        receipt = None\n",
        f"{CLIENT_FAULTS}::test_a_conflict_with_oneself_is_none",
    ),
    defect(
        "a read over the wire that breaks off is given up",
        f"{CLIENT}/_reads.py",
        "if not self._tries or not self._etag:",
        "if self._tries or not self._etag:",
        f"{CLIENT_FAULTS}::test_a_body_that_breaks_off_is_read_on[1]",
    ),
    defect(
        "any page is an object",
        f"{CLIENT}/_metadata.py",
        "    if TIME_CREATED not in headers:\n        raise",
        "    if headers is None:\n        raise",
        f"{CLIENT_FAULTS}::test_pages_of_others_are_no_answers",
    ),
    defect(
        "bytes that a service did not confirm are forgotten",
        f"{CLIENT}/_resumable.py",
        "            del self._held[:gained]\n",
        "            self._held.clear()\n",
        "backends/service/test_service_resumable.py::test_a_service_may_hold_less_than_it_is_sent[None]",
    ),
    defect(
        "an upload whose end was sent is told as not done",
        f"{CLIENT}/_resumable.py",
        "Outcome.UNKNOWN if self._at_end else Outcome.NOT_APPLIED",
        "Outcome.NOT_APPLIED if self._at_end else Outcome.UNKNOWN",
        "backends/service/test_service_resumable.py::test_a_service_that_forgets_what_it_finished",
    ),
    defect(
        "an extension shortens",
        "_core/extensions.py",
        "        if asked <= deadline:\n",
        "        if asked == deadline:\n",
        f"{SESSIONS}::test_extending_never_shortens",
    ),
    defect(
        "a usecase's policy cannot be switched off",
        "objects/_writing.py",
        "        if isinstance(policy, Default):\n",
        "        if policy is None or isinstance(policy, Default):\n",
        f"{SESSIONS}::test_the_call_switches_expiry_off",
    ),
    defect(
        "ranges of compressed payloads count stored bytes",
        "objects/_opening.py",
        "                if self._accepted.undoes(reader.info):\n                    return None\n",
        "",
        f"{SESSIONS}::test_ranges_of_compressed_objects",
    ),
    defect(
        "only the first frame is read",
        "payloads/_compression.py",
        "self._frame, self._waiting = None, frame.unused_data",
        'self._frame, self._waiting = None, b""',
        "payloads/test_compression_streams.py::test_frames_follow_one_another",
    ),
    defect(
        "a frame that is cut is taken for whole",
        "payloads/_compression.py",
        "        if self._frame is not None:\n            raise IntegrityError(",
        "        if self._frame is None and self._waiting:\n            raise IntegrityError(",
        "payloads/test_compression_streams.py::test_a_cut_stream_is_seen",
    ),
    defect(
        "dense bodies are compressed again",
        "objects/_encoding.py",
        "spares_dense=asked is None",
        "spares_dense=asked is not None",
        f"{SESSIONS}::test_dense_bytes_are_left_alone",
    ),
    defect(
        "one failure ends the reaper",
        "objects/_reaper.py",
        "                self._tell(error)\n",
        "                self._tell(error)\n                return\n",
        "objects/test_reaper.py::test_failures_are_told_and_end_nothing",
    ),
    defect(
        "one failure ends a batch",
        "objects/_batch.py",
        "        except CoatcheckError as error:\n            return BatchResult(key=operation.key, error=error)\n",
        "        except ZeroDivisionError as error:\n            return BatchResult(key=operation.key, error=error)\n",
        f"{SESSIONS}::test_results_keep_the_order",
    ),
    defect(
        "tokens are kept until they expire",
        "objects/_auth.py",
        "timedelta(seconds=self.expiry_seconds) / 2",
        "timedelta(seconds=self.expiry_seconds) / 1",
        "objects/test_auth.py::test_tokens_of_requests_are_kept_for_half_their_time",
    ),
    defect(
        "deleting a scope takes those whose names begin alike",
        "objects/_usage.py",
        'f"{usecase}/{scope.folder}/"',
        'f"{usecase}/{scope.folder}"',
        "objects/test_usage.py::test_a_scope_goes_with_all_below",
    ),
)

ON_SERVICE = (
    defect(
        "a token opens wider scopes than it names",
        f"{SERVICE}/_grants.py",
        "        if not self.opens_wider and len(pairs) != len(self.scopes):\n            return False\n",
        "",
        f"{SERVICE_TESTS}/test_tokens.py::test_refused_tokens[more scopes]",
    ),
    defect(
        "a token may live for ever",
        f"{SERVICE}/_tokens.py",
        "        if found.until > seconds + self._longest + _LEEWAY:\n",
        "        if found.until < 0:\n",
        f"{SERVICE_TESTS}/test_tokens.py::test_refused_tokens[exp far off]",
    ),
    defect(
        "a signature has several texts",
        f"{SERVICE}/_presigned.py",
        "    if len(signature) != _SIGNATURE_SIZE or again != text:\n",
        "    if len(signature) != _SIGNATURE_SIZE:\n",
        f"{SERVICE_TESTS}/test_presigned.py::test_the_unused_bits_of_a_signature",
    ),
    defect(
        "a presigned URL lists a scope",
        f"{SERVICE}/_grants.py",
        "        if permission != Permission.OBJECT_READ or not is_one:\n",
        "        if permission != Permission.OBJECT_READ:\n",
        f"{SERVICE_TESTS}/test_presigned.py::test_no_other_route",
    ),
    defect(
        "a key is decoded twice",
        f"{SERVICE}/_targets.py",
        "        text = unquote_to_bytes(rest).decode()\n",
        "        text = unquote_to_bytes(unquote_to_bytes(rest)).decode()\n",
        f"{SERVICE_TESTS}/test_objects.py::test_keys_are_decoded_once[memory-looks%2520encoded-looks%20encoded]",
    ),
    defect(
        "half a body becomes an object",
        f"{SERVICE}/_bodies.py",
        "            raise ClientGone\n",
        '            self._is_whole = True\n            return b""\n',
        f"{SERVICE_TESTS}/test_bad_requests.py::test_bodies_that_end_early",
    ),
    defect(
        "a chunked body has no bound",
        f"{SERVICE}/_bodies.py",
        "        self._check(self._received)\n",
        "",
        f"{SERVICE_TESTS}/test_bad_requests.py::test_bodies_that_are_too_long[memory-False]",
    ),
    defect(
        "a slot stays taken",
        f"{SERVICE}/_limits.py",
        "            finally:\n                self._give_back()\n",
        "            finally:\n                pass\n",
        f"{SERVICE_TESTS}/test_limits.py::test_slots",
    ),
    defect(
        "an answer goes on for nobody",
        f"{SERVICE}/_reads.py",
        "        pass\n    raise ClientGone\n",
        "        pass\n    await anyio.sleep_forever()\n",
        f"{SERVICE_TESTS}/test_disconnects.py::test_an_answer_ends_with_its_client",
    ),
    defect(
        "answers can be sniffed",
        f"{SERVICE}/_frame.py",
        '        "x-content-type-options": "nosniff",\n',
        "",
        f"{SERVICE_TESTS}/test_objects.py::test_every_answer_is_inert[memory]",
    ),
    defect(
        "HEAD is no access",
        f"{SERVICE}/_reads.py",
        "        await call.bucket.renew(info)\n",
        "",
        f"{SERVICE_TESTS}/test_objects.py::test_deadlines[memory]",
    ),
    defect(
        "a finished session is forgotten",
        f"{SERVICE}/_resumable.py",
        "    await _note_end(call, session)\n",
        "",
        f"{SERVICE_TESTS}/test_uploads.py::test_a_lost_last_answer",
    ),
    defect(
        "a session is good for every key",
        f"{SERVICE}/_resumable.py",
        '    if told is None or told["key"] != call.stored_key:\n',
        "    if told is None:\n",
        f"{SERVICE_TESTS}/test_uploads.py::test_a_session_of_another_key",
    ),
    defect(
        "a declared digest is not compared",
        f"{SERVICE}/_bodies.py",
        "            if self._is_whole and self._hasher.hexdigest() != self._sha256:\n",
        "            if self._is_whole and not self._sha256:\n",
        f"{SERVICE_TESTS}/test_objects.py::test_a_declared_digest[memory]",
    ),
    defect(
        "a signal cuts requests off",
        f"{SERVICE}/_server.py",
        "            self.should_exit = self.should_exit or over or not self._service.in_flight\n",
        "            self.should_exit = self.force_exit = True\n",
        f"{SERVICE_TESTS}/test_lifecycle.py::test_a_signal_lets_requests_end",
    ),
    defect(
        "what the storage says is told to everybody",
        f"{SERVICE}/_answers.py",
        "            causes=(str(error.kind),),\n",
        "            causes=(error.message,),\n",
        f"{SERVICE_TESTS}/test_answers.py::test_failures_of_the_storage",
    ),
)
