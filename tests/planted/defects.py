"""What is planted: small breaks of the library, and the test that sees each."""

from __future__ import annotations

from dataclasses import dataclass

SRC = "src/coatcheck"


@dataclass(frozen=True, kw_only=True, slots=True)
class Defect:
    """One break."""

    name: str
    """What is broken."""
    file: str
    """The file, from the project's root."""
    old: str
    """The sound text, which stands in the file exactly once."""
    new: str
    """The broken text."""
    tests: tuple[str, ...]
    """Node ids of tests, each of which must fail."""
    hangs: bool = False
    """Whether the tests never end instead."""


def defect(name: str, file: str, old: str, new: str, *tests: str) -> Defect:
    """Return a defect of the library."""
    paths = tuple(f"tests/{test}" for test in tests)
    return Defect(name=name, file=f"{SRC}/{file}", old=old, new=new, tests=paths)


FILES = "backends/_filesystem"
S3 = "backends/_s3"
HTTPS = "backends/_https"
SERVICE = "service"
SERVICE_TESTS = "service"
S3_GAPS = "integration/test_integration_planted_gaps.py"
TRAFFIC = "stashes/test_traffic.py"
CACHING = "stashes/test_caching.py"
FILES_GAPS = "backends/test_backends_planted_gaps.py"

CLIENT = "backends/_service"
CLIENT_FAULTS = "backends/service/test_service_faults.py"
SESSIONS = "objects/test_sessions.py::TestOverMemory"
SERVED = "objects/test_sessions_served.py::TestServedFromMemory"

ON_FILES = (
    defect(
        "the file is not brought to the disk",
        f"{FILES}/_draft.py",
        "        if self._disk.durable:\n            self._disk.calls.sync(self._descriptor)\n",
        "",
        "backends/test_files_disk_faults.py::test_a_file_that_was_not_brought_to_the_disk_is_not_published",
    ),
    defect(
        "the folder is not brought to the disk",
        f"{FILES}/_objects.py",
        '                self._make_durable(folder, key, "written")\n',
        "",
        "backends/test_files_disk_faults.py::test_a_folder_that_was_not_brought_to_the_disk_is_unknown",
    ),
    defect(
        "an object is published before its tail is written",
        f"{FILES}/_objects.py",
        """\
        draft.seal(rest, pack_tail(Record(key=key, size=size, info=info)), micros)
        path, name = self.place(key)
        write_id = info.write_id or ""
        created = False

        def attempt() -> None:
            nonlocal created
            with self.disk.folder(path, make=True) as folder:
                created = self._install(draft, folder, name, key, mode)
""",
        """\
        path, name = self.place(key)
        write_id = info.write_id or ""
        created = False

        def attempt() -> None:
            nonlocal created
            with self.disk.folder(path, make=True) as folder:
                created = self._install(draft, folder, name, key, mode)
                draft.seal(
                    rest, pack_tail(Record(key=key, size=size, info=info)), micros
                )
""",
        "backends/test_files_disk_faults.py::test_a_file_that_was_not_brought_to_the_disk_is_not_published",
    ),
    defect(
        "objects are opened through symlinks",
        f"{FILES}/_calls.py",
        "_READ: Final = os.O_RDONLY | os.O_NOFOLLOW |",
        "_READ: Final = os.O_RDONLY |",
        f"{FILES_GAPS}::test_a_symlink_to_a_sound_object_is_refused",
    ),
    defect(
        "folders are opened through symlinks",
        f"{FILES}/_calls.py",
        "_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW |",
        "_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY |",
        "backends/test_files_confinement.py::test_a_symlink_as_bucket_folder_is_refused",
    ),
    defect(
        "locks are opened through symlinks",
        f"{FILES}/_calls.py",
        "_LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW |",
        "_LOCK: Final = os.O_RDWR | os.O_CREAT |",
        "backends/test_files_confinement.py::test_a_symlink_as_lock_is_not_opened",
    ),
    defect(
        "CREATE replaces what stands instead of linking",
        f"{FILES}/_objects.py",
        "                if mode is Write.CREATE:\n",
        "                if mode is None:\n",
        "backends/test_contract.py::TestFiles::test_create_needs_a_free_key",
    ),
    defect(
        "a touch does not compare the ETag",
        f"{FILES}/_objects.py",
        "            self._check_etag(key, etag)\n",
        "",
        f"{FILES_GAPS}::test_a_touch_is_of_the_object_that_was_seen",
    ),
    defect(
        "a conditional delete does not compare the ETag",
        f"{FILES}/_objects.py",
        "                if if_match is not None:\n                    self._check_etag(key, if_match)\n",
        "",
        "backends/test_contract.py::TestFiles::test_conditional_deletes",
    ),
    defect(
        "a sweep takes young drafts",
        f"{FILES}/_sweep.py",
        "if begun is not None and begun <= before:",
        "if begun is not None:",
        "backends/test_files_sweep.py::test_old_drafts_go_and_young_ones_stay",
    ),
    defect(
        "a cancelled call's result is not freed",
        f"{FILES}/_pool.py",
        "        if discard is not None and job.error is None:\n",
        "        if discard is None and job.error is None:\n",
        "backends/test_files_pool.py::test_a_running_call_that_is_cancelled_is_waited_for",
    ),
    defect(
        "a record of another key is taken",
        f"{FILES}/_objects.py",
        "if key is not None and record.key != key:",
        "if key is None and record.key != key:",
        "backends/test_files_hostile.py::test_the_record_of_another_key_is_damage",
    ),
)

HOSTILE_S3 = "backends/s3/test_hostile_answers.py"

ON_S3 = (
    defect(
        "a listing may go in circles",
        f"{S3}/_pages.py",
        "if marker == self._remembered:",
        "if not marker:",
        f"{HOSTILE_S3}::test_a_listing_that_goes_in_circles_ends",
    ),
    defect(
        "only an endless page is noticed",
        f"{S3}/_pages.py",
        "if self._pages == self._renewed_at:",
        "if self._pages == 1:",
        f"{HOSTILE_S3}::test_a_listing_that_goes_in_circles_ends",
    ),
    defect(
        "errors show the request",
        f"{S3}/_redaction.py",
        "each.args = (each.request_info, each.history)",
        "",
        f"{HOSTILE_S3}::test_no_error_keeps_the_request",
    ),
    defect(
        "uploads are told apart by key alone",
        f"{S3}/_multipart.py",
        '{"NextKeyMarker": "KeyMarker", "NextUploadIdMarker": "UploadIdMarker"}',
        '{"NextKeyMarker": "KeyMarker"}',
        f"{HOSTILE_S3}::test_a_long_listing_ends_by_itself",
    ),
    defect(
        "CREATE has no condition",
        f"{S3}/_conditions.py",
        'return {"IfNoneMatch": "*"} if mode is Write.CREATE else {}',
        "return {}",
        f"{S3_GAPS}::test_conditions_are_sent",
    ),
    defect(
        "Update has no condition",
        f"{S3}/_conditions.py",
        'return {"IfMatch": quoted(mode.etag)}',
        "return {}",
        f"{S3_GAPS}::test_conditions_are_sent",
    ),
    defect(
        "409 is taken for an object that exists",
        f"{S3}/_conditions.py",
        "                settled = await self._own(key, is_ours, error)\n",
        "                raise self._refused(key, mode) from error\n",
        f"{S3_GAPS}::test_a_contended_write_is_tried_again",
    ),
    defect(
        "412 is taken for success",
        f"{S3}/_conditions.py",
        "        raise self._refused(key, mode) from error\n",
        "        return receipt_of(standing)\n",
        f"{S3_GAPS}::test_a_refused_write_is_no_success",
    ),
    defect(
        "a repeated write does not know itself",
        f"{S3}/_conditions.py",
        """\
        if standing is not None and is_ours(standing):
            return receipt_of(standing)
        if standing is None and mode is Write.CREATE:
""",
        "        if standing is None and mode is Write.CREATE:\n",
        f"{S3_GAPS}::test_a_write_whose_answer_was_lost_knows_itself",
    ),
    defect(
        "the upload of a stream that failed is left",
        f"{S3}/_streams.py",
        """\
        except BaseException:
            await to_completion(self._abort_quietly(upload))
            raise
""",
        "        except BaseException:\n            raise\n",
        f"{S3_GAPS}::test_a_stream_that_fails_leaves_no_upload",
    ),
    defect(
        "the upload of a stream that was cancelled at its beginning is left",
        f"{S3}/_streams.py",
        """\
        upload = await to_completion(
            self.initiate(key, info=info, mode=mode), undo=self._abort_quietly
        )
""",
        "        upload = await self.initiate(key, info=info, mode=mode)\n",
        f"{S3_GAPS}::test_a_stream_cancelled_at_its_beginning_leaves_no_upload",
    ),
    defect(
        "the wait for a connection has no bound",
        f"{S3}/_backend.py",
        "        with anyio.move_on_after(_SLOT_SECONDS):\n",
        "        if self._slots is not None:\n",
        f"{S3_GAPS}::test_the_wait_for_a_connection_is_bounded",
    ),
    defect(
        "keys are escaped twice",
        f"{S3}/_requests.py",
        '{"Bucket": self._name, **self.owner(), **parameters}\n',
        """\
{"Bucket": self._name, **self.owner(), **parameters} | {
            name: __import__("urllib.parse").parse.quote(parameters[name])
            for name in ("Key",)
            if name in parameters
        }
""",
        f"{S3_GAPS}::test_keys_are_escaped_once",
    ),
    defect(
        "this machine's clock counts instead of the store's",
        f"{S3}/_backend.py",
        "utc_now() + self._offset if self._clock is None",
        "utc_now() if self._clock is None",
        f"{S3_GAPS}::test_the_clock_is_the_stores",
    ),
    defect(
        "a body that was not read keeps its connection",
        f"{S3}/_chunks.py",
        "            self._body.close()\n",
        "",
        f"{S3_GAPS}::test_a_body_that_is_left_frees_its_connection",
    ),
    defect(
        "a body that broke off goes on with another object",
        f"{S3}/_chunks.py",
        "await self.open(Range=span, IfMatch=quoted(etag))",
        "await self.open(Range=span)",
        f"{S3_GAPS}::test_a_body_does_not_go_on_with_another_object",
    ),
    defect(
        "a write without an answer is said not to be done",
        f"{S3}/_errors.py",
        "Outcome.UNKNOWN if self._writes and sent else Outcome.NOT_APPLIED",
        "Outcome.NOT_APPLIED",
        f"{S3_GAPS}::test_a_write_whose_answer_broke_off_is_asked_for",
    ),
    defect(
        "a listing ends after a page",
        f"{S3}/_pages.py",
        'if not response.get("IsTruncated") or not following:',
        "if response:",
        "integration/test_s3_contract.py::TestMoto::test_many_objects_come_page_by_page",
    ),
)

WIRE = f"{S3}/_wire"
WIRE_TESTS = "backends/s3/test_wire_answers.py"

ON_WIRE = (
    defect(
        "a refused condition is sent again",
        f"{WIRE}/_wire.py",
        '(412, "PreconditionFailed")})',
        "})",
        f"{WIRE_TESTS}::test_a_refused_condition_is_not_sent_again",
    ),
    defect(
        "the wire follows redirects",
        f"{WIRE}/_wire.py",
        "allow_redirects=False",
        "allow_redirects=True",
        f"{WIRE_TESTS}::test_a_bucket_elsewhere_is_left_to_the_sdk",
    ),
    defect(
        "the wire undoes compression",
        f"{WIRE}/_sdk.py",
        "auto_decompress=False",
        "auto_decompress=True",
        f"{WIRE_TESTS}::test_compression_that_nobody_asked_for_is_not_undone",
    ),
    defect(
        "a refused attempt counts as one that may have been done",
        f"{WIRE}/_wire.py",
        "        if status in _REFUSED:\n",
        "        if status not in range(1000):\n",
        f"{WIRE_TESTS}::test_expired_credentials_are_told",
    ),
    defect(
        "role credentials are not refreshed",
        f"{WIRE}/_wire.py",
        "await self._sign(request, base, await give())",
        "await self._sign(request, base, give.__self__._frozen_credentials)",
        f"{WIRE_TESTS}::test_role_credentials_rotate_in_mid_run",
    ),
    defect(
        "a day's signing key is used for ever",
        f"{WIRE}/_signer.py",
        "if self._key_for != (secret, day, region):",
        "if self._key_for is None:",
        "backends/s3/test_wire_signer.py::test_a_days_key_is_not_used_for_another",
    ),
    defect(
        "keys are escaped as in queries",
        f"{WIRE}/_outgoing.py",
        'quote(parameters["Key"], safe="/~")',
        'quote(parameters["Key"], safe="/~+")',
        "backends/s3/test_wire_requests.py::test_requests_are_the_sdks[head-pl+us]",
    ),
    defect(
        "links to a region name the global host",
        f"{S3}/_client.py",
        'context["use_global_endpoint"] = False',
        "context.get('use_global_endpoint')",
        "backends/s3/test_wire_requests.py::test_links_stay_in_their_region",
    ),
)

ON_LINKS = (
    defect(
        "redirects are followed",
        f"{HTTPS}/_reads.py",
        "allow_redirects=False",
        "allow_redirects=True",
        "backends/https/test_https_hostile.py::test_redirects_are_not_followed",
    ),
    defect(
        "every host is trusted",
        f"{HTTPS}/_trust.py",
        "        if not self._trusts(origin):\n",
        "        if not origin.host:\n",
        "backends/https/test_https_trust.py::test_what_only_looks_like_amazon_is_not",
    ),
    defect(
        "plain http is trusted",
        f"{HTTPS}/_trust.py",
        "        if origin.scheme != HTTPS:\n            return False\n",
        "",
        "backends/https/test_https_planted_gaps.py::test_a_trusted_host_is_trusted_over_https_only",
    ),
    defect(
        "a trusted address may be private",
        f"{HTTPS}/_trust.py",
        "if is_address(origin.host) and not is_public(origin.host):",
        "if not is_address(origin.host) and not origin.host:",
        "backends/https/test_https_addresses.py::test_a_trusted_address_must_be_public",
    ),
    defect(
        "the addresses of a name are not checked when it is connected to",
        f"{HTTPS}/_resolver.py",
        'if not all(is_public(each["host"]) for each in found):',
        "if not found:",
        "backends/https/test_https_addresses.py::test_every_address_of_a_name_must_be_public",
    ),
    defect(
        "one public address is enough",
        f"{HTTPS}/_resolver.py",
        'if not all(is_public(each["host"]) for each in found):',
        'if not any(is_public(each["host"]) for each in found):',
        "backends/https/test_https_addresses.py::test_every_address_of_a_name_must_be_public",
    ),
    defect(
        "a private address in an IPv6 one is public",
        f"{HTTPS}/_hosts.py",
        "return _is_public_v4(address.ipv4_mapped)",
        "return True",
        "backends/https/test_https_addresses.py::test_wrapping_does_not_make_public",
    ),
    defect(
        "a link's body that was not read keeps its connection",
        f"{HTTPS}/_reads.py",
        "        if self._response is not None:\n            self._response.close()\n",
        "",
        "backends/https/test_https_lifetime.py::test_unread_reads_free_their_connections",
    ),
    defect(
        "an address shows its link's signature",
        "_core/address.py",
        "return f\"{self.url.partition('?')[0]}?...\"",
        "return self.url",
        "_core/test_address.py::test_repr_hides_payload_and_signature",
    ),
    defect(
        "an error shows the link's signature",
        f"{HTTPS}/_links.py",
        'return f"{text[:_SHOWN]}?..." if self.query else text[:_SHOWN]',
        'return f"{text}?{self.query}"',
        "backends/https/test_https_secrets.py::test_refused_links_do_not_show_it",
    ),
)

ON_PAYLOADS = (
    defect(
        "the digest of what is read is not compared",
        "payloads/_integrity.py",
        "if self._hasher is not None and self._hasher.hexdigest() != self._digest:",
        "if self._hasher is not None and not self._hasher.hexdigest():",
        "payloads/test_integrity.py::test_a_damaged_byte_is_found",
    ),
    defect(
        "only the stored digest is compared, and not the pinned one",
        "payloads/_integrity.py",
        "        self._hasher = hasher(algorithm)\n        self._digest = digest\n",
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
        "tuple(info for info in infos if not self.is_over(info))",
        "tuple(infos)",
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
        "            await self._read_payload(bucket.get(address.key), address)\n",
        "            pass\n",
        "stashes/test_stashes.py::test_other_bytes_under_an_address",
    ),
    defect(
        "the digest of a compressed stash is not compared",
        "stashes/_store.py",
        "if await _digest(body, algorithm) != address.digest:",
        "if not await _digest(body, algorithm):",
        "stashes/test_stashes_planted_gaps.py::test_a_compressed_stash_is_held_against_its_address",
    ),
)

ON_OWN_LINKS = (
    defect(
        "a link is answered after its end",
        "service/_links.py",
        "if is_expired(grant.expires_at, bucket.backend.now()):",
        "if is_expired(None, bucket.backend.now()):",
        "service/test_links.py::test_a_link_ends_to_the_microsecond",
        "service/test_links_uploads.py::test_an_upload_begins_before_the_end",
    ),
    defect(
        "a link's token goes with any path",
        "service/_links.py",
        'if grant.method != method or grant.place != request.path_params["place"]:',
        "if grant.method != method:",
        "service/test_links_refused.py::test_a_link_is_for_one_object",
    ),
    defect(
        "a link to read writes too",
        "service/_links.py",
        'if grant.method != method or grant.place != request.path_params["place"]:',
        'if grant.place != request.path_params["place"]:',
        "service/test_links_refused.py::test_a_link_is_for_one_method",
    ),
    defect(
        "a link is read with what was added to it",
        "service/_links.py",
        "found = _QUERY.fullmatch(query)",
        "found = _QUERY.match(query)",
        "service/test_links_refused.py::test_malformed_tokens",
    ),
    defect(
        "a link's token stays in the server's log",
        "service/_links.py",
        '        request.scope["query_string"] = b""\n',
        "",
        "service/test_links_refused.py::test_nothing_of_a_link_is_logged",
    ),
    defect(
        "uploads at once replace each other",
        "service/_link_uploads.py",
        "mode=Write.CREATE",
        "mode=Write.OVERWRITE",
        "service/test_links_uploads.py::test_one_of_many_uploads_at_once",
    ),
    defect(
        "an upload of unknown length has no cap",
        "service/_link_uploads.py",
        "            if max_size is not None and received > max_size:\n"
        "                raise RefusedError(TOO_LARGE)\n",
        "",
        "service/test_links_uploads.py::test_too_large",
    ),
    defect(
        "a reader that stands still keeps its file open",
        "service/_link_answers.py",
        "with fail_after(self._seconds):",
        "with fail_after(None):",
        "service/test_links_flow.py::test_a_client_that_does_not_read_on",
    ),
    defect(
        "another spelling of a signature is taken",
        "wrappers/_link_tokens.py",
        "if base64_encode(base64_decode(signature)).decode() != signature:",
        'if signature == "":',
        "wrappers/test_linked.py::test_every_altered_token_is_refused",
    ),
    defect(
        "a retired key signs",
        "wrappers/_link_tokens.py",
        "for each in (*retired, key)",
        "for each in (key, *retired)",
        "wrappers/test_linked.py::test_keys_are_rotated",
    ),
    defect(
        "links tell who stored the object",
        "service/_link_answers.py",
        "replace(info.put_info(), origin=None, custom=NOTHING)",
        "replace(info.put_info(), custom=NOTHING)",
        "service/test_links.py::test_what_is_told_of_an_object",
    ),
)

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
        "creates with different expiries are one write",
        "stashes/_traffic.py",
        "                spot, expires, lambda:",
        "                spot, None, lambda:",
        f"{TRAFFIC}::test_of_different_expiries_the_latest_holds",
    ),
    defect(
        "a create takes the deadline of a write that began long before",
        "stashes/_traffic.py",
        "return asked is None or satisfies(expires, standing.deadline, asked)",
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
        "            if bucket.is_immediate:\n                standing",
        "            if not bucket:\n                standing",
        f"{TRAFFIC}::test_memory_takes_no_part",
    ),
    defect(
        "memory serves past the deadline",
        "stashes/_cache.py",
        "        not is_expired(info.deadline, now)\n        and renewed",
        "        info.deadline is not None\n        and renewed",
        f"{CACHING}::test_a_hit_honours_the_deadline",
        "stashes/test_cache.py::test_nothing_is_served_at_its_deadline",
    ),
    defect(
        "reads from memory never renew",
        "stashes/_cache.py",
        "        and renewed(info.expiry, info.deadline, now) is None\n",
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
        "stashes/_store.py",
        "                pin_to(reader, address)\n                return await reader.read()",
        "                return await reader.read()",
        f"{CACHING}::test_only_what_was_verified_is_kept",
    ),
    defect(
        "memory does not look at what an address pins",
        "stashes/_cache.py",
        "if entry.pins != pins or not is_as_read(claimed.info, now):",
        "if not is_as_read(claimed.info, now):",
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
        "stashes/_store.py",
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

DEFECTS = (
    *ON_FILES,
    *ON_S3,
    *ON_WIRE,
    *ON_LINKS,
    *ON_PAYLOADS,
    *ON_EXPIRY,
    *ON_STASHES,
    *ON_OWN_LINKS,
    *ON_SESSIONS,
    *ON_TRAFFIC,
    *ON_SERVICE,
)
