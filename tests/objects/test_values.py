"""Usecases, metadata and telemetry, without any storage."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest

from coatcheck import objects
from coatcheck.backends._memory import MemoryBackend
from coatcheck.errors import InvalidInput, InvalidName, UnsupportedBackend
from coatcheck.objects import (
    Client,
    Metadata,
    NoOpMetricsBackend,
    TimeToIdle,
    Usecase,
)
from coatcheck.objects._telemetry import trace_headers

HOUR = timedelta(hours=1)


def test_usecases_have_defaults():
    """zstd, no expiry, resumable from 256 MiB on."""
    usecase = Usecase("attachments")
    assert usecase.name == "attachments"
    assert usecase.compression == "zstd"
    assert usecase.expiration_policy is None
    assert usecase.resumable_threshold_bytes == 256 * 1024 * 1024
    assert usecase == Usecase("attachments", "zstd", None)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 65, "a/b", "a.b", "\u00e9\u00e9\u00e9", None, 5]
)
def test_bad_names(name):
    """Names are 3 to 64 letters, digits, underscores and hyphens."""
    with pytest.raises(InvalidName):
        Usecase(name)


@pytest.mark.parametrize(
    "fields",
    [
        {"compression": "gzip"},
        {"compression": None},
        {"expiration_policy": timedelta(hours=1)},
        {"resumable_threshold_bytes": -1},
        {"resumable_threshold_bytes": True},
        {"resumable_threshold_bytes": 1.5},
        {"resumable_threshold_bytes": "never"},
        {"resumable_threshold_bytes": None},
    ],
)
def test_bad_defaults(fields):
    """Every field is checked when the usecase is made."""
    with pytest.raises(InvalidInput):
        Usecase("attachments", **fields)


@pytest.mark.parametrize("threshold", [0, 1, 2**40, "none"])
def test_thresholds(threshold):
    """Any number of bytes, and none."""
    usecase = Usecase("attachments", resumable_threshold_bytes=threshold)
    assert usecase.resumable_threshold_bytes == threshold


@pytest.mark.parametrize(
    "options", [{"retries": -1}, {"timeout_ms": -1}, {"reap_every": timedelta(0)}]
)
def test_bad_clients(options):
    """A client's arguments are checked when it is made."""
    with pytest.raises(InvalidInput):
        Client("http://localhost:1", **options)


@pytest.mark.asyncio
async def test_clients_of_nothing():
    """A URL that leads to no service is refused on entering."""
    for url in ("", "nonsense", "ftp://host"):
        with pytest.raises((UnsupportedBackend, InvalidInput)):
            await Client(url).__aenter__()


HEADERS = {
    "Content-Type": "text/plain",
    "content-encoding": "zstd",
    "X-Sn-Expiration": "tti:1h 30m",
    "x-sn-time-created": "2026-01-01T00:00:00Z",
    "x-sn-time-expires": "2026-01-01T01:30:00+00:00",
    "x-sn-origin": "203.0.113.42",
    "x-sn-filename": "caf%C3%A9.txt",
    "X-SN-SIZE": "17",
    "x-snme-source": "100%25",
    "server": "something",
}


def test_metadata_is_read_from_headers():
    """Names count in any case; what is not metadata is passed over."""
    assert Metadata.from_headers(HEADERS) == Metadata(
        content_type="text/plain",
        compression="zstd",
        expiration_policy=TimeToIdle(HOUR * 1.5),
        time_created=datetime(2026, 1, 1, tzinfo=UTC),
        time_expires=datetime(2026, 1, 1, 1, 30, tzinfo=UTC),
        origin="203.0.113.42",
        filename="caf\u00e9.txt",
        size=17,
        custom={"source": "100%"},
    )
    assert Metadata.from_headers({}) == Metadata()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x-sn-size", "many"),
        ("x-sn-expiration", "ttl:1fortnight"),
        ("x-sn-time-created", "yesterday"),
        ("x-sn-origin", "%ff"),
        ("x-snme-source", "%"),
    ],
)
def test_malformed_headers(name, text):
    """What is malformed is an error that names no value."""
    with pytest.raises(InvalidInput):
        Metadata.from_headers({**HEADERS, name: text})


class Recorder:
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def increment(self, name, value=1, tags=None):
        raise AssertionError("only distributions are told")

    gauge = increment

    def distribution(self, name, value, tags=None, unit=None):
        self.told.append((name, value, dict(tags or {}), unit))

    def named(self, name):
        return [(value, tags, unit) for n, value, tags, unit in self.told if n == name]


@pytest.mark.asyncio
async def test_operations_are_measured():
    """Names, tags and units are those that objectstore's clients tell."""
    recorder = Recorder()
    async with (
        MemoryBackend() as backend,
        Client(backend.bucket("b"), metrics_backend=recorder) as client,
    ):
        session = client.session(Usecase("attachments"), org=1)
        await session.put(b"0" * 1000, "key")
        ((size, tags, unit), (sent, sent_tags, _)) = recorder.named("storage.put.size")
        assert (size, tags, unit) == (
            1000,
            {"usecase": "attachments", "compression": "none"},
            "byte",
        )
        assert sent_tags == {"usecase": "attachments", "compression": "zstd"}
        ((ratio, _, _),) = recorder.named("storage.put.compression_ratio")
        assert ratio == sent / 1000
        ((latency, tags, unit),) = recorder.named("storage.put.latency")
        assert latency > 0
        assert (tags, unit) == ({"usecase": "attachments"}, None)
        assert len(recorder.named("storage.put.throughput")) == 2
        assert len(recorder.named("storage.put.inverse_throughput")) == 2
        with pytest.raises(LookupError):
            await session.get_bytes("absent")
        assert len(recorder.named("storage.get.latency")) == 1
        upload = await session.initiate_multipart_upload(key="parts")
        part = await upload.put_part(b"part", part_number=1)
        await upload.list_parts()
        await upload.complete([part])
        await session.head("parts")
        await session.delete("parts")
    names = {name for name, *_ in recorder.told}
    steps = ("initiate", "put_part", "complete")
    assert {f"storage.multipart.{step}.latency" for step in steps} <= names
    assert {"storage.head.latency", "storage.delete.latency"} <= names
    assert "storage.multipart.list_parts.latency" not in names


@pytest.mark.asyncio
async def test_metrics_break_nothing(caplog):
    """A backend that raises is logged, and the operation goes on."""

    class Broken(NoOpMetricsBackend):
        def distribution(self, name, value, tags=None, unit=None):
            raise ZeroDivisionError

    async with (
        MemoryBackend() as backend,
        Client(backend.bucket("b"), metrics_backend=Broken()) as client,
    ):
        session = client.session(Usecase("attachments"))
        with caplog.at_level(logging.ERROR, "coatcheck.objects"):
            key = await session.put(b"x")
            assert await session.get_bytes(key) == b"x"
    assert "metrics backend failed" in caplog.text


class Span:
    """A span as Sentry's SDK gives it."""

    def __init__(self, options):
        self.options = options
        self.data = {}
        self.ended_by = "nothing"

    def set_data(self, name, value):
        self.data[name] = value

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        self.ended_by = kind


@pytest.fixture
def sentry(monkeypatch):
    """A program that uses Sentry's SDK, as far as this library looks at it."""
    module = ModuleType("sentry_sdk")
    module.spans = []

    def start_span(**options):
        module.spans.append(Span(options))
        return module.spans[-1]

    module.start_span = start_span
    module.get_traceparent = lambda: "trace-1"
    module.get_baggage = lambda: None
    monkeypatch.setitem(sys.modules, "sentry_sdk", module)
    return module


@pytest.mark.asyncio
async def test_operations_are_spans_where_sentry_runs(sentry):
    """Each operation opens one, with what it is about, and closes it."""
    async with (
        MemoryBackend() as backend,
        Client(backend.bucket("b")) as client,
    ):
        session = client.session(Usecase("attachments"), org=1)
        await session.put(b"0" * 1000, "key")
        with pytest.raises(LookupError):
            await session.get_bytes("absent")
    put, get = sentry.spans
    assert put.options == {
        "op": "objectstore.put",
        "name": "objectstore.put attachments",
        "origin": "auto.objectstore.client",
    }
    assert put.data["objectstore.usecase"] == "attachments"
    assert put.data["objectstore.scopes.org"] == "1"
    assert put.data["objectstore.key"] == "key"
    assert put.data["objectstore.uncompressed_size"] == 1000
    assert put.data["objectstore.compressed_size"] < 100
    assert put.ended_by is None
    assert issubclass(get.ended_by, LookupError)


def test_traces_go_on_where_sentry_runs(sentry):
    """The headers are the SDK's, those that it has."""
    assert trace_headers() == {"sentry-trace": "trace-1"}


def test_without_sentry_there_are_no_traces(monkeypatch):
    """Nothing is imported, and nothing told."""
    monkeypatch.delitem(sys.modules, "sentry_sdk", raising=False)
    assert dict(trace_headers()) == {}
    assert "sentry_sdk" not in sys.modules


def test_all_is_there_once():
    """`__all__` is sorted and holds what users need."""
    assert list(objects.__all__) == sorted(objects.__all__)
    for name in objects.__all__:
        assert getattr(objects, name) is not None
