"""A capture that is told of: one log line, its counts, and its span, however it ends."""

from __future__ import annotations

import asyncio
import time
from typing import Literal
from urllib.parse import urlsplit

import structlog

from calotype.capture.result import CaptureResult
from calotype.capture.run import Capturer
from calotype.errors import ERRORS, CalotypeError
from calotype.guard.policy import NO_RULES
from calotype.request import CaptureRequest
from calotype.settings import TargetRules
from calotype.telemetry import Telemetry
from calotype.telemetry.traces import Span

_log = structlog.get_logger(__name__)
_ALWAYS = frozenset({"queue", "navigate", "settle", "capture"})


class ObservedCapturer:
    """A `Capturer` as delivery and jobs use it."""

    def __init__(self, capturer: Capturer, telemetry: Telemetry, kind: Literal["sync", "job"]) -> None:
        self._capturer = capturer
        self._telemetry = telemetry
        self._kind = kind

    async def capture(
        self, request: CaptureRequest, *, request_id: str, rules: TargetRules = NO_RULES
    ) -> CaptureResult:
        """As `Capturer.capture`."""
        host = urlsplit(request.url).hostname if request.url else None
        attributes = {"calotype.request_id": request_id, "calotype.format": request.format}
        began = time.perf_counter()
        with self._telemetry.traces.capture(attributes | ({"calotype.target.host": host} if host else {})) as span:
            log = _log.bind(kind=self._kind, request_id=request_id, host=host, format=request.format)
            try:
                result = await self._capturer.capture(request, request_id=request_id, rules=rules, on_stage=span.stage)
            except BaseException as error:
                self._failed(_outcome_of(error), time.perf_counter() - began, span, log)
                raise
            self._gave(request, result, time.perf_counter() - began, span, log)
            return result

    def _failed(self, outcome: str, elapsed_s: float, span: Span, log: structlog.typing.FilteringBoundLogger) -> None:
        self._telemetry.metrics.captures.labels(self._kind, outcome).inc()
        span.set({"calotype.outcome": outcome})
        if outcome != "cancelled":
            span.fail(outcome)
        log.info("capture_ended", outcome=outcome, elapsed_ms=round(elapsed_s * 1000))

    def _gave(
        self,
        request: CaptureRequest,
        result: CaptureResult,
        elapsed_s: float,
        span: Span,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        meta = result.meta
        timings = {name.removesuffix("_ms"): ms for name, ms in meta.timings.model_dump().items()}
        flaws = [] if meta.verdict == "ok" else [flaw.kind for flaw in meta.verdict]
        outcome = "partial" if meta.partial else "ok"
        metrics = self._telemetry.metrics
        metrics.capture_gave(
            self._kind,
            is_partial=meta.partial,
            elapsed_s=elapsed_s,
            stages_s={name: ms / 1000 for name, ms in timings.items() if ms or name in _ALWAYS},
            flaws=flaws,
        )
        metrics.picture_bytes.labels(request.format).inc(meta.bytes)
        span.set({"calotype.outcome": outcome, "calotype.picture.size": meta.bytes})
        log.info(
            "capture_ended",
            outcome=outcome,
            elapsed_ms=round(elapsed_s * 1000),
            timings_ms=timings,
            page_status=meta.status_code,
            bytes=meta.bytes,
            width_px=meta.width,
            height_px=meta.height,
            verdict=flaws or "ok",
        )


def _outcome_of(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    code = error.code if isinstance(error, CalotypeError) else "internal_error"
    return code if code in ERRORS else "internal_error"
