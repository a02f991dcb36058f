"""The two doors to a capture: what goes in, in which order it is looked at, and the two forms of what comes out."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from calotype.errors import BlockedTarget
from calotype.http.in_flight import InFlight
from calotype.request import CaptureRequest
from calotype.settings import TargetRules
from tests.serving import KEY, FakeServices, Serving

PAGE = {"url": "https://example.com/"}


async def test_post_answers_json_with_the_picture(client: httpx.AsyncClient, services: FakeServices) -> None:
    answer = await client.post("/v1/screenshot", json={**PAGE, "full_page": True})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert list(body) == ["ok", "image_base64", "content_type", "meta"]
    assert body["ok"] is True
    assert base64.b64decode(body["image_base64"], validate=True) == services.capturer.image
    assert body["content_type"] == "image/jpeg"
    assert body["meta"]["url"] == PAGE["url"]
    assert body["meta"]["timings"]["queue_ms"] == 0
    assert body["meta"]["partial_reason"] is None
    assert services.capturer.requests[0].full_page
    assert services.capturer.rules == TargetRules(allow=("10.1.2.3",))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 3 * 2**18, 3 * 2**18 + 1, 3_000_001])
async def test_the_base64_is_right_at_every_size(size: int, client: httpx.AsyncClient, services: FakeServices) -> None:
    services.capturer.image = bytes(index % 251 for index in range(size))
    body = (await client.post("/v1/screenshot", json=PAGE)).json()
    assert base64.b64decode(body["image_base64"], validate=True) == services.capturer.image
    assert body["meta"]["bytes"] == size


@pytest.mark.parametrize("path", ["/v1/screenshot", "/v1/", "/v1"])
async def test_get_answers_the_picture_itself(path: str, client: httpx.AsyncClient, services: FakeServices) -> None:
    answer = await client.get(path, params={"url": "example.com", "capture_full_page": "true", "export_format": "jpg"})
    assert answer.status_code == 200
    assert answer.content == services.capturer.image
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Content-Length"] == str(len(services.capturer.image))
    assert answer.headers["Content-Disposition"] == 'inline; filename="example.com.jpg"'
    assert answer.headers["X-Calotype-Width"] == "1280"
    assert answer.headers["X-Calotype-Final-Url"] == "https://example.com/"
    assert answer.headers["X-Calotype-Cached"] == "false"
    assert "X-Calotype-Partial-Reason" not in answer.headers
    assert json.loads(answer.headers["X-Calotype-Timings"])["encode_ms"] == 0
    assert "capture;dur=0" in answer.headers["Server-Timing"]
    assert services.capturer.requests[0].full_page


async def test_get_gives_the_json_form_on_request(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/screenshot", params={**PAGE, "response": "json"})
    assert answer.json()["ok"] is True


@pytest.mark.parametrize(
    "title", ["Übersicht — 日本語 🎉", "100% \r\nSet-Cookie: a=b\x00\x7f", "  spaces  ", "x" * 5000]
)
async def test_titles_reach_the_header_encoded(title: str, client: httpx.AsyncClient, services: FakeServices) -> None:
    services.capturer.title = title
    answer = await client.get("/v1/screenshot", params=PAGE)
    assert answer.status_code == 200
    assert unquote(answer.headers["X-Calotype-Title"]) == title.strip(" ")[:2048]
    assert "Set-Cookie" not in answer.headers


async def test_warnings_reach_the_header_as_far_as_they_fit(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/screenshot", params={**PAGE, "ful_page": "1"})
    [warning] = json.loads(answer.headers["X-Calotype-Warnings"])
    assert warning["suggestion"] == "full_page"
    many: dict[str, Any] = {f"unknown\x7f日本語_{number}": "1" for number in range(100)}
    answer = await client.get("/v1/screenshot", params={**PAGE, **many})
    assert 0 < len(json.loads(answer.headers["X-Calotype-Warnings"])) < 100
    assert len(answer.headers["X-Calotype-Warnings"]) <= 2048


@pytest.mark.parametrize(
    ("prefer", "status"),
    [
        ("handling=strict", 400),
        ('respond-async, Handling = "strict"; x=y', 400),
        ("handling=lenient, handling=strict", 200),
        ("respond-async", 200),
    ],
)
async def test_unknown_fields_are_warnings_unless_strict(prefer: str, status: int, client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/screenshot", json={**PAGE, "fullpage": True}, headers={"Prefer": prefer})
    assert answer.status_code == status
    if status == 200:
        assert [warning["field"] for warning in answer.json()["meta"]["warnings"]] == ["fullpage"]


async def test_a_preference_that_was_applied_is_confirmed(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/screenshot", json=PAGE, headers={"Prefer": "handling=strict"})
    assert answer.headers["Preference-Applied"] == "handling=strict"


def ways_to_carry_a_key() -> list[dict[str, Any]]:
    return [
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"headers": {"authorization": f"bearer  {KEY}"}},
        {"headers": {"X-API-Key": KEY}},
        {"json": {**PAGE, "api_key": KEY}},
        {"json": {**PAGE, "api_key": KEY}, "headers": {"X-API-Key": KEY}},
        {"json": {**PAGE, "api_key": ""}, "headers": {"X-API-Key": KEY, "Authorization": "Basic eDp5"}},
    ]


@pytest.mark.parametrize("given", ways_to_carry_a_key())
async def test_every_way_to_carry_a_key(given: dict[str, Any], served: Serving) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.post("/v1/screenshot", **{"json": PAGE, **given})
    assert answer.status_code == 200
    assert KEY not in answer.text


async def test_the_key_in_the_query(served: Serving) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        assert (await client.get("/v1/screenshot", params={**PAGE, "api_key": KEY})).status_code == 200
        assert (await client.post("/v1/screenshot", params={"api_key": KEY}, json=PAGE)).status_code == 401


async def test_a_key_that_is_no_text(served: Serving) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.post("/v1/screenshot", json={**PAGE, "api_key": 5})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "api_key"


async def test_an_error_of_get_is_json(client: httpx.AsyncClient, services: FakeServices) -> None:
    async def blocked(request: CaptureRequest) -> None:
        raise BlockedTarget

    services.capturer.script = blocked
    answer = await client.get("/v1/screenshot", params={"url": "http://127.0.0.1/"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "blocked_target"


class Hanging:
    """A capture that ends only when it is let go or cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, request: CaptureRequest) -> None:
        self.begun.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@pytest.fixture
def hanging(services: FakeServices) -> Iterator[Hanging]:
    services.capturer.script = script = Hanging()
    yield script
    script.let_go.set()


def post(body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST /v1/screenshot HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


@pytest.mark.parametrize(
    "sent", [post(PAGE), f"GET /v1?url=example.com&api_key={KEY} HTTP/1.1\r\nHost: x\r\n\r\n".encode()]
)
async def test_a_client_that_leaves_cancels_its_capture(sent: bytes, served: Serving, hanging: Hanging) -> None:
    _, writer = await asyncio.open_connection(served.host, served.port)
    writer.write(sent)
    await hanging.begun.wait()
    writer.close()
    await writer.wait_closed()
    await hanging.cancelled.wait()


async def test_a_drain_lets_running_captures_finish_and_refuses_new_ones(
    client: httpx.AsyncClient, services: FakeServices, hanging: Hanging
) -> None:
    running = asyncio.create_task(client.post("/v1/screenshot", json=PAGE))
    await hanging.begun.wait()
    draining = asyncio.create_task(services.in_flight.drain(60))
    refused = await client.post("/v1/screenshot", json=PAGE)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "shutting_down"
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await client.get("/readyz")).json()["error"]["code"] == "shutting_down"
    hanging.let_go.set()
    await draining
    assert (await running).status_code == 200
    assert not hanging.cancelled.is_set()


async def test_a_drain_cancels_what_outlives_its_grace(
    client: httpx.AsyncClient, services: FakeServices, hanging: Hanging
) -> None:
    running = asyncio.create_task(client.post("/v1/screenshot", json=PAGE))
    await hanging.begun.wait()
    await services.in_flight.drain(0)
    answer = await running
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "shutting_down"
    assert hanging.cancelled.is_set()


async def test_a_drain_without_captures_ends_at_once() -> None:
    in_flight = InFlight()
    await in_flight.drain(60)
    assert in_flight.is_stopping


async def test_requests_one_after_the_other_on_one_connection(served: Serving) -> None:
    """Pipelined, after an upgrade that is not accepted: what some HTTP clients send first."""
    first = post(PAGE).replace(b"Host: x", b"Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c")
    answer = await served.exchange(
        first + post(PAGE) + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 3
