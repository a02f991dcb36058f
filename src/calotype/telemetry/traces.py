"""Our side of OpenTelemetry: what a span is to the parts, and whether there are any.

Spans are made when the standard variables ask for them (https://opentelemetry.io/docs/specs/otel/configuration/
sdk-environment-variables/); otherwise nothing of OpenTelemetry is imported, and every call here does nothing. No span
ever holds a key, a query, or more of a captured URL than its host.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_EXPORTERS = frozenset({"otlp", "console"})

Attributes = Mapping[str, "str | int | float | bool"]


class Span(Protocol):
    """Something that takes time and is told of."""

    @property
    def trace_id(self) -> str | None:
        """32 hexadecimal digits; None: there are no traces."""
        ...

    def rename(self, name: str) -> None: ...

    def set(self, attributes: Attributes) -> None: ...

    def fail(self, error_type: str) -> None:
        """Mark it as an error; `error_type` is a code of the error table."""
        ...

    def stage(self, name: str, elapsed_s: float) -> None:
        """Add a child that ends now."""
        ...

    def end(self) -> None:
        """Only of a job's, which outlives its block."""
        ...


class Traces(Protocol):
    """Makes spans. Each is the parent of what is begun in its block, also by tasks that are created there."""

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        """An HTTP request. `headers`: `traceparent` and `tracestate` of a caller who is trusted with them."""
        ...

    def capture(self, attributes: Attributes) -> AbstractContextManager[Span]: ...

    def job(self, enqueued_by: str | None, attributes: Attributes) -> AbstractContextManager[Span]:
        """One try of a job: a trace of its own, linked to the span whose `traceparent` is given. Call `end`."""
        ...

    def traceparent(self) -> str | None:
        """What names the span around this (https://www.w3.org/TR/trace-context/)."""
        ...

    async def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        ...


class _NoSpan:
    trace_id = None

    def rename(self, name: str) -> None: ...

    def set(self, attributes: Attributes) -> None: ...

    def fail(self, error_type: str) -> None: ...

    def stage(self, name: str, elapsed_s: float) -> None: ...

    def end(self) -> None: ...


NO_SPAN: Span = _NoSpan()


class _NoTraces:
    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        return _nothing()

    def capture(self, attributes: Attributes) -> AbstractContextManager[Span]:
        return _nothing()

    def job(self, enqueued_by: str | None, attributes: Attributes) -> AbstractContextManager[Span]:
        return _nothing()

    def traceparent(self) -> str | None:
        return None

    async def close(self) -> None: ...


NO_TRACES: Traces = _NoTraces()


@contextmanager
def _nothing() -> Generator[Span]:
    yield NO_SPAN


@contextmanager
def logged(span: Span) -> Generator[None]:
    """Let the log lines of the block, and of tasks created in it, carry the span's `trace_id`."""
    if span.trace_id is None:
        yield
        return
    with structlog.contextvars.bound_contextvars(trace_id=span.trace_id):
        yield


def open_traces(environment: Mapping[str, str]) -> Traces:
    """Make what the variables ask for. What can't be had is said in one warning, and there are no traces."""
    exporters = _exporters(environment)
    if not exporters:
        return NO_TRACES
    if unknown := sorted(exporters - _EXPORTERS):
        return _without(f"OTEL_TRACES_EXPORTER names {', '.join(unknown)}", "set it to otlp, console or none")
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _PROTOCOL)
    if "otlp" in exporters and protocol != _PROTOCOL:
        return _without(f"OTLP over {protocol} is not built in", f"set OTEL_EXPORTER_OTLP_PROTOCOL={_PROTOCOL}")
    try:
        from calotype.telemetry.otel import OtelTraces
    except ImportError as error:
        return _without(f"OpenTelemetry is not installed: {error}", "pip install 'calotype[otel]'")
    try:
        return OtelTraces(exporters)
    except Exception as error:  # what the SDK thinks of the other variables: no reason not to make pictures
        return _without(f"OpenTelemetry refuses its variables: {error}", "correct the OTEL_ variables")


def _exporters(environment: Mapping[str, str]) -> frozenset[str]:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return frozenset()
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if not named and any(environment.get(name) for name in _ENDPOINTS):
        named = "otlp"
    return frozenset(name.strip().lower() for name in named.split(",")) - {"", "none"}


def _without(reason: str, fix: str) -> Traces:
    _log.warning("traces_off", reason=reason, fix=fix)
    return NO_TRACES
