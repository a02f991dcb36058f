"""What no well-meaning client sends gets a documented answer: never a crash, or a capture that it did not ask for.

Many requests in a test, of one server each: starting it is what takes time.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from calotype.http.openapi import build_document
from calotype.settings import ServerSettings, Settings
from tests.serving import KEY, FakeServices, Serving, serving

_JOB_ID = "0b9f2c1e-6f0b-4a53-9c0f-3f7a0c1f2d11"
_PATHS = {path.format(job_id=_JOB_ID): item for path, item in build_document(has_admin=False)["paths"].items()}
_POSTS = [path for path, item in _PATHS.items() if "post" in item]
_WITH_HEAD = {"/v1/jobs", f"/v1/jobs/{_JOB_ID}", f"/v1/jobs/{_JOB_ID}/image", "/healthz", "/readyz", "/metrics"}
_METHODS = {"OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "POST", "GET", "HEAD", "BREW"}


@pytest.fixture
async def roomy(services: FakeServices) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the right key, of a server that takes bodies of a size that hostile ones need."""
    services.settings = Settings(server=ServerSettings(max_body_bytes=2**20))
    async with (
        serving(services) as running,
        httpx.AsyncClient(base_url=running.url, headers={"Authorization": f"Bearer {KEY}"}) as client,
    ):
        yield client


def assert_refused(answer: httpx.Response, *codes: str) -> None:
    """It is a failure with one of these codes, and a status of the client's."""
    sent = f"{answer.request.method} {str(answer.request.url)[:200]} {answer.request.headers}"
    assert 400 <= answer.status_code < 500, (sent, answer.status_code, answer.text[:500])
    assert answer.json()["error"]["code"] in codes, (sent, answer.text[:500])


def wrapped(request: str, path: str) -> bytes:
    """The text of a capture's body as the body that a path takes."""
    by_path = {"/v1/jobs": '{"request": …}', "/v1/jobs/batch": '{"jobs": [{"request": …}]}'}
    return by_path.get(path, "…").replace("…", request).encode("utf-8", "surrogatepass")


def nested(opening: str, closing: str, depth: int) -> str:
    return opening * depth + "0" + closing * depth


def hostile_fields() -> Iterator[str]:
    yield '"locale": "\\u0000"'
    yield '"locale": "\\ud800"'
    yield '"locale": "\ud800"'
    yield '"\\udc00": 1'
    yield '"quality": 1e999'
    yield '"quality": -1e999'
    yield '"quality": NaN'
    yield '"viewport": {"scale": Infinity}'
    yield '"viewport": {"width": ' + "9" * 3_000 + "}"
    yield '"nothing": ' + nested("[", "]", 10_000)
    yield '"nothing": ' + nested('{"a":', "}", 10_000)
    yield '"nothing": ' + nested("[", "]", 100)


@pytest.mark.parametrize("path", _POSTS)
async def test_bodies_that_nobody_means(path: str, roomy: httpx.AsyncClient, services: FakeServices) -> None:
    for field in hostile_fields():
        content = wrapped('{"url": "https://example.com", ' + field + "}", path)
        assert_refused(await roomy.post(path, content=content), "invalid_request")
    assert not services.capturer.requests


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/batch"])
async def test_jobs_that_nobody_means(path: str, roomy: httpx.AsyncClient) -> None:
    for field in (
        '"priority": 1e999',
        '"priority": ' + "9" * 3_000,
        '"x": ' + nested("[", "]", 10_000),
        '"\\ud800": 1',
    ):
        job = '{"request": {"url": "https://example.com"}, ' + field + "}"
        content = job if path == "/v1/jobs" else '{"jobs": [' + job + "]}"
        assert_refused(await roomy.post(path, content=content), "invalid_request")


async def test_nul_in_a_url_is_percent_encoded_or_refused(client: httpx.AsyncClient, services: FakeServices) -> None:
    """As browsers do (WHATWG URL, path state and forbidden host code points)."""
    for nul, post in [("\0", True), ("%00", False)]:
        for url in (f"https://example.com/a{nul}b", f"https://exam{nul}ple.com/"):
            if post:
                answer = await client.post("/v1/screenshot", json={"url": url})
            else:
                answer = await client.get(f"/v1/screenshot?url={url}")
            if "exam" + nul in url:
                assert_refused(answer, "invalid_url")
            else:
                assert answer.status_code == 200
    assert [each.url for each in services.capturer.requests] == ["https://example.com/a%00b"] * 2


async def test_of_a_name_that_is_twice_in_an_object_the_last_counts(
    client: httpx.AsyncClient, services: FakeServices
) -> None:
    """As JSON libraries have it (RFC 8259, section 4), for the key too: it is looked for in what was read."""
    keys = f'"api_key": "x", "api_key": "{KEY}"'
    text = f'{{"url": "https://first.example", "url": "https://last.example", {keys}}}'
    assert (await client.post("/v1/screenshot", content=text)).status_code == 200
    assert [each.url for each in services.capturer.requests] == ["https://last.example/"]


@pytest.mark.parametrize("path", ["/v1/screenshot", "/v1/", "/v1"])
async def test_queries_that_nobody_means(path: str, client: httpx.AsyncClient, services: FakeServices) -> None:
    for more in (
        "locale=%00",
        "cache_key=%ED%A0%80",
        "quality=1e999",
        "scale=NaN",
        f"width={'9' * 3_000}",
        f"actions={'[' * 10_000}",
        "url=https://example.org",
        "quality=80&quality=80",
        "response=json&response=image",
        "&".join(["x=1"] * 1_000),
    ):
        assert_refused(await client.get(f"{path}?url=https://example.com&{more}"), "invalid_request")
    assert not services.capturer.requests


async def test_parameters_of_jobs_that_nobody_means(client: httpx.AsyncClient) -> None:
    for value in ("%00", "%ED%A0%80", "NaN", "1e999", "9" * 5_000, "-1", "%D9%A3", ""):
        for name in ("status", "limit", "cursor"):
            assert_refused(await client.get(f"/v1/jobs?{name}={value}"), "invalid_request")
        assert_refused(await client.get(f"/v1/jobs/{_JOB_ID}?wait={value}"), "invalid_request")


async def test_paths_that_name_no_job(client: httpx.AsyncClient) -> None:
    for job_id in ("%00", "%2E%2E", "a%2Fb", "%ED%A0%80", "%FF", "0" * 5_000, f"{_JOB_ID}%00", "{}"):
        for method, below in [("GET", ""), ("DELETE", ""), ("GET", "/image")]:
            assert_refused(await client.request(method, f"/v1/jobs/{job_id}{below}"), "not_found")


async def test_an_id_may_be_percent_encoded(client: httpx.AsyncClient) -> None:
    """`%2D` is `-` (RFC 3986, section 2.3): the job is looked for, not the text."""
    encoded = _JOB_ID.replace("-", "%2D")
    assert "no such job." in (await client.get(f"/v1/jobs/{encoded}")).text  # as the desk says it


async def test_methods_and_slashes(client: httpx.AsyncClient) -> None:
    for path, item in _PATHS.items():
        allowed = {method.upper() for method in item} | ({"HEAD"} if path in _WITH_HEAD else set())
        head = await client.head(path)
        assert (head.status_code == 405) == ("HEAD" not in allowed), path
        assert head.content == b""
        for method in sorted(_METHODS - allowed - {"HEAD"}):
            answer = await client.request(method, path)
            assert_refused(answer, "method_not_allowed")
            assert set(answer.headers["Allow"].split(", ")) == allowed, path
        if not path.endswith("/") and path != "/v1":  # `/v1/` is a path of its own
            for method in sorted(allowed - {"HEAD"}):
                assert_refused(await client.request(method, f"{path}/"), "not_found")


async def test_bodies_in_gzip_are_not_opened(client: httpx.AsyncClient) -> None:
    for path in _POSTS:
        content = gzip.compress(wrapped('{"url": "https://example.com"}', path))
        answer = await client.post(path, content=content, headers={"Content-Encoding": "gzip"})
        assert_refused(answer, "unsupported_media_type")


async def test_chunked_bodies_over_the_limit(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"html": "'
        for _ in range(64):
            yield b"x" * 1024

    for path in _POSTS:
        assert_refused(await client.post(path, content=chunks()), "body_too_large")


async def test_headers_that_nobody_means(served: Serving) -> None:
    body = json.dumps({"url": "https://example.com"})
    length = f"Content-Length: {len(body)}"
    for status, *lines in [
        (400, "Host: x", "Host: y", length),
        (400, "Host: x", length, "Content-Length: 1"),
        (400, "Host: x", f"Content-Length: {'9' * 5_000}"),
        (400, "Host: x", length, "X-Anything\0: 1"),
        (400, "Host: x", length, "X-Anything: a\0b"),
        (400, "Host: x", length, "Idempotency-Key: a b"),
        (400, "Host: x", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        (415, "Host: x", length, "Content-Type: text/plain", "Content-Type: application/json"),
    ]:
        head = "\r\n".join(["POST /v1/screenshot HTTP/1.1", f"X-API-Key: {KEY}", "Connection: close", *lines])
        answer = await served.exchange(f"{head}\r\n\r\n{body}".encode("latin-1"))
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), (lines, answer)
        assert b'"ok":false' in answer
    assert not served.services.capturer.requests
