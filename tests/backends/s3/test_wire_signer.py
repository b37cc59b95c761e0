"""Our signatures are botocore's."""

from __future__ import annotations

import datetime as dt
import random
from hashlib import sha256
from urllib.parse import quote

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from coatcheck.backends._s3._wire._signer import EMPTY, UNSIGNED, Signer

RANDOM = random.Random(20261126)
ODD = "abcXYZ019-_.~ +%&=;:@!$'()*,/?#[]äöü€𝄞\\\"<>^`{|}"
VALUES = "".join(chr(code) for code in range(0x21, 0x7F)) + "  "
NAMES = (
    "content-type",
    "x-amz-meta-a",
    "x-amz-meta-b-c",
    "if-match",
    "if-none-match",
    "range",
    "content-md5",
    "x-amz-tagging",
    "x-amz-storage-class",
)
START = 1_700_000_000


def text(letters, longest):
    return "".join(RANDOM.choices(letters, k=RANDOM.randint(1, longest)))


def request_of(number):
    """Return a random request: method, host, path, query, headers, payload."""
    key = quote(text(ODD, 60), safe="/~")
    query = (
        ""
        if number % 3
        else f"partNumber={RANDOM.randint(1, 10_000)}&uploadId={quote(text(ODD, 30), safe='~')}"
    )
    headers = {
        name: text(VALUES, 40).strip() or "x"
        for name in RANDOM.sample(NAMES, RANDOM.randint(0, len(NAMES)))
    }
    payload = RANDOM.choice(
        [EMPTY, UNSIGNED, sha256(text(ODD, 9).encode()).hexdigest()]
    )
    host = RANDOM.choice(
        [
            "127.0.0.1:8333",
            "bucket.s3.eu-west-1.amazonaws.com",
            "store.example",
            "[::1]:9000",
        ]
    )
    return (
        RANDOM.choice(["GET", "PUT", "HEAD"]),
        host,
        f"/bucket/{key}",
        query,
        headers,
        payload,
    )


def credentials_of(number):
    return ReadOnlyCredentials(
        f"AKIA{number % 7}",
        text(ODD, 40),
        text(VALUES, 300).strip() if number % 2 else None,
    )


def theirs(
    method, host, path, query, headers, payload, credentials, region, now, monkeypatch
):
    """Return what botocore's signer makes of the request."""
    monkeypatch.setattr(auth, "get_current_datetime", lambda: now)
    signer = auth.S3SigV4Auth(credentials, "s3", region)
    url = f"http://{host}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url, headers=dict(headers))
    request.headers["X-Amz-Content-SHA256"] = payload
    monkeypatch.setattr(signer, "payload", lambda _: payload)
    signer.add_auth(request)
    return request.headers["Authorization"]


def test_signatures_are_botocores(monkeypatch):
    """3 000 random requests, over days, secrets and regions: the same, byte for byte."""
    signer = Signer(clock=lambda: seconds)
    for number in range(3000):
        seconds = START + RANDOM.randint(0, 10**7)
        now = dt.datetime.fromtimestamp(seconds, dt.UTC)
        method, host, path, query, headers, payload = request_of(number)
        credentials = credentials_of(number)
        region = RANDOM.choice(["us-east-1", "eu-central-1"])
        expected = theirs(
            method,
            host,
            path,
            query,
            headers,
            payload,
            credentials,
            region,
            now,
            monkeypatch,
        )
        signed = {**headers, "host": host}
        signer.sign(method, path, query, signed, payload, credentials, region)
        assert signed["authorization"] == expected, (number, method, path, headers)


@pytest.mark.parametrize("change", ["secret", "day", "region"])
def test_a_days_key_is_not_used_for_another(change):
    """What was derived for one secret, day and region serves no other."""
    now = [float(START)]
    signer = Signer(clock=lambda: now[0])
    signatures = []
    for changed in (False, True):
        now[0] = START + 86_400 * (changed and change == "day")
        secret = "two" if changed and change == "secret" else "one"
        region = "eu-west-1" if changed and change == "region" else "us-east-1"
        headers, fresh = {"host": "h"}, {"host": "h"}
        credentials = ReadOnlyCredentials("A", secret, None)
        signer.sign("GET", "/b/k", "", headers, EMPTY, credentials, region)
        Signer(clock=lambda: now[0]).sign(
            "GET", "/b/k", "", fresh, EMPTY, credentials, region
        )
        assert headers == fresh
        signatures.append(headers["authorization"])
    assert signatures[0] != signatures[1]
