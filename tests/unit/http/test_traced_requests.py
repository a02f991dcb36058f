"""Whose traces are continued: of callers whom the operator trusts, and of nobody else."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import httpx
import pytest

from calotype.settings import ServerSettings, Settings
from calotype.telemetry import Telemetry
from calotype.telemetry.traces import NO_SPAN, NO_TRACES, Span
from tests.serving import FakeServices, serving

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Heard:
    """Traces that remember what requests came with."""

    capture, job = NO_TRACES.capture, NO_TRACES.job
    traceparent, close = NO_TRACES.traceparent, NO_TRACES.close

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Generator[Span]:
        self.requests.append(dict(headers))
        yield NO_SPAN


@pytest.mark.parametrize(
    ("trusted", "sent", "heard"),
    [
        ((), [("traceparent", TRACEPARENT)], {}),
        (("10.0.0.0/8", "::1/128"), [("traceparent", TRACEPARENT)], {}),
        (("127.0.0.0/8",), [("traceparent", TRACEPARENT)], {"traceparent": TRACEPARENT}),
        (
            ("127.0.0.1",),
            [("traceparent", TRACEPARENT), ("tracestate", "vendor=1")],
            {"traceparent": TRACEPARENT, "tracestate": "vendor=1"},
        ),
        (("127.0.0.0/8",), [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)], {}),
    ],
)
async def test_a_trace_is_continued_for_trusted_callers_only(
    trusted: tuple[str, ...], sent: list[tuple[str, str]], heard: dict[str, str]
) -> None:
    traces = Heard()
    services = FakeServices(
        settings=Settings(server=ServerSettings(trace_callers=trusted)), telemetry=Telemetry(traces=traces)
    )
    async with serving(services) as served, httpx.AsyncClient(base_url=served.url, headers=sent) as client:
        assert (await client.get("/v1/usage")).status_code == 401
        assert (await client.get("/healthz")).status_code == 200  # a probe is no trace
    assert traces.requests == [heard]


@pytest.mark.parametrize("network", ["10.0.0.1/8", "example.com", ""])
def test_trusted_callers_are_networks(network: str) -> None:
    with pytest.raises(ValueError, match=r"network|address|host bits"):
        ServerSettings(trace_callers=(network,))
