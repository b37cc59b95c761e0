"""coatcheck and kstash 0.2.0 claim each other's stashes, on SeaweedFS.

kstash needs Python 3.13: `nox -s kstash` installs both there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from tests.integration import servers

pytestmark = [pytest.mark.kstash, pytest.mark.timeout(3000)]

PROGRAMME = Path(__file__).with_name("kstash_programme.py")
STASHES = 500
LINKS = 50
# What kstash claims and coatcheck refuses: no other names, and only by their form.
REFUSED_NAMES = {
    *("''", "'.'", "'..'", "'../up'", "'a/../b'", "'a//b'", "'a/./b'", "'./a'"),
    *(r"'bell\x07'", r"'nul\x00'", r"'line\u2028separator'", r"'sur\ud800rogate'"),
    *("'http://x/y'", "'xxxxxxx... (1100)"),
}
REFUSED_NAMESPACES = {"''", "'..'", "' a'", "'a '", "'user:pw@host'"}
FAULTS = {"coatcheck loses it", "the addresses differ"}


def run(part, url, count, **environ):
    """Run the programme on a server, and return and print what it reports."""
    clean = {
        name: text for name, text in os.environ.items() if not name.startswith("AWS_")
    }
    done = subprocess.run(
        [sys.executable, PROGRAMME, part, "--count", str(count)],
        capture_output=True,
        text=True,
        check=False,
        env={
            **clean,
            **servers.CREDENTIALS,
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **environ,
        },
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{part} on {url}: {json.dumps(report, indent=2)}")
    return report


@pytest.fixture(scope="module")
def plain_url(tmp_path_factory):
    with servers.seaweedfs(tmp_path_factory.mktemp("plain")) as url:
        yield url


@pytest.fixture(scope="module")
def stashes(plain_url):
    return run("stashes", plain_url, STASHES)


@pytest.fixture(scope="module")
def plain_links(plain_url):
    return run("links", plain_url, LINKS)


@pytest.fixture(scope="module")
def tls_links(tmp_path_factory):
    """The links of a SeaweedFS that speaks TLS, which is all that kstash reads."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    files = {name: str(folder / f"{name}.pem") for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    issued.private_key_pem.write_to_path(files["key"])
    for pem in issued.cert_chain_pems:
        pem.write_to_path(files["cert"], append=True)
    options = [f"-s3.cert.file={files['cert']}", f"-s3.key.file={files['key']}"]
    trusting = dict.fromkeys(("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), files["ca"])
    with servers.seaweedfs(folder, *options, scheme="https") as url:
        return run("links", url, LINKS, **trusting)


def all_of(report, count):
    """Return the counts that must be whole, as they should be."""
    return dict.fromkeys(report, count)


def test_coatcheck_claims_what_kstash_created(stashes):
    """Every random stash, its data, digest and address."""
    report = stashes["kstash to coatcheck"]
    assert report.pop("wrong") == []
    assert report == all_of(report, STASHES)
    assert {"of these s3", "coatcheck retrieves it", "one address"} <= report.keys()


def test_kstash_claims_what_coatcheck_created(stashes):
    """Every random stash, its data, digest and address."""
    report = stashes["coatcheck to kstash"]
    assert report.pop("wrong") == []
    assert report == all_of(report, STASHES)
    assert {"of these s3", "kstash retrieves it", "one address"} <= report.keys()


def test_inline_stashes_have_one_address(stashes):
    """Either library makes the same text of a small stash, and reads the other's."""
    report = stashes["inline"]
    assert report.pop("wrong") == []
    assert report == all_of(report, STASHES)
    assert {"of these inline", "one address", "one digest"} <= report.keys()


def test_the_payload_of_kstashs_readme(stashes):
    """Both make c6ab205f... of it."""
    address = "s3://stashes/context.c6ab205fe81dcad3eec3ab48b96b0618"
    assert stashes["vector"] == {
        "kstash": address,
        "coatcheck": address,
        "digests": ["c6ab205fe81dcad3eec3ab48b96b0618"],
        "coatcheck retrieves it": True,
        "kstash retrieves it": True,
    }


@pytest.mark.parametrize(
    ("what", "refused"),
    [
        ("names on s3", REFUSED_NAMES),
        ("names inline", REFUSED_NAMES),
        ("namespaces inline", REFUSED_NAMESPACES),
        ("payloads", set()),
    ],
)
def test_odd_stashes_are_kept_or_refused(stashes, what, refused):
    """What kstash loses coatcheck keeps, or refuses to create; it loses nothing."""
    found = stashes["odd"][what]
    assert not FAULTS.intersection(found)
    assert found.get("kstash keeps it, coatcheck refuses it", {}).keys() <= refused
    for answers in found["kstash loses it, coatcheck refuses it"].values():
        assert answers["coatcheck"].startswith(("InvalidName", "PayloadError"))
    assert found["both keep it"]


def test_kstash_refuses_what_only_coatcheck_makes(stashes):
    """Longer digests, compression and streams are errors to kstash, never wrong data."""
    answers = stashes["beyond kstash"]
    assert answers.pop("a time").startswith("name 'time'")
    assert len(answers) == 3
    assert all("Error" in text or "ExtraData" in text for text in answers.values())


def test_links_over_http(plain_links):
    """All are refused by kstash, its own too; coatcheck reads those of both."""
    theirs, ours = (
        plain_links["kstash to coatcheck"],
        plain_links["coatcheck to kstash"],
    )
    assert theirs["signed the old way"] == LINKS
    assert theirs["kstash gives it out"] == 0
    assert theirs["coatcheck retrieves it"] == LINKS
    assert ours["kstash: UnsupportedBackend: 'http' is not registered"] == LINKS
    assert ours["coatcheck retrieves it"] == LINKS


def test_links_over_tls(tls_links):
    """Each reads the other's data; kstash tells no name, not even of its own links."""
    theirs, ours = tls_links["kstash to coatcheck"], tls_links["coatcheck to kstash"]
    assert theirs["kstash gives it out"] == LINKS
    assert theirs["kstash retrieves its data"] == LINKS
    assert theirs["kstash retrieves its name"] == 0
    assert theirs["coatcheck retrieves it"] == LINKS
    assert ours["kstash retrieves the data"] == LINKS
    assert ours["coatcheck retrieves it"] == LINKS


def test_links_in_amazons_form(plain_links):
    """Of coatcheck's links kstash fetches the same URL, and tells encoded names."""
    report = plain_links["offline"]
    assert report["kstash would fetch the same URL"] == LINKS
    assert report["kstash tells what stands there"] == LINKS
    assert report["what stands there is the stash's"] > 0
    assert report["coatcheck tells the stash's"] == LINKS
