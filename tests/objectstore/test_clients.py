"""What is the published client's own: its options, metrics, spans and helpers."""

from __future__ import annotations

import io
import os
from datetime import timedelta

import pytest

pytestmark = [pytest.mark.objectstore, pytest.mark.timeout(300)]

BODY = b"Hello, world! " * 1000
MIB = 1024 * 1024


@pytest.fixture
def recorder():
    """A metrics backend that keeps what it is told."""
    from objectstore_client import NoOpMetricsBackend

    class Recorder(NoOpMetricsBackend):
        def __init__(self):
            self.told = {}

        def distribution(self, name, value, tags=None, unit=None):
            self.told.setdefault(name, []).append(value)

    return Recorder()


def test_every_public_name_is_there():
    """The client is the one that these tests were written for."""
    import objectstore_client

    assert sorted(objectstore_client.__all__) == sorted(
        [
            *("Client", "Usecase", "Session", "GetResponse", "RequestError"),
            *("ObjectNotFound", "ExpiryExtensionRejected", "Compression"),
            *("ExpirationPolicy", "Metadata", "Permission", "TimeToIdle"),
            *("TimeToLive", "TokenProvider", "SecretKey", "TokenGenerator"),
            *("MetricsBackend", "NoOpMetricsBackend", "parse_accept_encoding"),
        ]
    )


def test_sizes_and_ratios(connect, recorder):
    """The client's own metrics see every operation, with its time and its size."""
    from objectstore_client import Usecase

    session = connect(metrics_backend=recorder).session(Usecase("measured"), org=1)
    key = session.put(BODY)
    session.get(key)
    session.head(key)
    key = session.put(BODY, expiration_policy=_hour())
    session.extend_expiry(key, from_now=timedelta(hours=2))
    upload = session.initiate_multipart_upload(compression="none")
    part = upload.put_part(BODY, part_number=1, content_length=len(BODY))
    upload.complete([part])
    session.delete(key)
    operations = (
        *("put", "get", "head", "delete", "extend_expiry"),
        *("multipart.initiate", "multipart.put_part", "multipart.complete"),
    )
    for operation in operations:
        assert recorder.told[f"storage.{operation}.latency"]
    assert len(BODY) in recorder.told["storage.put.size"]
    assert recorder.told["storage.put.compression_ratio"]


@pytest.mark.parametrize("by", ["the call", "the usecase"])
@pytest.mark.parametrize("compress", ["none", "zstd"])
def test_thresholds(connect, recorder, tmp_path, by, compress):
    """From the threshold on a put goes by a session, and below it does not."""
    from objectstore_client import Usecase

    given = {"resumable_threshold_bytes": 2 * MIB}
    usecase = Usecase("thresholds", **(given if by == "the usecase" else {}))
    client = connect(metrics_backend=recorder, spool_dir=tmp_path)
    session = client.session(usecase, org=1)
    options = given if by == "the call" else {}
    small, large = os.urandom(2 * MIB - 1), os.urandom(2 * MIB)
    key = session.put(io.BytesIO(small), compress=compress, **options)
    assert session.get(key).payload.read() == small
    assert "storage.resumable.create.latency" not in recorder.told
    key = session.put(io.BytesIO(large), compress=compress, **options)
    assert session.get(key).payload.read() == large
    assert len(recorder.told["storage.resumable.create.latency"]) == 1
    assert recorder.told["storage.resumable.put.latency"]
    assert list(tmp_path.iterdir()) == []


def test_the_old_name_of_compress(session):
    """It still works, and warns."""
    with pytest.warns(DeprecationWarning, match="compress"):
        key = session.put(BODY, compression="none")
    assert session.head(key).compression is None
    assert session.get(key).payload.read() == BODY


@pytest.mark.parametrize(
    "make",
    [
        lambda session: session.put(b"x", compress="gzip"),
        lambda session: session.put(b"x", compress="zstd", precompressed="zstd"),
        lambda session: session.extend_expiry("k"),
        lambda session: session.presigned_object_url("PUT", "k"),
        lambda session: session.presigned_object_url("GET", "k", timedelta(days=8)),
    ],
)
def test_what_the_client_refuses_itself(session, make):
    """Nothing of that comes to the service."""
    with pytest.raises(ValueError, match="."):
        make(session)


@pytest.fixture
def streaming():
    """The tracing that the client needs, in the way in which it opens its spans."""
    import sentry_sdk

    sentry_sdk.init(traces_sample_rate=1.0, _experiments={"trace_lifecycle": "stream"})
    yield sentry_sdk.traces
    sentry_sdk.get_global_scope().set_client(None)


def test_traces(connect, streaming):
    """Spans are opened, and the headers of traces pass, signed URLs untouched."""
    from objectstore_client import Usecase

    with pytest.warns(DeprecationWarning, match="propagate_traces"):
        client = connect(propagate_traces=True)
    session = client.session(Usecase("traced"), org=1)
    with streaming.start_span(name="traced"):
        key = session.put(BODY)
        assert session.get(key).payload.read() == BODY
        assert session.head("absent") is None
        upload = session.initiate_multipart_upload(compression="none")
        assert upload.list_parts() == []
        upload.abort()
        session.delete(key)


def test_options_of_the_pool(connect):
    """Timeouts, retries, a pool of several connections and further headers."""
    from objectstore_client import Usecase

    client = connect(
        retries=0,
        timeout_ms=30_000,
        connection_kwargs={"maxsize": 4, "headers": {"x-request-id": "mine"}},
    )
    session = client.session(Usecase("pooled"), org=1)
    assert session.get(session.put(BODY)).payload.read() == BODY


def test_nobody_listens():
    """A connection that is refused is tried again, and then is urllib3's error."""
    import urllib3
    from objectstore_client import Client, Usecase

    session = Client("http://127.0.0.1:9").session(Usecase("nobody"), org=1)
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        session.get("k")


def test_ipv6(place, secret):
    """A service on an IPv6 address, whose URL is bracketed."""
    from objectstore_client import Client, Usecase

    with place.served("--host", "::1") as service:
        assert service.url.startswith("http://[::1]:")
        session = Client(service.url, token=secret).session(Usecase("sixth"), org=1)
        key = session.put(BODY)
        assert session.get(key).payload.read() == BODY
        assert session.object_url(key).startswith(f"{service.url}/v1/objects/")


def test_tokens_of_a_length(connect, session, secret):
    """One that lives long, one that is over, and one that lives too long."""
    from objectstore_client import RequestError, Usecase

    session.put(b"x", key="timed")
    for seconds, status in ((3600, None), (-3600, 401), (10**9, 401)):
        token = session.mint_token(expiry_seconds=seconds)
        other = connect(token=token).session(
            Usecase("attachments"), org=42, project=1337
        )
        if status is None:
            assert other.get("timed").payload.read() == b"x"
            continue
        with pytest.raises(RequestError) as caught:
            other.get("timed")
        assert caught.value.status == status
        assert "detail" in caught.value.response


def test_encodings_that_a_browser_accepts(session):
    """What a client of the caller accepts decides who decodes."""
    from objectstore_client import parse_accept_encoding

    key = session.put(BODY)
    passed = session.get(
        key, accept_encoding=parse_accept_encoding("gzip;q=0.5, ZSTD, br;q=0")
    )
    assert passed.metadata.compression == "zstd"
    decoded = session.get(key, accept_encoding=parse_accept_encoding("gzip, br"))
    assert decoded.payload.read() == BODY


def test_types_that_are_guessed(session):
    """A type that the client guesses is the one that comes back."""
    from objectstore_client.utils import guess_mime_type

    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    key = session.put(png, content_type=guess_mime_type(png))
    assert session.head(key).content_type == "image/png"


def _hour():
    from objectstore_client import TimeToLive

    return TimeToLive(timedelta(hours=1))
