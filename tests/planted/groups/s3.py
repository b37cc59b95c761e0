"""What is broken in the way to S3."""

from __future__ import annotations

from tests.planted.defect import defect

S3 = "backends/_s3"
S3_GAPS = "integration/test_integration_planted_gaps.py"
HOSTILE_S3 = "backends/s3/test_hostile_answers.py"
WIRE = f"{S3}/_wire"
WIRE_TESTS = "backends/s3/test_wire_answers.py"

ON_S3 = (
    defect(
        "ranges begin where the answer still goes on",
        f"{S3}/_ahead.py",
        "            self._stop = self._start = min(taken + PART, self._info.size)\n",
        "            self._stop = min(taken + PART, self._info.size)\n",
        "backends/s3/test_reading_ahead.py::test_a_store_that_becomes_slow_is_read_by_ranges",
    ),
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
