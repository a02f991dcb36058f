"""The HTTP contract through a real server process: doors, keys, warnings, and each failure in its envelope."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.site import blocks
from tests.site.pictures import assert_pixels, opened, pixel
from tests.site.server import Site

from .server_process import ServerProcess

GET_PATHS = ("/v1/screenshot", "/v1/", "/v1")


def error_of(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error of an answer that must be this failure, in the one shape of all failures."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"ok", "error"}
    assert set(body["error"]) == {"code", "message", "details", "request_id"}
    assert body["ok"] is False
    assert body["error"]["code"] == code
    assert body["error"]["request_id"] == answer.headers["x-request-id"]
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize("path", GET_PATHS)
def test_get_answers_the_image(server: ServerProcess, site: Site, path: str) -> None:
    query = {"api_key": server.key, "url": f"{site.url}/blocks.html", "format": "png", "full_page": "true"}
    answer = server.client.get(path, params=query)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-calotype-height"] == "3000"
    assert_pixels(opened(answer.content), blocks.FULL_PAGE)


def test_get_takes_the_legacy_names(server: ServerProcess, site: Site) -> None:
    query = {
        "api_key": server.key,
        "url": f"{site.url}/blocks.html",
        "capture_full_page": "true",
        "css_injection": "body { background: #ff00ff }",
        "export_format": "png",
        "delay": "1",
    }
    answer = server.client.get("/v1/", params=query)
    assert answer.status_code == 200, answer.text
    image = opened(answer.content)
    assert image.size == blocks.DOCUMENT
    assert pixel(image, 640, 360) == blocks.MAGENTA
    assert json.loads(answer.headers["x-calotype-timings"])["settle_ms"] >= 1000


def test_get_answers_json_when_asked(server: ServerProcess) -> None:
    answer = server.client.get("/v1/screenshot", params={"api_key": server.key, "html": "<p>x", "response": "json"})
    assert answer.json()["content_type"] == "image/jpeg"


@pytest.mark.parametrize("where", ["bearer", "header", "body"])
def test_the_key_may_stand_in_each_place(server: ServerProcess, where: str) -> None:
    headers = {"bearer": {"Authorization": f"Bearer {server.key}"}, "header": {"X-API-Key": server.key}}.get(where, {})
    body = {"html": "<p>x"} | ({"api_key": server.key} if where == "body" else {})
    assert server.client.post("/v1/screenshot", json=body, headers=headers).status_code == 200


def test_no_key_and_a_wrong_key(server: ServerProcess) -> None:
    error_of(server.client.post("/v1/screenshot", json={"html": "x"}), 401, "api_key_missing")
    wrong = {"html": "x", "api_key": server.key[:-1]}
    error_of(server.client.post("/v1/screenshot", json=wrong), 401, "api_key_invalid")
    error_of(server.client.get("/v1/screenshot", params={"url": "example.com"}), 401, "api_key_missing")


def test_all_errors_of_a_request_come_at_once(server: ServerProcess) -> None:
    body = {"url": "https://example.com", "quality": 500, "viewport": {"width": 1}, "format": "gif", "clip": {"x": 1}}
    error = error_of(server.screenshot(**body), 400, "invalid_request")
    fields = {detail["field"] for detail in error["details"]}
    assert {"quality", "viewport.width", "format", "clip.y", "clip.width", "clip.height"} <= fields
    assert all(detail["message"] for detail in error["details"])


def test_unknown_names_are_warnings_with_the_nearest_known(server: ServerProcess) -> None:
    _, meta = server.picture(html="<p>x", viewport={"widht": 400}, fullpage=True)
    assert {(w["field"], w["suggestion"]) for w in meta["warnings"]} == {
        ("viewport.widht", "viewport.width"),
        ("fullpage", "full_page"),
    }


def test_strict_handling_makes_them_errors(server: ServerProcess) -> None:
    headers = {"X-API-Key": server.key, "Prefer": "handling=strict"}
    answer = server.client.post("/v1/screenshot", json={"html": "<p>x", "fullpage": True}, headers=headers)
    [detail] = error_of(answer, 400, "invalid_request")["details"]
    assert detail["field"] == "fullpage"


@pytest.mark.parametrize(
    "field",
    [
        {"block": {"ads": True}},
        {"block": {"cookie_banners": True}},
    ],
    ids=str,
)
def test_a_field_without_effect_yet_says_so(server: ServerProcess, field: dict[str, Any]) -> None:
    error = error_of(server.screenshot(html="<p>x", **field), 400, "invalid_request")
    assert any("not supported yet" in detail["message"] for detail in error["details"])


@pytest.mark.parametrize(
    "url", ["ftp://example.com", "javascript:alert(1)", "https://", "http://exa mple.com", "file:///etc"]
)
def test_what_is_no_url_of_a_page(server: ServerProcess, url: str) -> None:
    error_of(server.screenshot(url=url), 400, "invalid_url")


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b"nul", b"\xff\xfe", b'{"url": NaN}', b"[" * 100_000], ids=repr)
def test_malformed_json(server: ServerProcess, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "X-API-Key": server.key}
    error_of(server.client.post("/v1/screenshot", content=body, headers=headers), 400, "invalid_request")


def test_another_content_type(server: ServerProcess) -> None:
    answer = server.client.post("/v1/screenshot", data={"url": "x"}, headers={"X-API-Key": server.key})
    error_of(answer, 415, "unsupported_media_type")


def test_a_body_over_the_limit(server: ServerProcess) -> None:
    headers = {"Content-Type": "application/json", "X-API-Key": server.key}
    body = b'{"html": "' + b"x" * (9 * 2**20) + b'"}'
    error_of(server.client.post("/v1/screenshot", content=body, headers=headers), 413, "body_too_large")


def test_an_unknown_path_and_a_wrong_method(server: ServerProcess) -> None:
    error_of(server.client.get("/v1/nothing"), 404, "not_found")
    error_of(server.client.get("/nothing"), 404, "not_found")
    wrong = server.client.put("/v1/screenshot")
    error_of(wrong, 405, "method_not_allowed")
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "POST"}


def test_liveness_and_readiness(server: ServerProcess) -> None:
    assert server.client.get("/healthz").json()["ok"] is True
    ready = server.client.get("/readyz").json()
    assert ready["ok"] is True
    jailed = [json.loads(line) for line in server.output if '"jail_ready"' in line]
    assert [{"jail": line["jail"], "by": line["by"]} for line in jailed] == [ready["guard"]]
    assert ready["guard"]["jail"] in ("datagrams", "full")  # every Linux has seccomp


def test_keys_are_not_in_the_logs(server: ServerProcess) -> None:
    server.client.get("/v1/", params={"api_key": server.key, "url": "http://10.0.0.1/"})
    server.screenshot(html="<p>x")
    logged = "".join(line for line in server.output if not line.startswith(("API key", "Try it")))
    assert "request_answered" in logged
    assert server.key not in logged
    assert server.key.rsplit("_", 1)[1] not in logged
