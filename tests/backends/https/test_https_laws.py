"""What holds of every text that might be a link."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis.strategies import characters, one_of, sampled_from, text

from coatcheck.backends._https import origins_of
from coatcheck.backends._https._links import Origin
from coatcheck.backends._https._reads import _url_of
from coatcheck.config import Config
from coatcheck.errors import AccessDenied, InvalidAddress

TRUSTING = origins_of(Config(trusted_hosts=["a.example", "*.b.example"]), {})
TEXTS = one_of(
    text(max_size=60),
    text(characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60),
    text(sampled_from("/?#@:\\.%[]25ae&=+ \n"), max_size=30),
)


def admitted(url):
    try:
        return TRUSTING.admit(url)
    except (AccessDenied, InvalidAddress):
        return None


@given(TEXTS, sampled_from(["", "https://", "http://", "https://x.b.example"]))
def test_any_text_is_refused_or_leads_to_a_trusted_host(rest, start):
    """No text gives another error, and none leads to a stranger."""
    for url in (start + rest, f"https://a.example{rest}"):
        link = admitted(url)
        if link is not None:
            origin = link.origin
            assert (origin.scheme, origin.port) == ("https", 443)
            assert origin.host == "a.example" or origin.host.endswith(".b.example")


@given(TEXTS)
@example("//evil.example/")
@example("../../x?a?b")
def test_what_is_admitted_is_what_is_requested(rest):
    """The requested URL has the link's own host, and its text to the letter."""
    link = admitted(f"https://a.example/{rest}")
    if link is None:
        return
    requested = _url_of(link)

    path, _, query = f"/{rest}".partition("?")
    assert link.origin == Origin("https", "a.example", 443)
    assert (requested.scheme, requested.raw_host) == ("https", "a.example")
    assert (requested.port, requested.raw_user) == (443, None)
    assert (requested.raw_path, requested.raw_query_string) == (path, query)
    assert requested.raw_path_qs == (f"{path}?{query}" if query else path)
