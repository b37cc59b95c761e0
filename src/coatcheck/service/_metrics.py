"""What the service tells Prometheus, and what scales it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

if TYPE_CHECKING:
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
        self._registry = CollectorRegistry()
        self._keda = CollectorRegistry()
        self._requests = Counter(
            "coatcheck_requests_total",
            "Requests answered; status 499 is a client that went away.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "coatcheck_request_duration_seconds",
            "From a request's headers to the end of its answer.",
            ("route", "method"),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self.in_flight = Gauge(
            "coatcheck_requests_in_flight", "Requests.", registry=self._registry
        )
        self._refused = Counter(
            "coatcheck_requests_refused_total",
            "Requests refused for want of room or permission.",
            ("status",),
            registry=self._registry,
        )
        self._bytes = Counter(
            "coatcheck_body_bytes_total",
            "Bytes of bodies.",
            ("direction",),
            registry=self._registry,
        )
        self._received = self._bytes.labels("in")
        self._sent = self._bytes.labels("out")
        self._reaped = Counter(
            "coatcheck_reaped_total",
            "Expired objects deleted.",
            registry=self._registry,
        )
        self._swept = Counter(
            "coatcheck_swept_total",
            "Broken uploads and temporary files removed.",
            registry=self._registry,
        )
        self._add_keda(config)

    def _add_keda(self, config: ServiceConfig) -> None:
        """Add what objectstore's autoscaling reads, under its names."""
        total = Counter(
            "objectstore_requests", "Requests answered.", registry=self._keda
        )
        moved = Counter("objectstore_bytes", "Bytes of bodies.", registry=self._keda)
        flight = Gauge(
            "objectstore_requests_in_flight", "Requests.", registry=self._keda
        )
        self._keda_total, self._keda_bytes, self._keda_flight = total, moved, flight
        limits = {
            "objectstore_requests_limit": config.max_requests,
            "objectstore_tasks_limit": config.concurrency,
            "objectstore_throughput_limit": config.rates.per_second,
            "objectstore_bandwidth_limit": config.rates.bytes_per_second,
        }
        for name, limit in limits.items():
            if limit is not None:
                Gauge(name, "A limit.", registry=self._keda).set(limit)

    def begun(self) -> None:
        """Count a request that came."""
        self.in_flight.inc()
        self._keda_flight.inc()

    def ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that came and was answered."""
        self.in_flight.dec()
        self._keda_flight.dec()
        self._keda_total.inc()
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)

    def refused(self, status: int) -> None:
        """Count a refusal."""
        self._refused.labels(str(status)).inc()

    def received(self, size: int) -> None:
        """Count bytes of requests' bodies."""
        self._received.inc(size)
        self._keda_bytes.inc(size)

    def sent(self, size: int) -> None:
        """Count bytes of answers' bodies."""
        self._sent.inc(size)
        self._keda_bytes.inc(size)

    def reaped(self, count: int) -> None:
        """Count deleted objects."""
        self._reaped.inc(count)

    def swept(self, count: int) -> None:
        """Count removed litter."""
        self._swept.inc(count)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self._registry)

    def keda_text(self) -> bytes:
        """Return what objectstore's autoscaling reads."""
        return generate_latest(self._keda)
