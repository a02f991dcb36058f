"""What an operator sees of a real server: counts that rise by exactly what was done, and traces of it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from tests.site.server import Site

from .job_calls import TINY, ask, enqueue, job
from .server_process import ServerProcess, running_server
from .test_resilience import until

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER_SPAN_ID = "b7ad6b7169203331"
SECRET = "not-for-a-span"


@dataclass
class Collector:
    """Takes spans over OTLP/HTTP."""

    server: ThreadingHTTPServer
    spans: list[Span] = field(default_factory=list)
    scopes: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, path: str, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.changed:
            self.paths.add(path)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.scopes.add(scope.scope.name)
                    self.spans += scope.spans
            self.changed.notify_all()

    def of(self, trace_id: str) -> dict[str, Span]:
        """The spans of a trace by name; of several with one name the first."""
        found: dict[str, Span] = {}
        for span in self.spans:
            if span.trace_id.hex() == trace_id:
                found.setdefault(span.name, span)
        return found

    def until(self, trace_id: str, name: str) -> dict[str, Span]:
        """The spans of a trace, once one with this name is there: the last to end of those awaited."""
        with self.changed:
            assert self.changed.wait_for(lambda: name in self.of(trace_id), 30), [span.name for span in self.spans]
            return self.of(trace_id)

    def job_trace(self, job_id: str) -> str:
        """The trace of a job's only try."""

        def found() -> list[Span]:
            return [span for span in self.spans if attributes(span).get("calotype.job.id") == job_id]

        with self.changed:
            assert self.changed.wait_for(lambda: bool(found()), 30)
            [span] = found()
            return span.trace_id.hex()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    collector = Collector(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    threading.Thread(target=collector.server.serve_forever, name="collector", daemon=True).start()
    try:
        yield collector
    finally:
        collector.close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def traced(site: Site, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that sends its spans to the collector, and trusts us with `traceparent`."""
    host, port = collector.server.server_address[:2]
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host}:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",  # FastAPI would tell of queries; it must not be heard
    }
    settings = {"GUARD__ALLOW": json.dumps([site.netloc]), "SERVER__TRACE_CALLERS": '["127.0.0.0/8"]'}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with running_server(tmp_path_factory.mktemp("traced"), LOG__FORMAT="json", **settings) as server:
            yield server


def scraped(server: ServerProcess) -> dict[str, float]:
    """Counters, and how many were observed by histograms; names without `calotype_`, labels' values alone."""
    text = server.client.get("/metrics").text
    return {
        f"{sample.name.removeprefix('calotype_')} {' '.join(sample.labels.values())}".strip(): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("calotype_") and sample.name.endswith(("_total", "_count"))
    }


def rise(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def log_lines(server: ServerProcess, event: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.output if line.startswith("{") and f'"event": "{event}"' in line]


def documented(page: str, heading: str) -> set[str]:
    """The names in the first column of the table below a heading."""
    section = page.partition(f"### {heading}\n")[2].partition("\n#")[0]
    return set(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE))


def test_counts_rise_by_exactly_what_was_done(traced: ServerProcess, site: Site) -> None:
    page = f"{site.url}/plain.html"
    traced.picture(html="<p>warm")
    before = scraped(traced)
    traced.picture(url=page, format="png")
    for _ in range(2):  # made, then from the cache
        traced.picture(html="<p>kept", cache={"ttl_s": 60})
    traced.error(400, url="http://10.0.0.1/")
    traced.error(400, html="<p>x", selector="#none", render={"timeout_ms": 1_000})
    traced.client.get("/v1/screenshot", params={"url": page})
    job_id = enqueue(traced)
    assert job(traced, job_id, "?wait=60")["status"] == "done"
    until(lambda: any(line["job_id"] == job_id for line in log_lines(traced, "job_tried")), "the try is counted")
    risen = rise(before, scraped(traced))
    for name in ("guard_received_bytes_total", "picture_bytes_total jpeg", "picture_bytes_total png"):
        assert risen.pop(name) > 0
    risen.pop("capture_stage_seconds_count encode", None)  # a stage that took no millisecond is not counted
    assert sum(risen.pop(name) for name in list(risen) if name.startswith("capture_verdicts_total ")) == 3
    assert risen == {
        "captures_total sync ok": 2,
        "captures_total sync cached": 1,
        "captures_total sync blocked_target": 1,
        "captures_total sync selector_not_found": 1,
        "captures_total job ok": 1,
        "capture_seconds_count sync": 2,
        "capture_seconds_count job": 1,
        **{f"capture_stage_seconds_count {stage}": 3 for stage in ("queue", "navigate", "settle", "capture")},
        "http_requests_total POST /v1/screenshot 200": 3,
        "http_requests_total POST /v1/screenshot 400": 2,
        "http_requests_total GET /v1/screenshot 401": 1,
        "http_requests_total POST /v1/jobs 202": 1,
        "http_requests_total GET /v1/jobs/{job_id} 200": 1,
        "http_requests_total GET /metrics 200": 1,
        "http_request_seconds_count POST /v1/screenshot": 5,
        "http_request_seconds_count GET /v1/screenshot": 1,
        "http_request_seconds_count POST /v1/jobs": 1,
        "http_request_seconds_count GET /v1/jobs/{job_id}": 1,
        "http_request_seconds_count GET /metrics": 1,
        "http_errors_total blocked_target": 1,
        "http_errors_total selector_not_found": 1,
        "http_errors_total api_key_missing": 1,
        "jobs_enqueued_total": 1,
        "jobs_finished_total done": 1,
        "job_tries_total done": 1,
        "job_wait_seconds_count": 1,
        "job_seconds_count": 1,
        "guard_connections_total": 1,
        "guard_decisions_total allow_list": 1,
    }


def test_a_capture_is_one_trace_from_the_callers_span_to_the_stages(
    traced: ServerProcess, collector: Collector, site: Site
) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{CALLER_SPAN_ID}-01", "Authorization": f"Bearer {traced.key}"}
    page = f"{site.url}/plain.html?token={SECRET}"
    answer = traced.client.get("/v1/screenshot", params={"url": page, "api_key": traced.key}, headers=headers)
    assert answer.status_code == 200
    spans = collector.until(TRACE_ID, "GET /v1/screenshot")
    request, capture = spans["GET /v1/screenshot"], spans["capture"]
    assert request.parent_span_id.hex() == CALLER_SPAN_ID
    assert request.kind == Span.SPAN_KIND_SERVER
    assert attributes(request) == {
        "http.request.method": "GET",
        "http.route": "/v1/screenshot",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "calotype.request_id": answer.headers["X-Request-Id"],
        "calotype.key_id": attributes(request)["calotype.key_id"],
    }
    assert capture.parent_span_id == request.span_id
    assert attributes(capture)["calotype.target.host"] == site.netloc.partition(":")[0]
    stages = {name: span for name, span in spans.items() if name.startswith("capture.")}
    assert set(stages) >= {"capture.queue", "capture.navigate", "capture.settle", "capture.capture"}
    for stage in stages.values():
        assert stage.parent_span_id == capture.span_id
        assert stage.start_time_unix_nano <= stage.end_time_unix_nano <= capture.end_time_unix_nano
    for event in ("request_answered", "capture_ended"):
        until(lambda: TRACE_ID in [line["trace_id"] for line in log_lines(traced, event)], "the log names it")  # noqa: B023


def test_a_job_is_a_trace_of_its_own_linked_to_the_request_that_made_it(
    traced: ServerProcess, collector: Collector
) -> None:
    trace_id = TRACE_ID[::-1]
    headers = {"traceparent": f"00-{trace_id}-{CALLER_SPAN_ID}-01"}
    answer = ask(traced, "POST", "/v1/jobs", body={"request": TINY}, **headers)
    job_id = answer.json()["job_id"]
    assert job(traced, job_id, "?wait=60")["status"] == "done"
    accepting = collector.until(trace_id, "POST /v1/jobs")["POST /v1/jobs"]
    job_trace = collector.job_trace(job_id)
    spans = collector.until(job_trace, "job")
    [link] = spans["job"].links
    assert (link.trace_id.hex(), link.span_id) == (trace_id, accepting.span_id)
    assert job_trace != trace_id
    assert not spans["job"].parent_span_id
    assert spans["job"].kind == Span.SPAN_KIND_CONSUMER
    assert attributes(spans["job"])["calotype.outcome"] == "done"
    assert spans["capture"].parent_span_id == spans["job"].span_id
    assert spans["capture.navigate"].parent_span_id == spans["capture"].span_id
    assert [line["trace_id"] for line in log_lines(traced, "job_tried") if line["job_id"] == job_id] == [job_trace]


def test_a_failure_is_an_error_of_the_capture_and_no_fault_of_ours(traced: ServerProcess, collector: Collector) -> None:
    answer = traced.screenshot(url="http://10.0.0.1/")
    request_id = answer.headers["X-Request-Id"]

    def lines() -> list[dict[str, Any]]:
        return [line for line in log_lines(traced, "request_answered") if line["request_id"] == request_id]

    until(lines, "the request is logged")
    spans = collector.until(lines()[0]["trace_id"], "POST /v1/screenshot")
    request, capture = spans["POST /v1/screenshot"], spans["capture"]
    assert attributes(capture)["error.type"] == attributes(request)["error.type"] == "blocked_target"
    assert capture.status.code == 2  # STATUS_CODE_ERROR
    assert request.status.code == 0  # as the conventions have it for 4xx


def test_no_span_holds_a_key_a_query_or_an_address(traced: ServerProcess, collector: Collector, site: Site) -> None:
    everything = "".join(map(str, collector.spans))
    assert collector.scopes == {"calotype"}
    assert collector.paths == {"/v1/traces"}
    assert "GET /v1/screenshot" in everything
    for word in (SECRET, traced.key, traced.key.rsplit("_", 1)[1], "plain.html", "10.0.0.1/"):
        assert word not in everything
    assert not [span for span in collector.spans if "metrics" in span.name or "readyz" in span.name]


def test_a_collector_that_goes_away_is_said_once_and_hurts_nobody(traced: ServerProcess, collector: Collector) -> None:
    """The last of this file: it ends the server."""
    collector.close()
    for _ in range(3):
        traced.picture(html="<p>x")
    assert traced.client.get("/readyz").status_code == 200
    assert traced.stop() == 0
    said = [line for line in traced.output if "opentelemetry" in line]
    assert 1 <= len(said) <= 2, said


def test_the_documented_fields_are_those_of_the_log(traced: ServerProcess) -> None:
    """Runs after the server has ended: all it ever logged is there."""
    page = (Path(__file__).resolve().parents[2] / "docs/monitoring.md").read_text()
    every = documented(page, "Every line")
    for event in ("request_answered", "capture_ended", "job_tried"):
        lines = log_lines(traced, event)
        assert {name for line in lines for name in line} - every <= documented(page, f"`{event}`")
        assert documented(page, f"`{event}`") - {"client_request_id"} <= {name for line in lines for name in line}
