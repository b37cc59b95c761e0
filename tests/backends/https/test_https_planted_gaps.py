"""Plain http to trusted hosts: a defect that `planted` plants."""

from __future__ import annotations

import pytest

from coatcheck.backends._https import origins_of
from coatcheck.config import Config
from coatcheck.errors import AccessDenied


@pytest.mark.parametrize(
    "url",
    [
        "http://s3.amazonaws.com:443/b/k",
        "http://b.s3.eu-central-1.amazonaws.com:443/k",
        "http://files.example:443/k",
        "http://odd.example:80/k",
        "http://odd.example/k",
        "http://a.below.example:443/k",
    ],
)
def test_a_trusted_host_is_trusted_over_https_only(url):
    """Not even on the port on which it is trusted."""
    trusted = ("files.example", "odd.example:80", "*.below.example")
    origins = origins_of(Config(trusted_hosts=trusted), {})
    assert origins.admit("https://files.example/k").path == "/k"
    with pytest.raises(AccessDenied, match="plain http"):
        origins.admit(url)
