"""Spans of OpenTelemetry's SDK. Imported only when its variables ask for traces (extra `otel`).

A provider of our own, not the process's global one: nothing else here is instrumented. The SDK reads its variables
itself: sampler, resource, exporter, batches. It sends from a thread of its own, drops what it can't send, and no
capture ever waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Collection, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from calotype import __version__
from calotype.telemetry.traces import Attributes, Span

_CLOSE_S = 3.0
_LOG_PAUSE_S = 60.0
_NAME = "calotype"
_PROPAGATOR = TraceContextTextMapPropagator()
_NOISY = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")


class OtelTraces:
    """`Traces` with something behind it; `close()` it last."""

    def __init__(self, exporters: Collection[str]) -> None:
        """
        Args:
            exporters: of `otlp` and `console`.
        """
        for name in _NOISY:
            logging.getLogger(name).addFilter(_now_and_then())
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        for name in sorted(exporters):
            self._provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
        self._tracer = self._provider.get_tracer(_NAME, __version__)

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Generator[Span]:
        context = _PROPAGATOR.extract(headers, Context())  # an empty one: no parent but the caller's
        span = self._tracer.start_span(method, context, SpanKind.SERVER)
        with _current(span, ends=True):
            yield _OtelSpan(self._tracer, span)

    @contextmanager
    def capture(self, attributes: Attributes) -> Generator[Span]:
        span = self._tracer.start_span("capture", attributes=attributes)
        with _current(span, ends=True):
            yield _OtelSpan(self._tracer, span)

    @contextmanager
    def job(self, enqueued_by: str | None, attributes: Attributes) -> Generator[Span]:
        links: list[Link] = []
        if enqueued_by is not None:
            found = _PROPAGATOR.extract({"traceparent": enqueued_by}, Context())
            links = [Link(trace.get_current_span(found).get_span_context())]
        span = self._tracer.start_span("job", Context(), SpanKind.CONSUMER, attributes, links)
        with _current(span, ends=False):
            yield _OtelSpan(self._tracer, span)

    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent")

    async def close(self) -> None:
        # A thread of our own, a daemon: the SDK may take half a minute for a collector that does not answer.
        closed, loop = asyncio.Event(), asyncio.get_running_loop()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=shut_down, name="traces-closing", daemon=True).start()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await closed.wait()
        except TimeoutError:
            pass


class _OtelSpan:
    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def trace_id(self) -> str:
        return trace.format_trace_id(self._span.get_span_context().trace_id)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def stage(self, name: str, elapsed_s: float) -> None:
        now_ns = time.time_ns()
        parent = trace.set_span_in_context(self._span, Context())
        began_ns = now_ns - round(elapsed_s * 1e9)
        self._tracer.start_span(f"capture.{name}", parent, start_time=began_ns).end(now_ns)

    def end(self) -> None:
        self._span.end()


def _current(span: trace.Span, *, ends: bool) -> AbstractContextManager[trace.Span]:
    # Exceptions are told by their codes: their texts may hold what nobody else is to read.
    return trace.use_span(span, end_on_exit=ends, record_exception=False, set_status_on_exception=False)


def _resource() -> Resource:
    given = Resource.create({SERVICE_VERSION: __version__})
    if str(given.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return given.merge(Resource({SERVICE_NAME: _NAME}))
    return given


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _now_and_then() -> logging.Filter:
    """Let one line a minute pass: a collector that is away is said, not repeated every five seconds."""

    class NowAndThen(logging.Filter):
        next_s = 0.0

        def filter(self, record: logging.LogRecord) -> bool:
            if (now_s := time.monotonic()) < self.next_s:
                return False
            self.next_s = now_s + _LOG_PAUSE_S
            return True

    return NowAndThen()
