"""Liveness, readiness, and the pages: honest, without a key, and without a word from another host."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.serving import FakeRunner, FakeServices, Serving


@pytest.fixture
async def stranger(served: Serving):  # type: ignore[no-untyped-def]
    async with httpx.AsyncClient(base_url=served.url) as client:
        yield client


async def test_liveness_depends_on_nothing(stranger: httpx.AsyncClient, services: FakeServices) -> None:
    services.pool.is_ready = False
    services.database.failure = OSError("gone")
    answer = await stranger.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["ok"] is True


async def test_ready(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ok": True,
        "checks": {"browser": "ready", "database": "ready", "storage": "ready", "queue": "ready"},
        "guard": {"jail": "full", "by": ["landlock", "seccomp"]},
    }


async def test_not_ready_names_what_is_missing_and_nothing_internal(
    stranger: httpx.AsyncClient, services: FakeServices
) -> None:
    services.pool.is_ready = False
    services.database.failure = OSError("no route to 10.0.0.7")
    services.jail.is_broken = True
    answer = await stranger.get("/readyz")
    assert answer.status_code == 503
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == ["browser", "guard", "database"]
    assert "10.0.0.7" not in answer.text
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize(
    ("part", "state", "value", "named"),
    [
        ("pool", "is_ready", False, "browser"),
        ("pool", "is_full", True, "queue"),
        ("jail", "is_broken", True, "guard"),
        ("runner", "is_ready", False, "queue"),
        ("database", "failure", OSError("gone"), "database"),
        ("storage", "failure", OSError("gone"), "storage"),
    ],
)
async def test_each_check_alone_makes_it_unready(
    part: str, state: str, value: object, named: str, stranger: httpx.AsyncClient, services: FakeServices
) -> None:
    services.runner = FakeRunner()
    assert (await stranger.get("/readyz")).status_code == 200
    setattr(getattr(services, part), state, value)
    answer = await stranger.get("/readyz")
    assert answer.status_code == 503
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == [named]
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_pages_need_no_other_host_and_no_script_in_them(path: str, stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert re.findall(r"<script(?![^>]* src=)", answer.text) == []
    assert re.findall(r" on[a-z]+=| style=", answer.text) == []
    assert set(re.findall(r'(?:src|href)="([a-z]+:)?//', answer.text)) == set()
    assert (await stranger.get("/static/page.css")).headers["Content-Type"].startswith("text/css")


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/readyz", "/openapi.json"])
async def test_head_is_get_without_the_body(path: str, stranger: httpx.AsyncClient) -> None:
    got, headed = await stranger.get(path), await stranger.head(path)
    assert headed.status_code == got.status_code == 200
    assert headed.content == b""
    assert headed.headers["Content-Length"] == str(len(got.content))
