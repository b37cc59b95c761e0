"""What is broken in share links, of S3 and of our own."""

from __future__ import annotations

from tests.planted.defect import defect

HTTPS = "backends/_https"

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
