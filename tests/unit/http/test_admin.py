"""`/admin/v1` over a real database, with fakes for all that makes pictures."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from calotype.accounts.opening import open_administration
from calotype.errors import ERRORS
from calotype.http.openapi import build_document
from calotype.settings import AdminSettings, Plan, ServerSettings, Settings
from tests.serving import KEY, FakeServices, serving

TOKEN = "correct-horse-battery-staple-0123456789"
NO_MOMENTS = (4e9, 4_000_000_000, "4000000000", "4e9", "2999-12-31", "2999-12-31T00:00", "soon", "", True, [])
PLANS = (Plan(name="team", requests_per_second=2.5, monthly_credits=10, max_concurrency=3, max_priority=7),)


@asynccontextmanager
async def admin_client(data_dir: Path, *, token: str | None = TOKEN) -> AsyncIterator[httpx.AsyncClient]:
    admin = AdminSettings(token=SecretStr(token) if token else None)
    settings = Settings(data_dir=data_dir, admin=admin, plans=PLANS, server=ServerSettings(max_body_bytes=8 * 2**20))
    async with open_administration(settings) as administration:
        services = FakeServices(settings=settings, administration=administration)
        async with serving(services) as served:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=30) as client:
                yield client


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with admin_client(tmp_path / "data") as client:
        yield client


async def make(admin: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await admin.post("/admin/v1/keys", json={"plan": "team", **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def fields_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "invalid_request"
    return [detail["field"] for detail in error["details"]]


async def test_a_key_leads_its_life(admin: httpx.AsyncClient) -> None:
    expires_at = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    made = await make(admin, name="Ada", expires_at=expires_at, allow=["10.0.0.0/8"], deny=["bad.example.com"])
    key = made["key"]
    assert made["api_key"].startswith(f"calo_{key['id']}_")
    assert (key["name"], key["plan"], key["state"], key["allow"], key["deny"]) == (
        *("Ada", "team", "active", ["10.0.0.0/8"], ["bad.example.com"]),
    )
    assert datetime.fromisoformat(key["expires_at"]) == datetime.fromisoformat(expires_at)
    path = f"/admin/v1/keys/{key['id']}"

    shown = (await admin.get(path)).json()["key"]
    usage = shown.pop("usage")
    assert shown == key
    assert usage == (await admin.get(f"{path}/usage")).json()["usage"]
    assert usage["plan"] == {**PLANS[0].model_dump(), "burst": 2}
    assert (usage["credits"]["used"], usage["credits"]["remaining"], usage["rate"]["remaining"]) == (0, 10, 2)

    replaced = await admin.post(f"{path}/rotate", json={"grace_s": 60})
    assert replaced.status_code == 201
    new, old = replaced.json()["key"], replaced.json()["old"]
    assert (new["account_id"], new["plan"], new["name"], new["allow"]) == (key["id"], "team", "Ada", ["10.0.0.0/8"])
    assert (old["id"], old["state"], old["replaced_by"]) == (key["id"], "active", new["id"])

    for _ in range(2):  # as often as one likes
        revoked = await admin.delete(path)
        assert (revoked.status_code, revoked.json()["key"]["state"]) == (200, "revoked")
    listed = (await admin.get("/admin/v1/keys")).json()
    assert [each["id"] for each in listed["keys"]] == [key["id"], new["id"]]
    assert listed["next_cursor"] is None


async def test_answers_are_not_kept_and_a_text_is_shown_once(admin: httpx.AsyncClient) -> None:
    made = await make(admin)
    path = f"/admin/v1/keys/{made['key']['id']}"
    replaced = await admin.post(f"{path}/rotate")  # without a body: at once
    assert replaced.json()["old"]["state"] == "revoked"
    answers = [await admin.get(url) for url in ("/admin/v1/keys", "/admin/v1/plans", path, f"{path}/usage")]
    answers.append(await admin.delete(path))
    for answer in (*answers, replaced):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    for text in (made["api_key"], replaced.json()["api_key"]):
        assert all(text.rpartition("_")[2] not in answer.text for answer in answers)


async def test_pages(admin: httpx.AsyncClient) -> None:
    ids = [(await make(admin))["key"]["id"] for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    for size in (3, 3, 1):
        query = {"limit": "3", **({"cursor": cursor} if cursor else {})}
        page = (await admin.get("/admin/v1/keys", params=query)).json()
        assert len(page["keys"]) == size
        seen += [key["id"] for key in page["keys"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == ids
    assert (await admin.get("/admin/v1/keys", params={"limit": "7"})).json()["next_cursor"] is None
    for query in ({"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"limit": "1e2"}, {"limit": "٣"}, {"limit": ""}):
        assert fields_of(await admin.get("/admin/v1/keys", params=query)) == ["limit"]
    assert fields_of(await admin.get("/admin/v1/keys", params={"cursor": "nobody00"})) == ["cursor"]


async def test_plans_are_those_built_in_and_configured(admin: httpx.AsyncClient) -> None:
    plans = (await admin.get("/admin/v1/plans")).json()["plans"]
    assert [plan["name"] for plan in plans] == ["free", "unlimited", "team"]
    assert set(plans[0]) == set(Plan.model_fields)


@pytest.mark.parametrize("path", ["/keys/nobody00", "/keys/nobody00/usage", "/keys/%00", "/keys/" + "x" * 5000])
async def test_there_is_no_such_key(admin: httpx.AsyncClient, path: str) -> None:
    answer = await admin.get(f"/admin/v1{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/keys/nobody00"), ("POST", "/keys/nobody00/rotate")])
async def test_what_is_not_there_can_not_be_changed(admin: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await admin.request(method, f"/admin/v1{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_all_errors_come_at_once_and_nothing_is_made(admin: httpx.AsyncClient) -> None:
    body = {
        "plan": "gold",
        "name": "a\x1b[2J",
        "expires_at": "2001-01-01T00:00:00Z",
        "allow": ["http://x/", "10.0.0.0/8", 5],
        "deny": 7,
        "expire_at": 1,
    }
    answer = await admin.post("/admin/v1/keys", json=body)
    assert fields_of(answer) == ["plan", "name", "expires_at", "allow.0", "allow.2", "deny", "expire_at"]
    assert "expires_at" in answer.json()["error"]["details"][-1]["message"]
    assert (await admin.get("/admin/v1/keys")).json()["keys"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "plan"),
        ({"plan": None}, "plan"),
        ({"plan": 5}, "plan"),
        ({"plan": "x" * 100_000}, "plan"),
        ({"plan": "team", "name": 5}, "name"),
        ({"plan": "team", "name": "x" * 201}, "name"),
        ({"plan": "team", "name": "a\x00"}, "name"),
        ({"plan": "team", "allow": "10.0.0.0/8"}, "allow"),
        ({"plan": "team", "allow": {"0": "10.0.0.0/8"}}, "allow"),
        ({"plan": "team", "allow": ["10.0.0.0/8"] * 1001}, "allow"),
        ({"plan": "team", "deny": ["x" * 301]}, "deny.0"),
        ({"plan": "team", "deny": ["*.10.0.0.1"]}, "deny.0"),
        *(({"plan": "team", "expires_at": value}, "expires_at") for value in NO_MOMENTS),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
async def test_a_wrong_body_is_refused_by_field(admin: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    assert fields_of(await admin.post("/admin/v1/keys", json=body)) == [field]
    assert (await admin.get("/admin/v1/keys")).json()["keys"] == []


@pytest.mark.parametrize("value", [-1, 1.5, "60", True, None, 366 * 86_400 + 1, 10**30])
async def test_a_wrong_grace_changes_nothing(admin: httpx.AsyncClient, value: Any) -> None:
    key = (await make(admin))["key"]
    assert fields_of(await admin.post(f"/admin/v1/keys/{key['id']}/rotate", json={"grace_s": value})) == ["grace_s"]
    assert (await admin.get(f"/admin/v1/keys/{key['id']}")).json()["key"]["state"] == "active"


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"plan": "team", "name": "\\ud800"}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a%d": 1, "b": "%s"}' % (1, b"x" * 2**18), "application/json", 413),
        (b"plan=team", "application/x-www-form-urlencoded", 415),
    ],
    ids=["empty", "cut", "list", "half a character", "no text", "deep", "huge", "form"],
)
async def test_no_body_brings_it_down(admin: httpx.AsyncClient, content: bytes, content_type: str, status: int) -> None:
    answer = await admin.post("/admin/v1/keys", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert answer.json()["ok"] is False
    assert (await admin.get("/admin/v1/keys")).json()["keys"] == []


async def test_of_any_number_of_wrong_fields_a_hundred_are_told(admin: httpx.AsyncClient) -> None:
    body = {"plan": "team", **{f"field{number}": 1 for number in range(15_000)}}
    assert len(fields_of(await admin.post("/admin/v1/keys", json=body))) == 100


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": ""}, "api_key_missing"),
        ({"Authorization": "", "X-API-Key": TOKEN}, "api_key_missing"),
        ({"Authorization": f"Basic {TOKEN}"}, "api_key_missing"),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, "api_key_invalid"),
        ({"Authorization": f"Bearer {TOKEN}x"}, "api_key_invalid"),
        ({"Authorization": f"Bearer {KEY}"}, "api_key_invalid"),
        ({"Authorization": b"Bearer \xff\xfe"}, "api_key_invalid"),
    ],
)
async def test_without_the_token_nothing_is_told_and_nothing_done(
    admin: httpx.AsyncClient, headers: dict[str, str], code: str
) -> None:
    key = (await make(admin))["key"]
    requests = [
        *(("GET", path) for path in ("/keys", "/plans", f"/keys/{key['id']}", f"/keys/{key['id']}/usage")),
        *(("POST", path) for path in ("/keys", f"/keys/{key['id']}/rotate", "/keys/nobody00/rotate")),
        ("DELETE", f"/keys/{key['id']}"),
    ]
    for method, path in requests:
        answer = await admin.request(method, f"/admin/v1{path}", headers=headers, params={"api_key": TOKEN})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code), (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert TOKEN not in answer.text
    listed = (await admin.get("/admin/v1/keys")).json()["keys"]
    assert [(each["id"], each["state"]) for each in listed] == [(key["id"], "active")]


async def test_a_stranger_s_body_is_not_judged(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/admin/v1/keys", content=b"x" * 3_000_000, headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401


async def test_the_token_is_no_api_key_and_an_api_key_no_token(admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/v1/usage")).json()["error"]["code"] == "api_key_invalid"
    made = await make(admin, plan="unlimited")
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    assert (await admin.get("/admin/v1/keys", headers=headers)).status_code == 401


async def test_off_it_is_not_there(tmp_path: Path) -> None:
    async with admin_client(tmp_path / "data", token=None) as client:
        unknown = await client.get("/nowhere")
        for method, path in [
            ("GET", "/keys"),
            ("POST", "/keys"),
            ("PATCH", "/keys"),
            ("DELETE", "/keys/x"),
            ("GET", ""),
        ]:
            answer = await client.request(method, f"/admin/v1{path}")
            assert answer.status_code == 404
            assert answer.json()["error"]["message"] == unknown.json()["error"]["message"]
            assert answer.headers.keys() == unknown.headers.keys()
        assert not any(path.startswith("/admin") for path in (await client.get("/openapi.json")).json()["paths"])
        assert "/admin" not in (await client.get("/docs")).text


async def test_the_document_says_what_is_answered(admin: httpx.AsyncClient) -> None:
    document = (await admin.get("/openapi.json")).json()
    assert document == build_document()
    assert "/admin/v1/keys" in (await admin.get("/docs")).text
    schemas = document["components"]["schemas"]
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        if path.startswith("/admin")
        for method, operation in sorted(methods.items(), reverse=True)
    ]
    assert len(operations) == 7
    for path, method, operation in operations:
        assert (operation["tags"], operation["security"]) == (["admin"], [{"admin": []}])
        [status] = [status for status in operation["responses"] if status.startswith("2")]
        body = {"plan": "team"} if operation["operationId"] == "createKey" else None
        key_id = (await make(admin))["key"]["id"]
        answer = await admin.request(method, path.format(key_id=key_id), json=body)
        assert answer.status_code == int(status), (path, answer.text)
        content = operation["responses"][status]["content"]["application/json"]
        properties = schemas[content["schema"]["$ref"].rpartition("/")[2]]["properties"]
        assert set(answer.json()) == set(properties) == set(content["example"])
        codes = {
            code
            for failed, each in operation["responses"].items()
            if failed != status
            for code in each["content"]["application/json"]["examples"]
        }
        assert {"api_key_missing", "api_key_invalid"} <= codes <= set(ERRORS)
        assert ("not_found" in codes) == ("{key_id}" in path)


async def test_examples_of_bodies_are_right(admin: httpx.AsyncClient) -> None:
    paths = build_document()["paths"]
    [create] = paths["/admin/v1/keys"]["post"]["requestBody"]["content"]["application/json"]["examples"].values()
    made = await make(admin, **create["value"])
    rotate = paths["/admin/v1/keys/{key_id}/rotate"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for example in rotate.values():
        path = f"/admin/v1/keys/{made['key']['id']}/rotate"
        assert (await admin.post(path, json=example["value"])).status_code == 201
