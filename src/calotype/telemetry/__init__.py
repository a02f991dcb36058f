"""What operators see of a process: logs, metrics, traces.

`logs` writes lines, `metrics` counts, `figures` reads what the parts count themselves, `traces` is our side of
OpenTelemetry and `otel` the only module that imports it. A part is given one `Telemetry`, and tells it what happened.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from calotype.telemetry.logs import MASK, configure_logging, mask, mask_secrets
from calotype.telemetry.metrics import Metrics
from calotype.telemetry.traces import NO_TRACES, Traces

__all__ = ["MASK", "Metrics", "Telemetry", "Traces", "configure_logging", "mask", "mask_secrets"]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One per process."""

    metrics: Metrics = field(default_factory=Metrics)
    traces: Traces = NO_TRACES
