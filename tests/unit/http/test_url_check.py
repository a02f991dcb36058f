"""`POST /v1/url-check` on a real socket: the guard's word in the terms of a capture's errors."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.serving import KEY


async def ask(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/url-check", json=body, headers={"Authorization": f"Bearer {KEY}"})


async def test_a_page_that_may_be_visited(client: httpx.AsyncClient) -> None:
    answer = await ask(client, url="example.com")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["ok"], body["url"], body["allowed"]) == (True, "https://example.com/", True)
    assert (body["reason"], body["error"]) == ("public", None)
    assert body["request_id"] == answer.headers["X-Request-Id"]


async def test_a_refused_page_has_the_error_of_a_capture_and_the_reason(client: httpx.AsyncClient) -> None:
    body = (await ask(client, url="http://wiki.example.com:1/")).json()
    assert (body["allowed"], body["reason"]) == (False, "private")
    assert body["error"] == {"code": "blocked_target", "message": "Not there."}


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://", "http://exa mple.com/"])
async def test_what_is_no_url_is_not_allowed_either(client: httpx.AsyncClient, url: str) -> None:
    body = (await ask(client, url=url)).json()
    assert (body["allowed"], body["url"], body["reason"]) == (False, None, "invalid_url")
    assert body["error"]["code"] == "invalid_url"


@pytest.mark.parametrize("body", [{}, {"html": "<p>x"}, {"url": 7}, {"url": "example.com", "quality": 0}])
async def test_a_wrong_request_is_an_error_as_in_a_capture(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await ask(client, **body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"


async def test_it_asks_for_a_key(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/url-check", json={"url": "example.com"}, headers={"Authorization": ""})
    assert answer.status_code == 401
