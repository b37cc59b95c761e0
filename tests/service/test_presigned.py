"""URLs that were signed as a whole."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from tests.service.processes import KeyPair
from tests.service.stage import (
    BASE,
    KEY,
    OTHER_KEY,
    bearer,
    refusing,
    serving,
    token,
    with_keys,
)

from coatcheck._core.canonical import canonical_request

pytestmark = pytest.mark.asyncio

KEY_OF_OBJECT = "pre%20signed/%C3%BC"
PATH = f"{BASE}/{KEY_OF_OBJECT}"


def presigned(
    path=PATH,
    *,
    method="GET",
    key=KEY,
    kid=None,
    begins=timedelta(0),
    seconds=3600,
    now=None,
    **more,
):
    """Return a path with a signature; `more` are further parameters that are signed."""
    moment = (now or datetime.now(UTC)) + begins
    query = {
        "os_kid": key.kid if kid is None else kid,
        "os_timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "os_duration": str(seconds),
        **more,
    }
    query = {name: text for name, text in query.items() if text is not None}
    text = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    signature = key.private.sign(canonical_request(method, path, text).encode())
    return f"{path}?{text}&os_sig={encoded(signature)}"


def encoded(signature: bytes) -> str:
    return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


async def stored(it):
    """Store the object that is read."""
    answer = await it.ask("PUT", PATH, b"presigned", **bearer(token()))
    assert answer.status == 200


async def test_a_signed_read():
    """GET and HEAD of the one object, without a token."""
    async with serving(with_keys()) as it:
        await stored(it)
        answer = await it.ask("GET", presigned())
        assert (answer.status, answer.body) == (200, b"presigned")
        assert (await it.ask("HEAD", presigned())).status == 200
        assert (await it.ask("HEAD", presigned(method="HEAD"))).status == 200
        answer = await it.ask("GET", presigned(), range="bytes=0-2")
        assert (answer.status, answer.body) == (206, b"pre")


async def test_the_order_of_parameters_is_free():
    """They are sorted before they are signed, and further ones may be signed too."""
    async with serving(with_keys()) as it:
        await stored(it)
        path, _, query = presigned(download="1").partition("?")
        turned = "&".join(reversed(query.split("&")))
        assert (await it.ask("GET", f"{path}?{turned}")).status == 200


async def test_no_character_may_change():
    """Path, parameters and signature are held against each other to the last one."""
    async with refusing(with_keys()) as it:
        await stored(it)
        good = presigned()
        begins = good.index(KEY_OF_OBJECT)
        for place in range(begins, len(good)):
            letter = "A" if good[place] != "A" else "B"
            other = good[:place] + letter + good[place + 1 :]
            answer = await it.ask("GET", other)
            assert answer.status in (400, 401, 403, 404), (place, other)
            if answer.status == 404:
                # Only a signature's own bytes make a URL good.
                pytest.fail(f"{place} was taken: {other}")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda url: url + "&more=1", 401),
        (lambda url: url + "&OS_SIG=x", 401),
        (lambda url: url + "&os_sig=x", 400),
        (lambda url: url + "&os_kid=main", 400),
        (lambda url: url.replace("os_kid=main&", ""), 400),
        (lambda url: url.replace("os_duration=3600&", ""), 400),
        (lambda url: url.replace("pre%20signed", "pre signed"), None),
        (lambda url: url.replace("%C3%BC", "%c3%bc"), 401),
        (lambda url: url.replace("%20", "%2520"), 401),
        (lambda url: url[:-1], 401),
        (lambda url: url + "A", 401),
        (lambda url: url + "=", 401),
        (lambda url: url.rpartition("=")[0] + "=", 401),
        (lambda url: url.replace("os_sig=", "os_sig=%20"), 401),
    ],
)
async def test_changed_urls(change, status):
    """What was added, dropped or written differently."""
    async with refusing(with_keys()) as it:
        await stored(it)
        url = change(presigned())
        if status is None:
            answer = await it.send(f"GET {url} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            assert answer.status == 400
            return
        answer = await it.ask("GET", url)
        assert answer.status == status
        assert answer.detail.startswith("auth error: ")


async def test_the_unused_bits_of_a_signature():
    """The last character carries four bits that say nothing; they must be zero."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    async with refusing(with_keys()) as it:
        await stored(it)
        good = presigned()
        assert alphabet.index(good[-1]) % 16 == 0
        for more in range(1, 16):
            other = good[:-1] + alphabet[alphabet.index(good[-1]) + more]
            assert (await it.ask("GET", other)).status == 401


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"begins": timedelta(seconds=55)}, 200),
        ({"begins": timedelta(seconds=65)}, 401),
        ({"begins": timedelta(days=365)}, 401),
        ({"begins": timedelta(seconds=-50), "seconds": 60}, 200),
        ({"begins": timedelta(seconds=-70), "seconds": 60}, 401),
        ({"seconds": 0, "begins": timedelta(seconds=-2)}, 401),
        ({"seconds": 604_800}, 200),
        ({"seconds": 604_801}, 400),
        ({"seconds": 8 * 86_400}, 400),
        ({"seconds": -1}, 400),
        ({"seconds": 10**30}, 400),
        ({"os_duration": "1e3"}, 400),
        ({"os_duration": " 60"}, 400),
        ({"os_duration": "\u0661\u0662"}, 400),
        ({"os_duration": None}, 400),
        ({"os_timestamp": "2030-01-01"}, 400),
        ({"os_timestamp": "2030-01-01T00:00:00+00:00"}, 400),
        ({"os_timestamp": "2030-13-01T00:00:00Z"}, 400),
        ({"os_timestamp": None}, 400),
        ({"os_kid": None}, 400),
        ({"kid": "unknown"}, 401),
        ({"kid": "../main"}, 401),
        ({"key": KeyPair(KEY.kid)}, 401),
        ({"key": OTHER_KEY}, 200),
    ],
    ids=str,
)
async def test_parameters(given, status):
    """Times, durations and key ids, all of them signed soundly."""
    async with refusing(with_keys()) as it:
        await stored(it)
        answer = await it.ask("GET", presigned(**given))
        assert answer.status == status
        if status != 200:
            assert answer.detail.startswith("auth error: ")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST", "OPTIONS"])
async def test_only_reads(method):
    """Another method is refused, were it signed for it."""
    async with refusing(with_keys()) as it:
        await stored(it)
        for signed_for in ("GET", method):
            answer = await it.ask(method, presigned(method=signed_for), b"x")
            assert answer.status == 403
            assert answer.detail.startswith("auth error: ")
        assert (await it.ask("GET", presigned())).body == b"presigned"


async def test_no_other_route():
    """A signature opens an object, not the list of a scope."""
    async with serving(with_keys()) as it:
        await stored(it)
        path = BASE.replace("objects", "objects:scan", 1) + "/"
        assert (await it.ask("GET", presigned(path))).status == 403


async def test_no_token_beside_it():
    """A signature and a token at once are refused."""
    async with serving(with_keys()) as it:
        await stored(it)
        good = token()
        assert (await it.ask("GET", presigned(), **bearer(good))).status == 400
        url = presigned(os_auth=good)
        answer = await it.ask("GET", url)
        assert answer.status == 400
        assert "token" in answer.detail


async def test_a_key_that_may_not_read():
    """What may not read cannot sign a read."""
    from coatcheck.service import AuthKey

    config = with_keys()
    keys = {
        KEY.kid: AuthKey(public_keys=(KEY.public_pem,), permissions={"object.write"})
    }
    config = config.model_copy(update={"auth_keys": keys})
    async with serving(config) as it:
        answer = await it.ask("GET", presigned())
        assert answer.status == 403


async def test_a_path_below_a_root():
    """The path is signed as it is sent, with what a proxy serves it below."""
    async with serving(with_keys(root_path="/store")) as it:
        # The root stands before what arrives, as behind a proxy that takes it off.
        answer = await it.send(
            f"PUT {PATH} HTTP/1.1\r\nhost: x\r\nx-os-auth: Bearer {token()}\r\n"
            "content-length: 1\r\n\r\nx".encode()
        )
        assert answer.status == 200
        url = presigned(f"/store{PATH}").removeprefix("/store")
        answer = await it.send(f"GET {url} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert (answer.status, answer.body) == (200, b"x")
        answer = await it.send(
            f"GET {presigned()} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
        )
        assert answer.status == 401
        # Without such a proxy the root is sent, and signed too.
        url = presigned(f"/store{PATH}")
        answer = await it.send(f"GET {url} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert (answer.status, answer.body) == (200, b"x")


async def test_answers_are_json():
    """Also where the URL alone is wrong."""
    async with serving(with_keys()) as it:
        answer = await it.ask("GET", f"{PATH}?os_sig=x")
        assert json.loads(answer.body)["detail"] == "auth error: os_duration is missing"
