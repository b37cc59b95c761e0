"""What the service tells Prometheus, and what scales it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

    from ._config import ServiceConfig

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60)


class Metrics:
    """Counters of one app, in a registry of their own.

    No label has values that clients choose.

    Args:
        config: The limits, which are told too.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._registry = registry = CollectorRegistry()
        requests = Counter(
            "coatcheck_requests_total",
            "Requests answered; status 499 is a client that went away.",
            ("route", "method", "status"),
            registry=registry,
        )
        seconds = Histogram(
            "coatcheck_request_duration_seconds",
            "From a request's headers to the end of its answer.",
            ("route", "method"),
            registry=registry,
            buckets=_SECONDS,
        )
        # Looking a label's values up takes longer than counting.
        self._requests, self._seconds = cache(requests.labels), cache(seconds.labels)
        in_bodies = Counter(
            "coatcheck_body_bytes_total",
            "Bytes of bodies.",
            ("direction",),
            registry=registry,
        )
        self._received, self._sent = in_bodies.labels("in"), in_bodies.labels("out")
        self._reaped = Counter(
            "coatcheck_reaped_total", "Expired objects deleted.", registry=registry
        )
        self._swept = Counter(
            "coatcheck_swept_total",
            "Broken uploads and temporary files removed.",
            registry=registry,
        )
        self._in_flight = Gauge(
            "coatcheck_requests_in_flight", "Requests.", registry=registry
        )
        self._keda = CollectorRegistry()
        self._keda.register(_Keda(self, config))
        self.total_requests = 0
        """Requests answered."""
        self.total_bytes = 0
        """Bytes of bodies."""
        self.in_flight = 0
        """Requests that are being answered."""

    def begun(self) -> None:
        """Count a request that came."""
        self.in_flight += 1

    def ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that came and was answered."""
        self.in_flight -= 1
        self.total_requests += 1
        self._requests(route, method, status).inc()
        self._seconds(route, method).observe(seconds)

    def received(self, size: int) -> None:
        """Count bytes of requests' bodies."""
        self._received.inc(size)
        self.total_bytes += size

    def sent(self, size: int) -> None:
        """Count bytes of answers' bodies."""
        self._sent.inc(size)
        self.total_bytes += size

    def reaped(self, count: int) -> None:
        """Count deleted objects."""
        self._reaped.inc(count)

    def swept(self, count: int) -> None:
        """Count removed litter."""
        self._swept.inc(count)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        self._in_flight.set(self.in_flight)
        return generate_latest(self._registry)

    def keda_text(self) -> bytes:
        """Return what objectstore's autoscaling reads."""
        return generate_latest(self._keda)


class _Keda:
    """What objectstore's autoscaling reads, under its names."""

    def __init__(self, metrics: Metrics, config: ServiceConfig) -> None:
        self._metrics = metrics
        self._limits = {
            "objectstore_requests_limit": config.max_requests,
            "objectstore_tasks_limit": config.concurrency,
            "objectstore_throughput_limit": config.rates.per_second,
            "objectstore_bandwidth_limit": config.rates.bytes_per_second,
        }

    def collect(self) -> Iterable[Metric]:
        """Return it as it is now."""
        metrics = self._metrics
        yield CounterMetricFamily(
            "objectstore_requests", "Requests answered.", metrics.total_requests
        )
        yield CounterMetricFamily(
            "objectstore_bytes", "Bytes of bodies.", metrics.total_bytes
        )
        yield GaugeMetricFamily(
            "objectstore_requests_in_flight", "Requests.", metrics.in_flight
        )
        for name, limit in self._limits.items():
            if limit is not None:
                yield GaugeMetricFamily(name, "A limit.", limit)
