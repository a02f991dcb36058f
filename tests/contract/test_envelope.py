"""Every failure, on every path, has the one shape, its status, and an id that the log has too."""

from __future__ import annotations

import asyncio
import json
import re

import httpx
import pytest
import structlog

from calotype import errors
from calotype.errors import ERRORS, CalotypeError
from calotype.request import CaptureRequest
from tests.serving import KEY, MAX_BODY_BYTES, OTHER_KEY, FakeServices, Serving

BODY = {"url": "https://example.com"}
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


def error_of(answer: httpx.Response, status: int, code: str) -> dict:
    """The error of an answer whose every part must be as the contract says."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    body = answer.json()
    assert set(body) == {"ok", "error"}
    assert body["ok"] is False
    error = body["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["code"] == code
    assert error["message"]
    assert isinstance(error["details"], list)
    assert error["request_id"] == answer.headers["X-Request-Id"]
    return error


def raised_by_code() -> list[type[CalotypeError]]:
    known = (each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, CalotypeError))
    return list({each.code: each for each in known if "code" in vars(each)}.values())


def fail_with(error: Exception, services: FakeServices) -> None:
    async def script(request: CaptureRequest) -> None:
        raise error

    services.capturer.script = script


def test_every_code_of_the_table_can_be_raised() -> None:
    assert {each.code for each in raised_by_code()} == set(ERRORS)


@pytest.mark.parametrize("kind", raised_by_code(), ids=lambda kind: kind.code)
async def test_every_error_is_answered_as_its_row_says(
    kind: type[CalotypeError], client: httpx.AsyncClient, services: FakeServices
) -> None:
    fail_with(kind(details=[{"field": "url", "message": "Said."}]), services)
    error = error_of(await client.post("/v1/screenshot", json=BODY), ERRORS[kind.code].status, kind.code)
    assert error["details"] == [{"field": "url", "message": "Said."}]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.Overloaded(retry_after_s=7), "7"),
        (errors.RateLimited(retry_after_s=0.2), "1"),
        (errors.RateLimited(retry_after_s=1.1), "2"),
        (errors.ShuttingDown(), "1"),
        (errors.PageCrashed(), None),
    ],
)
async def test_retry_after_is_in_whole_seconds(
    error: CalotypeError, expected: str | None, client: httpx.AsyncClient, services: FakeServices
) -> None:
    fail_with(error, services)
    answer = await client.post("/v1/screenshot", json=BODY)
    assert answer.headers.get("Retry-After") == expected


async def test_a_crash_tells_nothing_and_is_logged_once(client: httpx.AsyncClient, services: FakeServices) -> None:
    fail_with(RuntimeError("the secret inside"), services)
    with structlog.testing.capture_logs() as logs:
        answer = await client.post("/v1/screenshot", json=BODY)
    error = error_of(answer, 500, "internal_error")
    assert error["message"] == ERRORS["internal_error"].when
    assert "secret inside" not in answer.text
    crashes = [entry for entry in logs if "exc_info" in entry]
    assert [entry["event"] for entry in crashes] == ["request_crashed"]
    assert "secret inside" in str(crashes[0]["exc_info"])


async def test_the_cause_of_an_internal_error_is_in_the_log_only(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    fail_with(errors.InternalError("pipe 17 is broken"), services)
    with structlog.testing.capture_logs() as logs:
        answer = await client.post("/v1/screenshot", json=BODY)
    error_of(answer, 500, "internal_error")
    assert "pipe 17" not in answer.text
    assert [entry["event"] for entry in logs if "exc_info" in entry] == ["request_crashed"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"nonsense", b'{"url": NaN}', b"[]", b'"text"', b"null", b'{"url": "\xff"}', b"[" * 4000, b'{"a":1}x'],
)
async def test_a_body_that_is_no_json_object(content: bytes, client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/screenshot", content=content, headers={"Content-Type": "application/json"})
    error_of(answer, 400, "invalid_request")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "", "\x80"]
)
async def test_a_body_of_another_type(content_type: str, client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": content_type.encode("latin-1")}
    answer = await client.post("/v1/screenshot", content=json.dumps(BODY), headers=headers)
    error_of(answer, 415, "unsupported_media_type")


async def test_a_compressed_body(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/screenshot", json=BODY, headers={"Content-Encoding": "gzip"})
    error_of(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "APPLICATION/JSON; Charset=UTF-8", "application/vnd.api+json", None]
)
async def test_bodies_that_are_json(content_type: str | None, client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await client.post("/v1/screenshot", content=json.dumps(BODY), headers=headers)
    assert answer.status_code == 200


async def test_a_byte_order_mark_is_no_mistake(client: httpx.AsyncClient) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(BODY).encode()
    assert (await client.post("/v1/screenshot", content=content)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("POST", "/v2/screenshot"), ("GET", "/v1/screenshot/"), ("GET", "/v1//")]
)
async def test_an_unknown_path(method: str, path: str, client: httpx.AsyncClient) -> None:
    error_of(await client.request(method, path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/screenshot", "GET, POST"),
        ("DELETE", "/v1/screenshot", "GET, POST"),
        ("OPTIONS", "/v1/screenshot", "GET, POST"),
        ("BREW", "/v1/screenshot", "GET, POST"),
        ("POST", "/v1/", "GET"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/v1/jobs/batch", "POST"),
        ("PUT", "/v1/jobs/0b9f2c1e-6f0b-4a53-9c0f-3f7a0c1f2d11", "GET, HEAD, DELETE"),
    ],
)
async def test_a_wrong_method_names_the_right_ones(
    method: str, path: str, allowed: str, client: httpx.AsyncClient
) -> None:
    answer = await client.request(method, path)
    error_of(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


async def test_head_has_the_headers_of_an_error_and_no_body(client: httpx.AsyncClient) -> None:
    answer = await client.head("/v1/screenshot")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, POST"
    assert answer.content == b""
    assert (await client.get("/healthz")).status_code == 200  # the connection is still good


async def test_a_body_declared_too_large_is_refused_unread(client: httpx.AsyncClient, services: FakeServices) -> None:
    answer = await client.post("/v1/screenshot", json={"url": "x" * MAX_BODY_BYTES})
    error = error_of(answer, 413, "body_too_large")
    assert str(MAX_BODY_BYTES) in error["message"]
    assert not services.capturer.requests


def split(answer: bytes) -> tuple[bytes, dict]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    return head, json.loads(body)


async def test_a_chunked_body_is_counted_while_it_comes(served: Serving) -> None:
    """Sent without end: the answer must come before the body has ended, and the connection must close."""
    reader, writer = await asyncio.open_connection(served.host, served.port)
    writer.write(b"POST /v1/screenshot HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(64):
        writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        await writer.drain()
    answered = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", answered)[1])
    body = json.loads(await reader.readexactly(length))
    assert answered.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answered
    assert body["error"]["code"] == "body_too_large"
    writer.write(b"0\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_large_body_that_is_sent_whole_gets_its_answer(served: Serving) -> None:
    """A client that reads only when it has sent everything must not find a reset connection."""
    sent = b"POST /v1/screenshot HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n" + b" " * 8388608
    head, body = split(await served.exchange(sent))
    assert head.startswith(b"HTTP/1.1 413 ")
    assert body["error"]["code"] == "body_too_large"


async def test_a_content_length_that_is_too_small_cuts_the_body(served: Serving) -> None:
    content = json.dumps(BODY).encode()
    head = f"POST /v1/screenshot HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: {len(content) - 2}\r\n\r\n"
    answer = await served.exchange(head.encode() + content + b" " * 100_000)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"400", b"400"]  # the cut body, and the rest as a request
    assert not served.services.capturer.requests


async def test_a_content_length_that_is_too_large_gives_no_capture(served: Serving) -> None:
    content = json.dumps(BODY).encode()
    head = f"POST /v1/screenshot HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: {len(content) + 2}\r\n\r\n"
    reader, writer = await asyncio.open_connection(served.host, served.port)
    writer.write(head.encode() + content)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert not served.services.capturer.requests


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Endless: " + b"x" * 80_000,
        b"GET /v1/screenshot HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
async def test_what_is_not_http_gets_the_envelope_too(sent: bytes, served: Serving) -> None:
    head, body = split(await served.exchange(sent))
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in head
    assert body["error"]["code"] == "invalid_request"
    assert body["error"]["request_id"].encode() in head


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "api_key_missing"),
        ({"Authorization": "Bearer"}, "api_key_missing"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "api_key_missing"),
        ({"Authorization": f"Bearer {OTHER_KEY}"}, "api_key_invalid"),
        ({"X-API-Key": OTHER_KEY}, "api_key_invalid"),
    ],
)
@pytest.mark.parametrize("body", [BODY, {"quality": "wrong"}], ids=["good", "bad"])
async def test_the_key_is_looked_at_before_the_fields(
    headers: dict[str, str], code: str, body: dict, served: Serving
) -> None:
    async with httpx.AsyncClient(base_url=served.url) as stranger:
        answer = await stranger.post("/v1/screenshot", json=body, headers=headers)
    error_of(answer, 401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert OTHER_KEY not in answer.text


async def test_two_different_keys_are_an_error(client: httpx.AsyncClient) -> None:
    error = error_of(await client.post("/v1/screenshot", json={**BODY, "api_key": OTHER_KEY}), 400, "invalid_request")
    assert error["details"][0]["field"] == "api_key"
    assert OTHER_KEY not in error["message"]


async def test_all_wrong_fields_are_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/screenshot", json={**BODY, "quality": 0, "viewport": {"width": "wide"}})
    error = error_of(answer, 400, "invalid_request")
    assert {detail["field"] for detail in error["details"]} == {"quality", "viewport.width"}


async def test_request_ids_are_ours_and_differ(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        answers = [await client.post("/v1/screenshot", json=BODY, headers={"X-Request-Id": "mine"}) for _ in range(2)]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == 2
    assert "mine" not in ids
    assert [answer.json()["meta"]["request_id"] for answer in answers] == ids
    lines = [entry for entry in logs if entry["event"] == "request_answered"]
    assert [line["request_id"] for line in lines] == ids
    assert {line["client_request_id"] for line in lines} == {"mine"}


async def test_the_log_line_of_a_request_has_no_secret(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logs:
        await client.get("/v1/screenshot", params={"url": "https://example.com/?token=5", "api_key": KEY})
        await client.get("/v1/screenshot", params={"quality": "0", "url": "x.example"})
    first, second = (entry for entry in logs if entry["event"] == "request_answered")
    assert first["method"] == "GET"
    assert first["path"] == "/v1/screenshot"
    assert first["status"] == 200
    assert first["key_id"] == "key_1"
    assert first["elapsed_ms"] >= 0
    assert second["error"] == "invalid_request"
    assert KEY not in str(logs)
    assert "token" not in str(logs)


async def test_nonsense_behind_a_request_is_answered_after_it(served: Serving) -> None:
    content = json.dumps(BODY)
    head = f"POST /v1/screenshot HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: {len(content)}\r\n\r\n"
    answer = await served.exchange((head + content).encode() + b"\x00 nonsense\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"400"]


async def test_nonsense_in_a_body_that_was_refused_already_only_ends_the_connection(served: Serving) -> None:
    reader, writer = await asyncio.open_connection(served.host, served.port)
    writer.write(b"POST /v1/screenshot HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"nonsense\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"HTTP/1.1" not in await reader.read()
    writer.close()
    await writer.wait_closed()
