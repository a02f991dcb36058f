"""What operators' machines ask: alive, ready, counters."""

from __future__ import annotations

from calotype import __version__
from calotype.http.openapi.parts import Area, Json, failures, headers

_TAG = {"name": "operations", "description": "For whoever runs the server. They ask for no key."}

_COUNTERS = """\
# HELP calotype_captures_total Captures, by outcome.
# TYPE calotype_captures_total counter
calotype_captures_total{outcome="ok",path="sync"} 41.0
"""


def operations() -> Area:
    paths = {
        "/healthz": {"get": _healthz()},
        "/readyz": {"get": _readyz()},
        "/metrics": {"get": _metrics()},
    }
    token = {"type": "http", "scheme": "bearer", "description": "`CALOTYPE_SERVER__METRICS_TOKEN`, where it is set."}
    return Area(paths, tags=(_TAG,), security_schemes={"metrics": token})


def _healthz() -> Json:
    return {
        "operationId": "healthz",
        "tags": ["operations"],
        "summary": "The process is alive",
        "description": "For liveness probes: says nothing of what the server depends on.",
        "security": [],
        "responses": {"200": _plain_json("Alive.", {"ok": True, "version": __version__})},
    }


def _readyz() -> Json:
    ready = {
        "ok": True,
        "checks": {"browser": "ready", "database": "ready", "storage": "ready", "queue": "ready"},
        "guard": {"jail": "full", "by": ["landlock", "seccomp"]},
    }
    return {
        "operationId": "readyz",
        "tags": ["operations"],
        "summary": "Captures can be made: browser, database, storage and queue",
        "description": "For readiness probes and load balancers; `details` of a 503 say what is missing.",
        "security": [],
        "responses": {"200": _plain_json("Ready.", ready), **failures(["overloaded", "shutting_down"])},
    }


def _metrics() -> Json:
    return {
        "operationId": "metrics",
        "tags": ["operations"],
        "summary": "Counters for Prometheus",
        "description": "OpenMetrics if `Accept` asks for it. Needs a token where the server has one for it.",
        "security": [{}, {"metrics": []}],
        "responses": {
            "200": {
                "description": "Prometheus' text format.",
                "headers": headers(["X-Request-Id"]),
                "content": {
                    "text/plain": {"schema": {"type": "string"}, "example": _COUNTERS},
                    "application/openmetrics-text": {"schema": {"type": "string"}, "example": f"{_COUNTERS}# EOF\n"},
                },
            },
            **failures(["api_key_missing", "api_key_invalid"]),
        },
    }


def _plain_json(description: str, example: Json) -> Json:
    schema = {"type": "object", "required": ["ok"], "properties": {"ok": {"const": True}}}
    return {
        "description": description,
        "headers": headers(["X-Request-Id"]),
        "content": {"application/json": {"schema": schema, "example": example}},
    }
