"""What the SDK logs at DEBUG shows no secrets once a backend has been opened."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys

import pytest
from tests.integration import servers

from coatcheck.backends._s3._redaction import _redact

SECRET = "wJalrXUtnFEMI/K7MDENG+bPx=="
SHOWN = [
    f"Signature:\n{SECRET}",
    f"AWS4-HMAC-SHA256 SignedHeaders=host;x-amz-date, Signature={SECRET}",
    f"url=http://h/b/k?X-Amz-Signature={SECRET}&X-Amz-Date=1",
    f"X-Amz-Security-Token={SECRET}",
    f"x-amz-date:1\nx-amz-security-token:{SECRET}\n\nhost;x-amz-date",
    f"{{'X-Amz-Security-Token': '{SECRET}', 'a': 1}}",
    f"headers={{'X-Amz-Security-Token': b'{SECRET}'}}",
    f"'Authorization': b'AWS AKID:{SECRET}'",
    f"x-amz-s3session-token:{SECRET}",
    f"<SecretAccessKey>{SECRET}</SecretAccessKey>",
    f"b'<SessionToken>{SECRET}</SessionToken>\\n'",
    f"<SignatureProvided>{SECRET}</SignatureProvided>",
    f'{{"secretAccessKey":"{SECRET}","expiration":1}}',
    f'{{"SecretAccessKey" : "{SECRET}"}}',
    f'{{"Token" : "{SECRET}"}}',
    f'{{"accessToken": "{SECRET}", "refreshToken": "{SECRET}"}}',
]
KEPT = [
    "SignedHeaders=host;x-amz-date;x-amz-security-token\nUNSIGNED-PAYLOAD",
    "<NextContinuationToken>page2</NextContinuationToken>",
    "SignatureDoesNotMatch",
    "Credential=AKID/20260101/us-east-1/s3/aws4_request",
]
PROGRAMME = """
import asyncio, json, logging, sys
from coatcheck import Coatcheck, Config, S3Config

class Keeping(logging.Handler):
    texts = []
    def emit(self, record):
        self.texts.append(self.format(record))

async def main(url):
    async with Coatcheck(Config(s3=S3Config(endpoint_url=url, create_buckets=True))) as cc:
        stash = await cc.create("n", "t" * 200)
        link = await stash.share(ttl_sec=60)
        await cc.retrieve(link)
        await cc.create_stream("s", bytes(9 * 1024 * 1024))
    print(json.dumps({"link": str(link), "texts": Keeping.texts}))

logging.basicConfig(level=logging.DEBUG, handlers=[Keeping()])
asyncio.run(main(sys.argv[1]))
"""


def redacted(message, *args):
    record = logging.LogRecord("n", logging.DEBUG, "p", 1, message, args, None)
    assert _redact(record)
    return record.getMessage()


@pytest.mark.parametrize("text", SHOWN)
def test_secrets_are_taken_out(text):
    """In whatever form they stand, and whatever stands around them."""
    assert SECRET not in redacted(text)
    assert SECRET not in redacted("%s", text)
    assert redacted(text).startswith(text.partition(SECRET)[0])


@pytest.mark.parametrize("text", KEPT)
def test_the_rest_stays(text):
    """What only sounds like a secret is logged."""
    assert redacted(text) == text


def test_opening_a_backend_is_enough(moto_url, monkeypatch):
    """With every logger at DEBUG, neither session token nor signature is logged."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", servers.SESSION_TOKEN)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMME, moto_url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    logged = "\n".join(report["texts"])
    signature = re.search("X-Amz-Signature=([0-9a-f]{64})", report["link"])[1]
    assert "CanonicalRequest" in logged
    assert "x-amz-security-token:..." in logged
    assert servers.MARK not in logged
    assert signature not in logged
    assert not re.search("Signature[=:]\\s*[0-9a-f]{64}", logged)
