"""What a client tells of its operations: metrics, and spans where Sentry's SDK runs."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from coatcheck._core.objects import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from coatcheck._core.scopes import Scope

_log = logging.getLogger("coatcheck.objects")


class MetricsBackend(Protocol):
    """Takes metrics; `tags` may be left out. It must return at once.

    An exception that it raises is logged and goes no further.
    """

    def increment(
        self,
        name: str,
        value: float = 1,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Count something."""
        ...

    def gauge(
        self, name: str, value: float, tags: Mapping[str, str] | None = None
    ) -> None:
        """Tell a level."""
        ...

    def distribution(
        self,
        name: str,
        value: float,
        tags: Mapping[str, str] | None = None,
        unit: str | None = None,
    ) -> None:
        """Add to a distribution."""
        ...


class NoOpMetricsBackend:
    """Takes metrics and does nothing with them."""

    def increment(
        self,
        name: str,
        value: float = 1,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Do nothing."""

    def gauge(
        self, name: str, value: float, tags: Mapping[str, str] | None = None
    ) -> None:
        """Do nothing."""

    def distribution(
        self,
        name: str,
        value: float,
        tags: Mapping[str, str] | None = None,
        unit: str | None = None,
    ) -> None:
        """Do nothing."""


class Operation:
    """What one operation tells when it ends."""

    def __init__(self, span: Any) -> None:
        self._span = span
        self.sizes: dict[str | None, int] = {}

    def size(self, count: int, compression: str | None = None) -> None:
        """Tell how many bytes there were, plain or compressed."""
        self.sizes[compression] = count
        name = (
            "uncompressed_size" if compression in (None, "none") else "compressed_size"
        )
        self.note(**{name: count})

    def note(self, **attributes: object) -> None:
        """Tell something of the operation to its span."""
        for name, told in attributes.items():
            if self._span is not None:
                self._span.set_data(f"objectstore.{name}", told)


class Telemetry:
    """Where a client's operations are told.

    Args:
        metrics: Takes the metrics.
    """

    def __init__(self, metrics: MetricsBackend) -> None:
        self._metrics = metrics

    @contextmanager
    def operation(
        self,
        name: str,
        usecase: str,
        scope: Scope,
        *,
        metered: bool = True,
        **attributes: object,
    ) -> Generator[Operation]:
        """Tell of an operation when the block ends, however it ends."""
        with _span(name, usecase) as span:
            operation = Operation(span)
            scopes = {f"scopes.{level}": value for level, value in scope.pairs}
            operation.note(usecase=usecase, **scopes, **attributes)
            begun = perf_counter()
            try:
                yield operation
            finally:
                if metered:
                    self._tell(name, usecase, operation, perf_counter() - begun)

    def step(self, name: str, usecase: str, seconds: float) -> None:
        """Tell how long a step took that belongs to a larger operation."""
        self._told(f"storage.{name}.latency", seconds, {"usecase": usecase})

    def _tell(
        self, name: str, usecase: str, operation: Operation, seconds: float
    ) -> None:
        self.step(name, usecase, seconds)
        seconds = max(seconds, 1e-9)
        for compression, size in operation.sizes.items():
            tags = {"usecase": usecase}
            if compression is not None:
                tags["compression"] = compression
            self._told(f"storage.{name}.size", size, tags, "byte")
            self._told(f"storage.{name}.throughput", size / seconds, tags)
            if size:
                self._told(f"storage.{name}.inverse_throughput", seconds / size, tags)
        plain, *packed = operation.sizes.values() or (0,)
        if plain and packed:
            tags = {"usecase": usecase, "compression": str([*operation.sizes][1])}
            self._told(f"storage.{name}.compression_ratio", packed[0] / plain, tags)

    def _told(
        self, name: str, value: float, tags: Mapping[str, str], unit: str | None = None
    ) -> None:
        try:
            self._metrics.distribution(name, value, tags=tags, unit=unit)
        except Exception:  # noqa: BLE001  # metrics must not break a call
            _log.exception("the metrics backend failed on %s", name)


def trace_headers() -> Mapping[str, str]:
    """Return the headers that continue the current trace of Sentry's SDK.

    There are none when the program does not use it.
    """
    sentry: Any = sys.modules.get("sentry_sdk")
    if sentry is None:
        return NOTHING
    given: dict[str, Callable[[], str | None]] = {
        "sentry-trace": sentry.get_traceparent,
        "baggage": sentry.get_baggage,
    }
    told = {name: find() for name, find in given.items()}
    return {name: text for name, text in told.items() if text}


def _span(name: str, usecase: str) -> Any:
    """Return a context manager of a span, or of None when nobody traces."""
    sentry: Any = sys.modules.get("sentry_sdk")
    if sentry is None:
        return nullcontext()
    return sentry.start_span(
        op=f"objectstore.{name}",
        name=f"objectstore.{name} {usecase}",
        origin="auto.objectstore.client",
    )
