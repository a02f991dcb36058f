"""`GET /metrics`: what the parts count, in Prometheus' text format. The figures are read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.responses import Response

from calotype.http.services import Services, ServicesParameter

router = APIRouter(include_in_schema=False)


class _Figures(Collector):
    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        decisions = CounterMetricFamily(
            "calotype_guard_decisions",
            "The guard's decisions on a host and port, once per capture, and limits that captures reached.",
            labels=["reason"],
        )
        for reason, count in sorted(self._services.guard.counts.items()):
            decisions.add_metric([reason], count)
        yield decisions


@router.api_route("/metrics", methods=["GET", "HEAD"])
async def metrics(request: Request, services: ServicesParameter) -> Response:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(services))
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"})
