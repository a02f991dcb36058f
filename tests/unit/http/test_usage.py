"""`GET /v1/usage` and the headers of where a caller stands."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from calotype.accounts.keys import Principal
from calotype.accounts.limits import Limits, Standing
from calotype.http.standing import standing_headers
from calotype.settings import Plan
from tests.serving import FakeDesk

RESETS_AT = datetime(2030, 2, 1, tzinfo=UTC)


async def test_usage_of_an_unlimited_key(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/usage")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["ok"], body["key_id"], body["key_name"]) == (True, "key_1", "tester")
    assert body["plan"]["name"] == "unlimited"
    assert body["plan"]["requests_per_second"] is None
    assert body["credits"] == {"used": 0, "reserved": 0, "remaining": None, "resets_at": "2030-01-01T00:00:00Z"}
    assert body["rate"] == {"remaining": None, "retry_after_s": 0.0}
    assert answer.headers["X-Credits-Remaining"] == "unlimited"


async def test_it_asks_for_a_key(client: httpx.AsyncClient) -> None:
    headers = {"Authorization": ""}
    assert (await client.get("/v1/usage", headers=headers)).status_code == 401


@pytest.mark.parametrize("status", [400, 404, 401])
async def test_an_answer_says_where_the_caller_stands_if_there_is_one(client: httpx.AsyncClient, status: int) -> None:
    path, headers = {
        400: ("/v1/screenshot?url=http://", {}),
        404: ("/v1/nothing", {}),
        401: ("/v1/screenshot?url=http://example.com/", {"Authorization": "Bearer calo_x"}),
    }[status]
    answer = await client.get(path, headers=headers)
    assert answer.status_code == status
    assert ("X-Credits-Remaining" in answer.headers) == (status == 400)


async def test_an_answer_does_not_fail_for_want_of_the_standing(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(desk: FakeDesk, caller: Principal) -> Standing:
        raise OSError("no database")

    monkeypatch.setattr(FakeDesk, "standing", fail)
    answer = await client.get("/v1/screenshot?url=http://")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_url")
    assert "X-Credits-Remaining" not in answer.headers


@pytest.mark.parametrize(
    ("plan", "arrival_us", "used", "headers"),
    [
        (
            Plan(name="free", requests_per_second=1, monthly_credits=100),
            1_400_000,
            41,
            {
                "RateLimit-Policy": '"requests";q=1;w=1',
                "RateLimit": '"requests";r=0;t=1',
                "X-Credits-Remaining": "59",
            },
        ),
        (
            Plan(name="team", requests_per_second=20, burst=40, monthly_credits=10),
            1_000_000,
            12,
            {
                "RateLimit-Policy": '"requests";q=40;w=2',
                "RateLimit": '"requests";r=40;t=0',
                "X-Credits-Remaining": "0",
            },
        ),
        (
            Plan(name="slow", requests_per_second=0.1),
            1_000_001,
            0,
            {
                "RateLimit-Policy": '"requests";q=1;w=10',
                "RateLimit": '"requests";r=0;t=1',
                "X-Credits-Remaining": "unlimited",
            },
        ),
    ],
)
def test_headers(plan: Plan, arrival_us: int, used: int, headers: dict[str, str]) -> None:
    standing = Standing(Limits.of(plan), 1_000_000, arrival_us, 0, used, RESETS_AT)
    assert standing_headers(standing) == headers


def test_headers_without_limits() -> None:
    headers = standing_headers(Standing(Limits.of(Plan(name="x")), 0, 0, 0, 0, RESETS_AT))
    assert headers["RateLimit-Policy"].startswith('"requests";q=')
    assert headers["X-Credits-Remaining"] == "unlimited"
