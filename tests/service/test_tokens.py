"""Tokens that are refused, and what the good ones open."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from tests.service.processes import KeyPair
from tests.service.stage import (
    ALL,
    BASE,
    KEY,
    OTHER_KEY,
    SCOPE,
    USECASE,
    bearer,
    refusing,
    serving,
    token,
    with_keys,
)

pytestmark = pytest.mark.asyncio

PART = USECASE + "/" + SCOPE


def encoded(document) -> str:
    text = json.dumps(document).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unsigned(algorithm="none") -> str:
    head = {"alg": algorithm, "typ": "JWT", "kid": KEY.kid}
    return f"{encoded(head)}.{encoded(claims())}."


def claims(**more):
    return {
        "res": {"os:usecase": USECASE, "org": "42", "project": "1337"},
        "permissions": ALL,
        "exp": int(time.time()) + 60,
        **more,
    }


def hs256() -> str:
    """Sign with HMAC and the public key, by hand, as libraries refuse to."""
    import hashlib
    import hmac

    head = encoded({"alg": "HS256", "typ": "JWT", "kid": KEY.kid})
    text = f"{head}.{encoded(claims())}"
    digest = hmac.new(KEY.public_pem.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def now() -> int:
    return int(time.time())


REFUSED = {
    "nothing": (lambda: "", 401),
    "nonsense": (lambda: "nonsense", 401),
    "two dots": (lambda: "..", 401),
    "binary": (lambda: "\xff\xfe.x.y", 401),
    "too long": (lambda: "x" * 9000, 401),
    "alg none": (unsigned, 401),
    "alg None": (lambda: unsigned("None"), 401),
    "HS256 with the public key": (hs256, 401),
    "another key": (lambda: token(key=KeyPair(KEY.kid)), 401),
    "unknown kid": (lambda: token(headers={"kid": "unknown"}), 401),
    "path in kid": (lambda: token(headers={"kid": "../../main"}), 401),
    "URL in kid": (lambda: token(headers={"kid": "http://127.0.0.1/k"}), 401),
    "no kid": (lambda: token(headers={}), 400),
    "kid of another": (lambda: token(headers={"kid": OTHER_KEY.kid}), 401),
    "no exp": (lambda: token(exp=None), 401),
    "expired": (lambda: token(lifetime=-61), 401),
    "exp far off": (lambda: token(lifetime=8 * 86_400), 401),
    "exp huge": (lambda: token(exp=10**400), 401),
    "exp text": (lambda: token(exp=str(now() + 60)), 401),
    "exp float": (lambda: token(exp=now() + 60.5), 401),
    "exp true": (lambda: token(exp=True), 401),
    "exp infinite": (lambda: token(exp=float("inf")), 401),
    "not yet": (lambda: token(nbf=now() + 120), 401),
    "issued in the future": (lambda: token(iat=now() + 120), 401),
    "another audience": (lambda: token(aud="elsewhere"), 401),
    "another issuer": (lambda: token(iss="nobody"), 401),
    "no res": (lambda: token(res=None), 401),
    "res a text": (lambda: token(res="attachments"), 401),
    "no usecase": (lambda: token(res={"org": "42", "project": "1337"}), 401),
    "numbers in res": (lambda: token(res={"os:usecase": USECASE, "org": 42}), 401),
    "wrong usecase": (lambda: token(usecase="other"), 403),
    "missing scope": (lambda: token(scopes=[("org", "42")]), 403),
    "no scope": (lambda: token(scopes=[]), 403),
    "another value": (lambda: token(scopes=[("org", "43"), ("project", "1337")]), 403),
    "more scopes": (
        lambda: token(scopes=[("org", "42"), ("project", "1337"), ("team", "1")]),
        403,
    ),
    "prefix of a value": (
        lambda: token(scopes=[("org", "4"), ("project", "1337")]),
        403,
    ),
    "star in a value": (
        lambda: token(scopes=[("org", "4*"), ("project", "1337")]),
        403,
    ),
    "no permission": (lambda: token(permissions=[]), 403),
    "unknown permission": (lambda: token(permissions=["object.*", "*"]), 403),
    "permission of a kind": (lambda: token(permissions=[["object.write"]]), 403),
    "more than its key may": (lambda: token(key=OTHER_KEY), 403),
}
REFUSED["no permissions"] = (
    lambda: jwt.encode(
        {name: text for name, text in claims().items() if name != "permissions"},
        KEY.private,
        algorithm="EdDSA",
        headers={"kid": KEY.kid},
    ),
    401,
)


@pytest.mark.parametrize(("make", "status"), REFUSED.values(), ids=REFUSED)
async def test_refused_tokens(make, status):
    """Each has its status and reason, and writes nothing."""
    async with refusing(with_keys()) as it:
        answer = await it.put("k", **bearer(make()))
        assert answer.status == status
        assert answer.detail.startswith("auth error: ")
        assert await it.stored() == {}


async def test_a_tampered_token():
    """No byte of it may change, that of unused bits neither."""
    good = token()
    async with refusing(with_keys()) as it:
        assert (await it.put("k", **bearer(good))).status == 200
        for place in (5, len(good) // 2, len(good) - 30, len(good) - 1):
            for letter in "AB-z":
                other = good[:place] + letter + good[place + 1 :]
                if other != good:
                    answer = await it.put("k", **bearer(other))
                    assert answer.status == 401, place


async def test_missing_credentials():
    """Nobody gets 401 and is told how to ask; with the switch 400, as upstream."""
    for compat, status in ((False, 401), (True, 400)):
        async with refusing(with_keys(compat_status=compat)) as it:
            for given in ({}, {"x-os-auth": "token"}, {"authorization": "Basic eDp5"}):
                answer = await it.put("k", **given)
                assert answer.status == status
                assert "x-os-auth" in answer.detail
            assert await it.stored() == {}


async def test_where_a_token_may_stand():
    """Two headers and the URL; `x-os-auth` goes before `authorization`."""
    good = token()
    async with serving(with_keys()) as it:
        await it.put("k", **bearer(good))
        for given in (
            {"x-os-auth": f"Bearer {good}"},
            {"x-os-auth": f"bEARER {good}"},
            {"authorization": f"Bearer {good}"},
            {"x-os-auth": f"Bearer {good}", "authorization": "Bearer nonsense"},
            {"x-os-auth": "nonsense", "authorization": f"Bearer {good}"},
        ):
            assert (await it.get("k", **given)).status == 200, given
        assert (await it.get(f"k?os_auth={good}")).status == 200


async def test_two_credentials():
    """Two at once are refused, both good or not."""
    good = token()
    async with refusing(with_keys()) as it:
        await it.put("k", **bearer(good))
        answer = await it.get(f"k?os_auth={good}", **bearer(good))
        assert answer.status == 400
        answer = await it.get(f"k?os_auth={good}&os_auth={good}")
        assert answer.status == 400
        answer = await it.send(
            f"GET {BASE}/k HTTP/1.1\r\nx-os-auth: Bearer {good}\r\n"
            f"x-os-auth: Bearer {good}\r\n\r\n".encode()
        )
        assert answer.status == 400
        assert "twice" in answer.detail


@pytest.mark.parametrize(
    ("permission", "methods"),
    [
        ("object.read", {"GET", "HEAD", "SCAN"}),
        ("object.write", {"PUT", "POST", "PATCH", "MULTIPART", "RESUMABLE"}),
        ("object.delete", {"DELETE"}),
        ("admin.usage", set()),
    ],
)
async def test_permissions(permission, methods):
    """Each permission allows its methods and no others."""
    key = {**bearer(token(permissions=[permission]))}
    document = json.dumps({"extend_expiry": {"after": "1h", "from": "now"}})
    asked = {
        "GET": ("GET", f"{BASE}/k", None, {}),
        "HEAD": ("HEAD", f"{BASE}/k", None, {}),
        "SCAN": ("GET", f"/v1/objects:scan/{PART}/", None, {}),
        "PUT": ("PUT", f"{BASE}/other", b"x", {}),
        "POST": ("POST", f"{BASE}/", b"x", {}),
        "PATCH": (
            "PATCH",
            f"{BASE}/k",
            document,
            {"content-type": "application/json"},
        ),
        "DELETE": ("DELETE", f"{BASE}/k", None, {}),
        "MULTIPART": ("POST", f"/v1/objects:multipart/{PART}/", None, {}),
        "RESUMABLE": (
            "POST",
            f"{BASE}/?upload_type=resumable",
            None,
            {"upload-length": "5"},
        ),
    }
    async with serving(with_keys()) as it:
        await it.put("k", x_sn_expiration="ttl:1h", **bearer(token()))
        allowed = set()
        for name, (method, path, body, headers) in asked.items():
            answer = await it.ask(method, path, body, **headers, **key)
            assert answer.status == 403 or answer.status < 300, (name, answer)
            if answer.status < 300:
                allowed.add(name)
        assert allowed == methods


async def test_any_value_of_a_scope():
    """A star opens every value of its scope, and the scope alone."""
    star = bearer(token(scopes=[("org", "*"), ("project", "1337")]))
    async with serving(with_keys()) as it:
        for scope, status in (
            ("org=1;project=1337", 200),
            ("project=1337;org=2", 200),
            ("org=1;project=1", 403),
            ("project=1337", 403),
            ("_", 403),
        ):
            path = f"/v1/objects/{USECASE}/{scope}/k"
            assert (await it.ask("PUT", path, b"x", **star)).status == status, scope


async def test_compatible_scopes():
    """With the switch a token opens what lacks some of its scopes, as upstream."""
    good = bearer(token())
    for compat, status in ((False, 403), (True, 200)):
        async with serving(with_keys(compat_scopes=compat)) as it:
            for scope in ("_", "org=42", "project=1337"):
                path = f"/v1/objects/{USECASE}/{scope}/k"
                assert (await it.ask("PUT", path, b"x", **good)).status == status
            for scope in ("org=43", "org=42;team=1"):
                path = f"/v1/objects/{USECASE}/{scope}/k"
                assert (await it.ask("PUT", path, b"x", **good)).status == 403


async def test_the_key_bounds_its_tokens():
    """A token allows no more than its key may give."""
    reader = bearer(token(key=OTHER_KEY))
    async with serving(with_keys()) as it:
        await it.put("k", **bearer(token()))
        assert (await it.get("k", **reader)).status == 200
        assert (await it.delete("k", **reader)).status == 403


async def test_claims_that_may_stand():
    """Objectstore's own audience and issuers, and clocks apart by a minute."""
    async with serving(with_keys()) as it:
        for good in (
            token(aud="objectstore"),
            token(aud=["x", "objectstore"]),
            token(iss="sentry"),
            token(iss="relay"),
            token(lifetime=-30),
            token(nbf=now() + 30),
            token(iat=now() + 30),
            token(sub="anybody", jti="1"),
        ):
            assert (await it.put("k", **bearer(good))).status == 200


async def test_reporting_only(caplog):
    """In this mode failures are logged, and nobody is turned away."""
    async with serving(with_keys(auth="report")) as it:
        assert (await it.put("k")).status == 200
        assert (await it.put("k", **bearer(token(usecase="other")))).status == 200
        assert "no token" in caplog.text
        assert "another usecase" in caplog.text


async def test_a_token_outlives_no_cache(clock):
    """A token that was good is refused when its time is over."""
    clock.advance(time.time() - clock().timestamp())
    good = bearer(token())
    async with serving(with_keys(), clock=clock) as it:
        assert (await it.put("k", **good)).status == 200
        clock.advance(119)
        assert (await it.put("k", **good)).status == 200
        clock.advance(2)
        assert (await it.put("k", **good)).status == 401


async def test_a_usecase_cannot_pose_as_a_scope():
    """The name of the usecase's claim is no scope's."""
    async with serving(with_keys()) as it:
        path = f"/v1/objects/{USECASE}/os:usecase={USECASE}/k"
        answer = await it.ask("PUT", path, b"x", **bearer(token(scopes=[])))
        assert answer.status == 400


async def test_no_secret_is_logged(caplog):
    """Neither tokens nor signatures stand in any log."""
    good = token()
    with caplog.at_level("DEBUG"):
        async with serving(with_keys()) as it:
            await it.put("k", **bearer(good))
            await it.get(f"k?os_auth={good}")
            await it.get("k?os_kid=main&os_sig=SECRETSIGNATURE")
            await it.get("k?os_auth=SECRETTOKEN")
    assert good not in caplog.text
    assert "SECRET" not in caplog.text
