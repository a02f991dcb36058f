"""Signed links at the door."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest

from calotype.signing import sign
from tests.serving import KEY, LINK_SECRET, FakeServices, Serving

PATHS = ("/v1/screenshot", "/v1/", "/v1")
STRICT = {"Prefer": "handling=strict"}


def link(*query: tuple[str, str], path: str = "/v1/screenshot") -> str:
    query = query or (("url", "https://example.com/"), ("css", "a { color: red }"))
    return f"{path}?{sign(query, key_id='Ab3dEf9h', secret=LINK_SECRET, expires_s=2_000_000_000)}"


@pytest.fixture
async def stranger(served: Serving):
    async with httpx.AsyncClient(base_url=served.url) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
async def test_a_link_is_a_capture_that_any_site_may_show(
    stranger: httpx.AsyncClient, services: FakeServices, path: str
) -> None:
    answer = await stranger.get(link(path=path), headers=STRICT)  # the link's own parameters are no unknown fields
    assert answer.status_code == 200
    assert answer.content == services.capturer.image
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["x-credits-remaining"]
    assert services.capturer.requests[0].css == ("a { color: red }",)


async def test_an_answer_to_a_key_is_for_its_own_site(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/screenshot", params={"url": "https://example.com/"})
    assert answer.status_code == 200
    assert "cross-origin-resource-policy" not in answer.headers


async def test_the_json_form_can_be_signed_too(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get(link(("url", "https://example.com/"), ("response", "json")))
    assert answer.json()["meta"]["warnings"] == []


@pytest.mark.parametrize(
    ("headers", "more"),
    [({"Authorization": f"Bearer {KEY}"}, ""), ({"X-API-Key": KEY}, ""), ({}, f"&api_key={KEY}")],
    ids=["bearer", "header", "query"],
)
@pytest.mark.parametrize("own", [link(), "/v1/screenshot?url=x.com&key_id=1", "/v1/screenshot?url=x.com&signature=1"])
async def test_a_key_beside_a_signature_is_a_contradiction(
    stranger: httpx.AsyncClient, services: FakeServices, own: str, headers: dict[str, str], more: str
) -> None:
    answer = await stranger.get(own + more, headers=headers)
    error: dict[str, Any] = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_request")
    assert error["details"][0]["type"] == "contradiction"
    assert services.capturer.requests == []


async def test_a_changed_link_is_401_in_the_envelope_and_no_capture(
    stranger: httpx.AsyncClient, services: FakeServices
) -> None:
    query = parse_qsl(link().partition("?")[2])
    changed = [query[:at] + query[at + 1 :] for at in range(len(query))]
    changed += [[*query, pair] for pair in (*query, ("width", "100"))]
    changed += [[*query[:at], (name, f"{value}x"), *query[at + 1 :]] for at, (name, value) in enumerate(query)]
    for each in changed:
        answer = await stranger.get(f"/v1/screenshot?{urlencode(each)}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "api_key_invalid"), each
        assert "cross-origin-resource-policy" not in answer.headers
    assert services.capturer.requests == []


async def test_a_signature_says_nothing_to_other_methods(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post(link(), json={"url": "https://example.com/"})
    assert answer.json()["error"]["code"] == "api_key_missing"


async def test_wrong_fields_of_a_signed_link_are_named(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get(link(("url", "https://example.com/"), ("width", "0")))
    assert answer.status_code == 400
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == ["viewport.width"]
