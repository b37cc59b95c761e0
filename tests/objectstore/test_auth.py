"""The published client's tokens and URLs, taken and refused."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import timedelta

import pytest
from tests.service.processes import KeyPair

pytestmark = [pytest.mark.objectstore, pytest.mark.timeout(300)]


def fetch(url, method="GET", **headers):
    """Return status and body that a plain request gets."""
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_no_token(connect):
    """Without a token nothing is done; the answer is 401."""
    from objectstore_client import RequestError, Usecase

    session = connect(token=None).session(Usecase("attachments"), org=42)
    for act in (
        lambda: session.put(b"x"),
        lambda: session.get("k"),
        lambda: session.head("k"),
        lambda: session.delete("k"),
    ):
        with pytest.raises(RequestError) as caught:
            act()
        assert caught.value.status == 401


def test_another_key(connect):
    """What another key signed under the same id is refused."""
    from objectstore_client import RequestError, SecretKey, Usecase

    other = SecretKey("main", KeyPair().private_pem)
    with pytest.raises(RequestError) as caught:
        connect(token=other).session(Usecase("attachments"), org=42).put(b"x")
    assert caught.value.status == 401
    unknown = SecretKey("unknown", KeyPair().private_pem)
    with pytest.raises(RequestError) as caught:
        connect(token=unknown).session(Usecase("attachments"), org=42).put(b"x")
    assert caught.value.status == 401


def test_fewer_permissions(connect, session):
    """A minted token allows what it names, and no more."""
    from objectstore_client import Permission, RequestError, Usecase

    key = session.put(b"x")
    reading = session.mint_token(permissions=[Permission.OBJECT_READ])
    reader = connect(token=reading).session(
        Usecase("attachments"), org=42, project=1337
    )
    assert reader.get(key).payload.read() == b"x"
    for act in (
        lambda: reader.put(b"x"),
        lambda: reader.delete(key),
        lambda: reader.extend_expiry(key, from_now=timedelta(hours=1)),
        reader.initiate_multipart_upload,
    ):
        with pytest.raises(RequestError) as caught:
            act()
        assert caught.value.status == 403
    writing = session.mint_token(permissions=[Permission.OBJECT_WRITE])
    writer = connect(token=writing).session(
        Usecase("attachments"), org=42, project=1337
    )
    writer.put(b"y", key=key)
    with pytest.raises(RequestError) as caught:
        writer.get(key)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    "scopes", [{}, {"org": 42}, {"org": 43, "project": 1337}, {"org": 42, "team": 1}]
)
def test_a_token_opens_its_scope_alone(connect, session, scopes):
    """Neither wider scopes nor others open, nor other usecases."""
    from objectstore_client import RequestError, Usecase

    client = connect(token=session.mint_token())
    with pytest.raises(RequestError) as caught:
        client.session(Usecase("attachments"), **scopes).get("k")
    assert caught.value.status == 403
    with pytest.raises(RequestError) as caught:
        client.session(Usecase("other"), org=42, project=1337).get("k")
    assert caught.value.status == 403


def test_object_urls(session):
    """A URL with a token reads its object and does nothing else."""
    key = session.put(b"by URL", compress="none")
    url = session.object_url(key, token_validity=timedelta(minutes=1))
    assert fetch(url) == (200, b"by URL")
    assert fetch(url, "DELETE")[0] == 403
    assert fetch(session.object_url(key))[0] == 401


def test_presigned_urls(session):
    """They read one object by GET and HEAD, and change with no character."""
    key = session.put(b"presigned", key="pre signed/ü%", compress="none")
    for method in ("GET", "HEAD"):
        url = session.presigned_object_url(method, key)
        assert fetch(url)[0] == 200
        assert fetch(url, "HEAD") == (200, b"")
    url = session.presigned_object_url("GET", key, timedelta(days=7))
    assert fetch(url) == (200, b"presigned")
    assert fetch(url, "DELETE")[0] == 403
    assert fetch(url, "PUT")[0] == 403
    assert fetch(url + "&more=1")[0] == 401
    assert fetch(url.replace("pre%20signed", "pre%20signeD"))[0] == 401
    signature = url.rpartition("os_sig=")[2]
    assert len(signature) == 86
    for place in (0, 40, 85):
        other = "A" if signature[place] != "A" else "B"
        flipped = signature[:place] + other + signature[place + 1 :]
        assert fetch(url.replace(signature, flipped))[0] == 401


def test_presigned_urls_of_the_future_and_the_past(session):
    """Nothing is valid before or after its time."""
    key = session.put(b"x")
    assert fetch(session.presigned_object_url("GET", key, timedelta(0)))[0] in (
        200,
        401,
    )
    past = session.presigned_object_url("GET", key, timedelta(seconds=-61))
    assert fetch(past)[0] in (400, 401)


def test_rotation(place, tmp_path):
    """Two keys under one id are both good while one takes over from the other."""
    from objectstore_client import Client, SecretKey, Usecase

    old, new = KeyPair("team"), KeyPair("team")
    (tmp_path / "old.pem").write_text(old.public_pem)
    (tmp_path / "new.pem").write_text(new.public_pem)
    options = [
        *("--auth-key", f"team={tmp_path / 'old.pem'}"),
        *("--auth-key", f"team={tmp_path / 'new.pem'}"),
    ]
    with place.served(*options, key=None) as service:
        for pair in (old, new):
            client = Client(service.url, token=SecretKey("team", pair.private_pem))
            session = client.session(Usecase("rotated"), org=1)
            session.put(pair.private_pem.encode(), key="k")
            assert session.get("k").payload.read() == pair.private_pem.encode()


def test_compatible_answers(place, secret):
    """With both switches a server answers as objectstore's own does."""
    from objectstore_client import Client, RequestError, Usecase

    with place.served("--compat-scopes", "--compat-status") as service:
        client = Client(service.url, token=secret)
        narrow = client.session(Usecase("compatible"), org=1, project=2)
        wide = Client(service.url, token=narrow.mint_token())
        session = wide.session(Usecase("compatible"), org=1)
        session.put(b"wide", key="k")
        assert session.get("k").payload.read() == b"wide"
        nobody = Client(service.url).session(Usecase("compatible"), org=1)
        with pytest.raises(RequestError) as caught:
            nobody.get("k")
        assert caught.value.status == 400


def test_a_base_path(place, secret, tmp_path):
    """A service below a path serves there, presigned URLs too."""
    from objectstore_client import Client, Usecase

    config = tmp_path / "serve.toml"
    config.write_text('root_path = "/store/v2"\n')
    with place.served("--config", str(config)) as service:
        assert service.url.endswith("/store/v2")
        # As behind a proxy that takes the path off, and as without one.
        for url in (service.url.removesuffix("/store/v2"), service.url):
            session = Client(url, token=secret).session(Usecase("below"), org=1)
            key = session.put(b"below", compress="none")
            assert session.get(key).payload.read() == b"below"
        assert fetch(session.object_url(key, timedelta(minutes=1)))[0] == 200
        assert fetch(session.presigned_object_url("GET", key)) == (200, b"below")
