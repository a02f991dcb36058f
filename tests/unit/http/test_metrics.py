"""`/metrics` on a real socket: what is in it, who may read it, and what never becomes a label."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from calotype.settings import ServerSettings, Settings
from calotype.telemetry.figures import Backlog, reference, reference_registry
from tests.serving import KEY, FakeRunner, FakeServices, Serving, serving

TOKEN = "0f4b8a1c9e7d4c52b6a39d81e0f7c264"


def samples(text: str) -> dict[str, float]:
    """Each sample as it is written, `name{labels}`."""
    return {
        f"{sample.name}{{{','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_figures_are_those_of_the_parts(client: httpx.AsyncClient, services: FakeServices) -> None:
    services.runner = FakeRunner(running=1, concurrency=2)
    services.backlog.latest = Backlog(queued=7, running=2, oldest_queued_s=12.5, webhooks_pending=3)
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert answer.headers["Cache-Control"] == "no-store"
    seen = samples(answer.text)
    expected = {
        "calotype_guard_decisions_total{reason=private}": 1,
        "calotype_guard_decisions_total{reason=public}": 2,
        "calotype_pages{state=busy}": 1,
        "calotype_pages{state=idle}": 3,
        "calotype_queue_length{}": 0,
        "calotype_queue_limit{}": 64,
        "calotype_browser_starts_total{}": 3,
        "calotype_browser_restarts_total{reason=captures}": 2,
        "calotype_browser_restarts_total{reason=unhealthy}": 0,
        "calotype_browser_memory_bytes{}": 2**28,
        "calotype_runner_jobs{}": 1,
        "calotype_runner_jobs_limit{}": 2,
        "calotype_jobs{state=queued}": 7,
        "calotype_jobs{state=running}": 2,
        "calotype_jobs_oldest_queued_seconds{}": 12.5,
        "calotype_webhooks_pending{}": 3,
        "calotype_guard_jail_info{level=full}": 1,
    }
    assert {name: seen[name] for name in expected} == expected
    assert seen["process_resident_memory_bytes{}"] > 2**20


async def test_what_the_database_does_not_say_is_left_out(client: httpx.AsyncClient) -> None:
    """Not 0: a queue that nobody can see is not an empty one."""
    assert not [name for name in samples((await client.get("/metrics")).text) if name.startswith("calotype_jobs{")]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("text/plain; version=abc", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=x, */*", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
async def test_the_form_is_negotiated_and_never_fails(
    accept: str, content_type: str, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/metrics", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(content_type)
    assert answer.text.endswith("# EOF\n") == ("openmetrics" in content_type)


async def test_head_is_get_without_the_body(client: httpx.AsyncClient) -> None:
    headed = await client.head("/metrics")
    assert (headed.status_code, headed.content) == (200, b"")


async def test_requests_are_counted_by_route_and_nothing_of_a_caller_is_a_label(client: httpx.AsyncClient) -> None:
    job_ids = [f"7d444840-9dc0-11d1-b245-5ffdce74fad{number}" for number in range(2)]
    for job_id in job_ids:
        assert (await client.get(f"/v1/jobs/{job_id}")).status_code == 404
    for path in ("/made-up-1", "/made-up-2?api_key=calo_secret_1"):
        assert (await client.get(path)).status_code == 404
    assert (await client.request("BREW", "/v1/screenshot")).status_code == 405
    posted = await client.post("/v1/screenshot", json={"url": "https://private.example.com/?q=secret"})
    assert posted.status_code == 200
    text = (await client.get("/metrics")).text
    seen = samples(text)
    assert seen["calotype_http_requests_total{method=GET,route=/v1/jobs/{job_id},status=404}"] == 2
    assert seen["calotype_http_requests_total{method=GET,route=none,status=404}"] == 2
    assert seen["calotype_http_requests_total{method=_OTHER,route=/v1/screenshot,status=405}"] == 1
    assert seen["calotype_http_requests_total{method=POST,route=/v1/screenshot,status=200}"] == 1
    assert seen["calotype_http_request_seconds_count{method=POST,route=/v1/screenshot}"] == 1
    assert seen["calotype_http_errors_total{code=not_found}"] == 4
    assert seen["calotype_http_errors_total{code=method_not_allowed}"] == 1
    for word in (*job_ids, "made-up", "secret", "private.example", "BREW", KEY, "key_1"):
        assert word not in text


@pytest.fixture
async def closed() -> AsyncIterator[Serving]:
    """A server whose metrics need a token."""
    server = ServerSettings(metrics_token=SecretStr(TOKEN))
    async with serving(FakeServices(settings=Settings(server=server))) as running:
        yield running


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [
        (None, 401, "api_key_missing"),
        (f"Bearer {TOKEN}x", 401, "api_key_invalid"),
        (f"Bearer {KEY}", 401, "api_key_invalid"),
        (f"Bearer {TOKEN}", 200, None),
    ],
)
async def test_the_metrics_may_have_a_token(
    authorization: str | None, status: int, code: str | None, closed: Serving
) -> None:
    async with httpx.AsyncClient(base_url=closed.url) as stranger:
        answer = await stranger.get("/metrics", headers={"Authorization": authorization} if authorization else {})
        assert answer.status_code == status
        assert ("calotype_captures_total" in answer.text) == (status == 200)
        if code is not None:
            assert answer.json()["error"]["code"] == code
        assert (await stranger.get("/readyz")).status_code == 200  # probes have no token


@pytest.mark.parametrize("token", ["short", "calo_screenshot_0123456789abcdef0123", "with a space " * 4])
def test_a_token_is_hard_to_guess_and_no_key(token: str) -> None:
    with pytest.raises(ValueError, match="at least 32 visible ASCII"):
        ServerSettings(metrics_token=SecretStr(token))


async def test_the_reference_lists_all_that_is_scraped(client: httpx.AsyncClient) -> None:
    text = (await client.get("/metrics")).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    ours = {name for name in families if name.startswith("calotype_")}
    assert ours == {facts.name.removesuffix("_total") for facts in reference()}
    assert ours == {family.name for family in reference_registry().collect() if family.name.startswith("calotype_")}
    for facts in reference():
        family = families[facts.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (facts.kind, facts.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(facts.labels)
        assert re.fullmatch(r"calotype_[a-z_]+", facts.name)
        assert facts.name.endswith("_total") == (facts.kind == "counter")
