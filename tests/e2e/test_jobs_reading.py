"""Jobs as they are looked at: lists, long waits, and pictures for many who are slow to take them."""

from __future__ import annotations

import resource
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.site.server import Site

from .job_shop import (
    Shop,
    cancel_all,
    error_of,
    fields_of,
    key_on,
    noise,
    running_shop,
    walk,
)


@pytest.fixture(scope="module")
def shop(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running_shop(site, tmp_path_factory.mktemp("jobs")) as shop:
        yield shop


def test_a_picture_is_in_memory_once_however_many_are_slow_to_read_it(shop: Shop) -> None:
    job_id = shop.job_id(noise(1_900))
    with ExitStack() as stack:
        waiting = [stack.enter_context(asking(shop, f"/v1/jobs/{job_id}?wait=60")) for _ in range(12)]
        assert [first_bytes(each) for each in waiting] == [b"HTTP/1.1 200 OK"] * 12
        size = int(shop.see(job_id)["result"]["meta"]["bytes"])
        assert size > 10_000_000
        before = resident_bytes(shop.server.pid)
        reading = [stack.enter_context(asking(shop, f"/v1/jobs/{job_id}/image")) for _ in range(12)]
        assert [first_bytes(each) for each in reading] == [b"HTTP/1.1 200 OK"] * 12
        assert resident_bytes(shop.server.pid) - before < 6 * size
        whole = b"".join(iter(lambda: reading[0].recv(2**20), b""))
        assert whole.endswith(shop.server.client.get(f"/v1/jobs/{job_id}/image").content)


def asking(shop: Shop, path: str) -> socket.socket:
    """A connection whose client reads no more than it is made to."""
    host, port = shop.server.url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((host, int(port)))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return connection


def first_bytes(connection: socket.socket) -> bytes:
    return connection.recv(15, socket.MSG_WAITALL)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("wait", ["61", "60.5", "-1", "-0.1", "soon", "nan", "inf", "-inf", "", "1_0", "1e999"])
def test_a_wait_that_is_none_is_refused(shop: Shop, wait: str) -> None:
    job_id = shop.job_id(shop.colour("0000ff"))
    assert fields_of(shop.server.client.get(f"/v1/jobs/{job_id}", params={"wait": wait})) == {"wait"}


def test_the_list_is_the_callers_own_newest_first(shop: Shop) -> None:
    key, other = key_on(shop, "thousand"), key_on(shop, "five")
    with shop.busy():
        one = shop.job_id(shop.colour("ff0000"), other)
        answer = shop.batch([{"request": {"html": str(number)}} for number in range(25)], key)
        job_ids = [job["job_id"] for job in answer.json()["jobs"]]
        listed = shop.call("GET", "/v1/jobs", key)
        assert listed.headers["Cache-Control"] == "no-store"
        assert [job["job_id"] for job in listed.json()["jobs"]] == job_ids[:4:-1]
        assert {job["status"] for job in listed.json()["jobs"]} == {"queued"}
        assert shop.call("GET", "/v1/jobs", key, params={"limit": 100}).json()["next_cursor"] is None
        assert [job["job_id"] for job in shop.call("GET", "/v1/jobs", other).json()["jobs"]] == [one]
        for limit in (1, 7, 25):
            assert list(walk(shop, key, limit)) == job_ids[::-1]
        shop.call("DELETE", f"/v1/jobs/{job_ids[3]}", key)
        for status, expected in (("cancelled", [job_ids[3]]), ("done", [])):
            listed = shop.call("GET", "/v1/jobs", key, params={"status": status}).json()
            assert ([job["job_id"] for job in listed["jobs"]], listed["next_cursor"]) == (expected, None)
        for cursor in (one, str(uuid.uuid4()), "x", "", "\0"):
            assert fields_of(shop.call("GET", "/v1/jobs", key, params={"cursor": cursor})) == {"cursor"}
        cancel_all(shop, key)
        # A cursor names a job, and holds whatever has become of that.
        assert list(walk(shop, key, 9)) == job_ids[::-1]


def test_a_list_has_no_pictures_but_says_where_they_are(shop: Shop) -> None:
    key = key_on(shop, "five")
    job_id = shop.job_id(shop.colour("ff0000"), key)
    shop.ended(job_id)
    [job] = shop.call("GET", "/v1/jobs", key).json()["jobs"]
    assert "image_base64" not in job["result"]
    assert job["result"]["image_url"] == f"/v1/jobs/{job_id}/image"
    assert job["result"]["meta"]["width"] == 64


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "some"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"status": "finished"}, "status"),
        ({"status": ""}, "status"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_list_that_is_none_is_refused(shop: Shop, query: dict[str, str], field: str) -> None:
    assert fields_of(shop.call("GET", "/v1/jobs", params=query)) == {field}


def test_a_list_needs_a_key(shop: Shop) -> None:
    assert error_of(shop.server.client.get("/v1/jobs")) == (401, "api_key_missing")
    assert error_of(shop.call("GET", "/v1/jobs", "calo_x")) == (401, "api_key_invalid")


def test_a_read_is_for_no_cache_and_no_other_origin(shop: Shop) -> None:
    job_id = shop.job_id(shop.colour("ff0000"))
    shop.ended(job_id)
    for path in (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/image", "/v1/jobs"):
        answer = shop.call("GET", path, headers={"Origin": "https://example.com"})
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert error_of(shop.call("PUT", path)) == (405, "method_not_allowed")
        head = shop.call("HEAD", path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("Content-Type", "Content-Length", "Cache-Control"):
            assert head.headers[name] == answer.headers[name]
    for wrong in (f"/v1/jobs/{uuid.uuid4()}", f"/v1/jobs/{uuid.uuid4()}/image", "/v1/jobs?limit=0"):
        head = shop.call("HEAD", wrong)
        assert (head.status_code, head.content) == (shop.call("GET", wrong).status_code, b"")
