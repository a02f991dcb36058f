"""When there are traces: as the standard variables say, and never at the cost of a start."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping

import pytest
import structlog

from calotype.telemetry.otel import OtelTraces
from calotype.telemetry.traces import NO_TRACES, open_traces

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "shots", "OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "true"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": " TRUE "},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=str,
)
def test_without_a_wish_there_are_no_traces_and_no_word(environment: Mapping[str, str]) -> None:
    with structlog.testing.capture_logs() as logged:
        assert open_traces(environment) is NO_TRACES
    assert logged == []


@pytest.mark.parametrize(
    "environment",
    [
        ENDPOINT,
        {**ENDPOINT, "OTEL_SDK_DISABLED": "false"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_TRACES_EXPORTER": "console"},
        {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
    ],
    ids=str,
)
def test_the_standard_variables_turn_them_on(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**environment, "OTEL_TRACES_SAMPLER": "always_off"}.items():
        monkeypatch.setenv(name, value)  # the SDK reads the process's own
    traces = open_traces(environment)
    try:
        assert isinstance(traces, OtelTraces)
        with traces.request("GET", {}) as span:
            assert span.trace_id is not None
            assert span.trace_id in (traces.traceparent() or "")
    finally:
        asyncio.run(traces.close())


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "zipkin"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
    ],
)
def test_what_can_not_be_had_is_said_once(environment: Mapping[str, str], word: str) -> None:
    with structlog.testing.capture_logs() as logged:
        assert open_traces(environment) is NO_TRACES
    [line] = logged
    assert (line["event"], line["log_level"]) == ("traces_off", "warning")
    assert word in line["reason"]
    assert line["fix"]


def test_without_the_extra_one_warning_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "calotype.telemetry.otel")
    for name in [name for name in sys.modules if name.startswith("opentelemetry.sdk")]:
        monkeypatch.setitem(sys.modules, name, None)
    with structlog.testing.capture_logs() as logged:
        assert open_traces(ENDPOINT) is NO_TRACES
    assert [line["fix"] for line in logged] == ["pip install 'calotype[otel]'"]


def test_the_sdk_is_not_imported_without_a_wish() -> None:
    """FastAPI imports OpenTelemetry's API in any case, which does nothing by itself."""
    program = (
        "import sys, calotype.app\n"
        "from calotype.telemetry.traces import open_traces\n"
        "open_traces({})\n"
        "ours = ('opentelemetry.sdk', 'opentelemetry.exporter', 'calotype.telemetry.otel')\n"
        "print([name for name in sys.modules if name.startswith(ours)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
