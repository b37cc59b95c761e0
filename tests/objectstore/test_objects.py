"""The published client puts, gets and deletes through `coatcheck serve`."""

from __future__ import annotations

import io
import threading
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = [pytest.mark.objectstore, pytest.mark.timeout(300)]

BODY = b"Hello, world! " * 1000
ODD_KEYS = [
    *("plain", "a/b/c", "with space", "per%cent", "looks%20encoded", "a+b", "a&b=c"),
    *("question?mark", "hash#tag", "[brackets]", "pipe|{x}", "ünïcödé", "日本語", "😀"),
    *("semi;colon", "quote'\"", "co:lon@at", "tilde~", "back\\slash", "$!*(),"),
]
SCOPES = [
    {},
    {"org": 1},
    {"org": "42", "project": "1337"},
    {"project": "1337", "org": "42"},
    {"odd-_()$!+'": "v-_()$!+'"},
    {"flag": True, "zero": 0},
]


@pytest.mark.parametrize("compress", ["zstd", "none"])
@pytest.mark.parametrize("body", [b"", b"x", BODY, bytes(range(256)) * 8192])
def test_bytes_come_back(session, compress, body):
    """What was put is what get gives, compressed on the way or not."""
    key = session.put(body, compress=compress)
    found = session.get(key)
    assert found.payload.read() == body
    assert found.metadata.compression is None


def test_a_stream_comes_back(session):
    """A stream of unknown length is taken from where it stands."""
    stream = io.BytesIO(b"skipped" + BODY * 100)
    stream.seek(7)
    key = session.put(stream, key="stream")
    assert key == "stream"
    assert session.get(key).payload.read() == BODY * 100


@pytest.mark.parametrize("key", [None, ""])
def test_keys_are_generated(session, key):
    """Without a key the service makes one, another each time."""
    made = {session.put(b"x", key=key) for _ in range(3)}
    assert len(made) == 3
    assert all(len(each) == 36 for each in made)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys(session, key):
    """A key is decoded exactly once, whatever is in it."""
    body = key.encode()
    assert session.put(body, key=key) == key
    assert session.get(key).payload.read() == body
    assert session.head(key) is not None
    session.delete(key)
    assert session.get(key) is None


@pytest.mark.parametrize("scopes", SCOPES)
def test_scopes(connect, scopes):
    """Each ordered scope has objects of its own."""
    from objectstore_client import Usecase

    client = connect()
    session = client.session(Usecase("scoped_1"), **scopes)
    session.put(repr(scopes).encode(), key="k")
    assert session.get("k").payload.read() == repr(scopes).encode()
    other = client.session(Usecase("scoped_2"), **scopes)
    assert other.get("k") is None
    session.delete("k")


def test_overwriting(session):
    """The last put wins, with its own metadata."""
    session.put(b"old", key="again", metadata={"a": "1"}, filename="old.txt")
    session.put(b"new", key="again", metadata={"b": "2"})
    found = session.get("again")
    assert found.payload.read() == b"new"
    assert found.metadata.custom == {"b": "2"}
    assert found.metadata.filename is None


def test_absent_objects(session):
    """What is not there is None, and deleting it succeeds."""
    assert session.get("absent") is None
    assert session.head("absent") is None
    session.delete("absent")


def test_metadata(session, place):
    """All of it comes back, Unicode too, with the times and the stored size."""
    custom = {"source": "upload-service", "name": "größe 100% 😀", "empty": ""}
    if place.kind == "seaweedfs":
        # It forgets metadata without a value, which S3 itself keeps.
        del custom["empty"]
    before = datetime.now(UTC) - timedelta(seconds=2)
    key = session.put(
        BODY,
        compress="none",
        content_type="text/plain; charset=utf-8",
        metadata=custom,
        origin="203.0.113.42",
        filename="Prüf/bericht.txt",
    )
    for metadata in (session.head(key), session.get(key).metadata):
        assert metadata.content_type == "text/plain; charset=utf-8"
        assert metadata.custom == custom
        assert metadata.origin == "203.0.113.42"
        assert metadata.filename == "Prüf/bericht.txt"
        assert metadata.size == len(BODY)
        assert before < metadata.time_created < datetime.now(UTC) + timedelta(seconds=2)
        assert metadata.time_expires is None
        assert metadata.expiration_policy is None
        assert metadata.compression is None


def test_metadata_of_nothing_said(session):
    """What was not said has its defaults."""
    metadata = session.head(session.put(b"x", compress="none"))
    assert metadata.content_type == "application/octet-stream"
    assert metadata.custom == {}
    assert metadata.origin is None


def test_compression_on_the_way(connect, session):
    """Stored compressed, decoded on the way back unless that is not wanted."""
    key = session.put(BODY, compress="zstd")
    assert session.head(key).compression == "zstd"
    assert session.head(key).size < len(BODY)
    assert session.get(key).payload.read() == BODY
    raw = session.get(key, decompress=False)
    assert raw.metadata.compression == "zstd"
    stored = raw.payload.read()
    assert len(stored) == raw.metadata.size
    passed = session.get(key, accept_encoding=["zstd"])
    assert passed.payload.read() == stored
    assert passed.metadata.compression == "zstd"


def test_precompressed_bodies_of_several_frames(session):
    """Frames behind one another are kept as they are and decoded as one."""
    import zstandard

    frames = b"".join(zstandard.compress(each) for each in (b"one ", b"two ", BODY))
    key = session.put(frames, precompressed="zstd")
    assert session.get(key).payload.read() == b"one two " + BODY
    assert session.get(key, decompress=False).payload.read() == frames


def test_defaults_of_a_usecase(connect):
    """A usecase's compression and expiration policy hold for every put."""
    from objectstore_client import TimeToLive, Usecase

    usecase = Usecase(
        "defaults", compression="none", expiration_policy=TimeToLive(timedelta(days=3))
    )
    session = connect().session(usecase, org=1)
    metadata = session.head(session.put(BODY))
    assert metadata.compression is None
    assert metadata.size == len(BODY)
    assert metadata.expiration_policy == TimeToLive(timedelta(days=3))


def test_expiration_policies(session):
    """Policies come back in the one spelling that the client reads, with a time."""
    from objectstore_client import TimeToIdle, TimeToLive

    for policy in (
        TimeToLive(timedelta(days=1, hours=2, minutes=3, seconds=4)),
        TimeToIdle(timedelta(days=365)),
        TimeToLive(timedelta(seconds=90)),
    ):
        metadata = session.head(session.put(b"x", expiration_policy=policy))
        assert metadata.expiration_policy == policy
        lifetime = metadata.time_expires - metadata.time_created
        assert abs(lifetime - policy.delta) <= timedelta(seconds=1)


def test_expired_objects_are_gone(session):
    """From its deadline on an object is absent."""
    import time

    from objectstore_client import ObjectNotFound, TimeToLive

    key = session.put(b"x", expiration_policy=TimeToLive(timedelta(seconds=1)))
    time.sleep(2.1)
    assert session.get(key) is None
    assert session.head(key) is None
    with pytest.raises(ObjectNotFound):
        session.extend_expiry(key, from_now=timedelta(hours=1))


def test_extending_expiry(session):
    """To a time, from creation and from now; never to an earlier time."""
    from objectstore_client import TimeToIdle, TimeToLive

    key = session.put(b"x", expiration_policy=TimeToLive(timedelta(hours=1)))
    created = session.head(key).time_created
    session.extend_expiry(key, from_creation=timedelta(hours=5))
    assert _about(session.head(key).time_expires, created + timedelta(hours=5))
    session.extend_expiry(key, from_now=timedelta(hours=2))
    assert _about(session.head(key).time_expires, created + timedelta(hours=5))
    at = datetime.now(UTC) + timedelta(days=2, microseconds=123456)
    session.extend_expiry(key, at=at)
    assert at <= session.head(key).time_expires <= at + timedelta(seconds=1)
    lifetime = session.head(key).expiration_policy.delta
    assert _about(created + lifetime, at)
    key = session.put(b"x", expiration_policy=TimeToIdle(timedelta(hours=1)))
    session.extend_expiry(key, from_now=timedelta(hours=7))
    metadata = session.head(key)
    assert _about(metadata.time_expires, datetime.now(UTC) + timedelta(hours=7))
    assert metadata.expiration_policy == TimeToIdle(timedelta(hours=1))


def _about(one, other):
    return abs(one - other) < timedelta(seconds=5)


def test_what_cannot_be_extended(session):
    """Absent objects, and those that never expire."""
    from objectstore_client import ExpiryExtensionRejected, ObjectNotFound

    with pytest.raises(ObjectNotFound):
        session.extend_expiry("absent", from_now=timedelta(hours=1))
    key = session.put(b"x")
    with pytest.raises(ExpiryExtensionRejected):
        session.extend_expiry(key, from_now=timedelta(hours=1))


def test_many_threads(session):
    """Clients are shared between threads."""
    failures = []

    def work(number):
        try:
            for turn in range(5):
                body = f"{number}.{turn} ".encode() * 1000
                key = session.put(body, key=f"thread-{number}-{turn}")
                assert session.get(key).payload.read() == body
                session.delete(key)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_large_object(session):
    """20 MiB, which no part of the way holds at once."""
    body = b"".join(i.to_bytes(4, "big") for i in range(5 * 1024 * 1024))
    key = session.put(io.BytesIO(body), compress="none")
    payload = session.get(key).payload
    assert b"".join(iter(lambda: payload.read(1 << 20), b"")) == body


def test_half_read_payloads(session):
    """Who reads only the beginning gets the next object none the less."""
    key = session.put(b"x" * 5_000_000, compress="none")
    for _ in range(5):
        assert session.get(key).payload.read(10) == b"x" * 10
    assert session.get(key).payload.read() == b"x" * 5_000_000


def test_ranges_by_plain_http(session):
    """The URL of an object serves ranges of the stored bytes to anybody allowed."""
    key = session.put(b"0123456789", compress="none")
    url = session.object_url(key, token_validity=timedelta(minutes=5))
    request = urllib.request.Request(url, headers={"Range": "bytes=2-4"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 206
        assert answer.headers["content-range"] == "bytes 2-4/10"
        assert answer.read() == b"234"
