"""Keys sign what they may, as the service reads it, and show nothing."""

from __future__ import annotations

import builtins
import pickle
from base64 import urlsafe_b64decode
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from tests.objects.stage import fetched, keys
from tests.service.processes import KeyPair
from tests.service.stage import KEY, OTHER_KEY, serving, with_keys

from coatcheck.errors import (
    AccessDenied,
    InvalidConfig,
    InvalidInput,
    InvalidName,
    Unauthenticated,
    UnsupportedOperation,
)
from coatcheck.objects import Client, Permission, Scope, SecretKey, Usecase

SCOPE = Scope.of(org=42, project=1337)
USECASE = Usecase("attachments")


def decoded(token, **options):
    return jwt.decode(
        token, KEY.private.public_key(), algorithms=["EdDSA"], options=options
    )


def test_tokens_say_who_may_do_what(clock):
    """The claims are those that objectstore's server reads, and no others."""
    key = SecretKey("main", KEY.private_pem, 90, clock=clock)
    token = key.token_for_scope("attachments", SCOPE)
    assert jwt.get_unverified_header(token) == {
        "alg": "EdDSA",
        "typ": "JWT",
        "kid": "main",
    }
    assert decoded(token, verify_exp=False) == {
        "res": {"os:usecase": "attachments", "org": "42", "project": "1337"},
        "permissions": ["object.read", "object.write", "object.delete"],
        "exp": int(clock().timestamp()) + 90,
    }


def test_tokens_may_be_narrower(clock):
    """Fewer permissions and another time, never more than the key may."""
    key = SecretKey("main", KEY.private_pem, permissions=[Permission.OBJECT_READ])
    claims = decoded(key.token_for_scope("attachments", Scope(), None, 5))
    assert claims["permissions"] == ["object.read"]
    assert claims["res"] == {"os:usecase": "attachments"}
    assert decoded(key.token_for_scope("attachments", SCOPE, []))["permissions"] == []
    with pytest.raises(InvalidInput):
        key.token_for_scope("attachments", SCOPE, [Permission.OBJECT_WRITE])


def test_no_permissions_stay_none():
    """An empty list is not everything."""
    key = SecretKey("main", KEY.private_pem, permissions=[])
    assert decoded(key.token_for_scope("attachments", SCOPE))["permissions"] == []


@pytest.mark.parametrize("seconds", [0, -1, True, 1.5, "60"])
def test_times_are_whole_seconds(seconds):
    """A token is good for a second or more."""
    with pytest.raises(InvalidInput):
        SecretKey("main", KEY.private_pem, expiry_seconds=seconds)
    key = SecretKey("main", KEY.private_pem)
    with pytest.raises(InvalidInput):
        key.token_for_scope("attachments", SCOPE, None, seconds)


def test_tokens_of_requests_are_kept_for_half_their_time(clock):
    """A token is signed once for many requests, and anew before it is old."""
    key = SecretKey("main", KEY.private_pem, clock=clock)
    first = key.request_token("attachments", SCOPE)
    assert key.request_token("other", SCOPE) != first
    assert key.request_token("attachments", Scope()) != first
    clock.advance(29)
    assert key.request_token("attachments", SCOPE) == first
    clock.advance(2)
    second = key.request_token("attachments", SCOPE)
    assert second != first
    clock.advance(timedelta(days=-1))
    assert key.request_token("attachments", SCOPE) != second


def test_kept_tokens_are_bounded(clock):
    """Scopes without number do not fill the memory."""
    key = SecretKey("main", KEY.private_pem, clock=clock)
    for number in range(1100):
        key.request_token("attachments", Scope.of(org=number))
    assert len(key._issued) <= 1024


def test_signatures_are_base64_without_padding():
    """They are Ed25519's over the text."""
    signature = SecretKey("main", KEY.private_pem).signature_for_canonical_form("text")
    assert len(signature) == 86
    KEY.private.public_key().verify(urlsafe_b64decode(signature + "=="), b"text")


def elliptic():
    return (
        generate_private_key(SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode()
    )


@pytest.mark.parametrize(
    "pem", ["", "canary", KEY.public_pem, elliptic()], ids=range(4)
)
def test_bad_keys_are_named_and_not_shown(pem):
    """What is no Ed25519 private key is an error without its text."""
    key = SecretKey("the-kid", pem)
    for call in (
        lambda: key.token_for_scope("attachments", SCOPE),
        lambda: key.signature_for_canonical_form("text"),
    ):
        with pytest.raises(InvalidConfig, match="the-kid") as caught:
            call()
        assert not pem or pem not in repr(caught.value)
        assert caught.value.__cause__ is None


def test_keys_show_their_name_alone():
    """A repr has no key in it, and a key has a name."""
    assert repr(SecretKey("main", KEY.private_pem)) == "SecretKey(kid='main')"
    with pytest.raises(InvalidInput):
        SecretKey("", KEY.private_pem)
    with pytest.raises(InvalidName):
        SecretKey("main", KEY.private_pem).token_for_scope("a/b", SCOPE)


@pytest.mark.parametrize("missing", ["jwt", "cryptography"])
def test_the_extra_is_named_when_it_is_missing(missing, monkeypatch):
    """Without the libraries the error says what to install."""
    real = builtins.__import__

    def importing(name, *args, **kwargs):
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(InvalidConfig, match=r"coatcheck\[service\]"):
        SecretKey("main", KEY.private_pem).token_for_scope("attachments", SCOPE)


@pytest.mark.asyncio
async def test_tokens_open_what_they_name():
    """A minted token serves another client for its usecase, scope and permissions."""
    key = SecretKey(KEY.kid, KEY.private_pem)
    async with (
        serving(with_keys()) as service,
        Client(service.url, token=key) as client,
    ):
        session = client.session(USECASE, org=42, project=1337)
        await session.put(b"x", "key")
        token = session.mint_token([Permission.OBJECT_READ], 60)
        async with Client(service.url, token=token) as guest:
            same = guest.session(USECASE, org=42, project=1337)
            assert await same.get_bytes("key") == b"x"
            assert await keys(same) == ["key"]
            with pytest.raises(AccessDenied):
                await same.put(b"y", "key")
            with pytest.raises(AccessDenied):
                await same.delete("key")
            for other in (
                guest.session(USECASE, org=42),
                guest.session(USECASE, org=43, project=1337),
                guest.session(Usecase("other"), org=42, project=1337),
            ):
                with pytest.raises(AccessDenied):
                    await other.get_bytes("key")
            with pytest.raises(InvalidConfig):
                same.mint_token()
            with pytest.raises(InvalidConfig):
                await same.presigned_object_url("GET", "key")


@pytest.mark.asyncio
async def test_credentials_that_are_not_good():
    """None, strangers' keys, and keys under another's name are not let in."""
    stranger = KeyPair("main")
    async with serving(with_keys()) as service:
        for token in (
            None,
            "nonsense",
            SecretKey("main", stranger.private_pem),
            SecretKey("unknown", KEY.private_pem),
        ):
            async with Client(service.url, token=token) as client:
                with pytest.raises(Unauthenticated):
                    await client.session(USECASE).put(b"x")
        # The service lets this key read, whatever it signs.
        async with Client(
            service.url, token=SecretKey(OTHER_KEY.kid, OTHER_KEY.private_pem)
        ) as client:
            with pytest.raises(AccessDenied):
                await client.session(USECASE).put(b"x")
            assert not await client.session(USECASE).exists("key")


@pytest.mark.asyncio
async def test_urls_with_tokens():
    """A token in the URL reads, and the URL without one does not."""
    key = SecretKey(KEY.kid, KEY.private_pem)
    async with (
        serving(with_keys()) as service,
        Client(service.url, token=key) as client,
    ):
        session = client.session(USECASE, org=42)
        await session.put(b"x", "a b")
        async with session.get("a b", decompress=False) as result:
            stored = await result.payload.read()
        bare = session.object_url("a b")
        open_url = session.object_url("a b", token_validity=timedelta(seconds=30.5))
        assert (await fetched(bare))[0] == 401
        assert await fetched(open_url) == (200, stored)
        assert open_url.startswith(f"{bare}?os_auth=")
        signed = await session.presigned_object_url("HEAD", "a b")
        assert await fetched(signed) == (200, stored)


@pytest.mark.asyncio
async def test_presigning_needs_a_key():
    """Without any credentials the error says what to configure."""
    async with serving() as service, Client(service.url) as client:
        session = client.session(USECASE)
        with pytest.raises(InvalidConfig, match="SecretKey"):
            await session.presigned_object_url("GET", "key")
        with pytest.raises(InvalidConfig, match="SecretKey"):
            session.object_url("key", token_validity=timedelta(hours=1))
        with pytest.raises((InvalidConfig, UnsupportedOperation)):
            session.mint_token()


def test_sessions_and_clients_show_no_key():
    """A repr of whatever holds a key has none in it."""
    client = Client("http://localhost:1", token=SecretKey("main", KEY.private_pem))
    session = client.session(USECASE, org=42)
    for each in (client, session, client._access):
        assert "PRIVATE" not in repr(each)
    assert repr(session) == "Session(attachments, org=42)"
    for each in (client, session, client.token):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(each)
