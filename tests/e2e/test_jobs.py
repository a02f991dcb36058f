"""Jobs as clients meet them: a real server, one job at a time, so that the queue can be held still."""

from __future__ import annotations

import base64
import json
import resource
import socket
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from calotype.webhooks.signature import read_secret, verify
from tests.receiver import refusing_port, running_receiver
from tests.site import blocks
from tests.site.pictures import assert_pixels, opened
from tests.site.server import Site

from .job_shop import TINY, Shop, delivered, error_of, fields_of, make_key, noise, received, settings_for, walk
from .server_process import running_server, server_environment
from .test_resilience import until

ADMIN_TOKEN = "b2f6d1c4a7e94f0d8c3b5a6e7f809112"


@pytest.fixture(scope="module")
def shop(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running_receiver() as receiver:
        refusing = f"127.0.0.1:{refusing_port()}"
        settings = settings_for(site, f"127.0.0.1:{receiver.port}", refusing, ADMIN__TOKEN=ADMIN_TOKEN)
        with running_server(tmp_path_factory.mktemp("jobs"), **settings) as server:
            yield Shop(server, site, receiver, refusing)


def key_on(shop: Shop, plan: str) -> str:
    return make_key(shop.server.data_dir, plan)


def test_a_job_is_queued_and_ends_with_the_right_picture(shop: Shop) -> None:
    answer = shop.post({"url": f"{shop.site.url}/blocks.html", "format": "png", "delivery": "x"}, priority=3)
    assert answer.status_code == 202
    accepted = answer.json()
    job_id = accepted["job_id"]
    assert uuid.UUID(job_id).version == 4
    assert accepted["status"] == "queued"
    assert accepted["ok"] is True
    assert accepted["status_url"] == answer.headers["Location"] == f"/v1/jobs/{job_id}"
    assert [each["field"] for each in accepted["warnings"]] == ["request.delivery"]
    assert "X-Credits-Remaining" in answer.headers
    job = shop.ended(job_id)
    assert (job["ok"], job["job_id"], job["status"], job["priority"], job["attempts"]) == (True, job_id, "done", 3, 1)
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert not {"queue_position", "error", "error_code", "webhook_deliveries"} & job.keys()
    result = job["result"]
    image = base64.b64decode(result["image_base64"], validate=True)
    assert result["content_type"] == "image/png"
    assert_pixels(opened(image), dict(blocks.VIEWPORT))
    assert result["meta"]["bytes"] == len(image)
    assert result["meta"]["status_code"] == 200
    assert [each["field"] for each in result["meta"]["warnings"]] == ["delivery"]
    raw = shop.server.client.get(result["image_url"])
    assert (raw.status_code, raw.headers["content-type"], raw.content) == (200, "image/png", image)
    assert raw.headers["X-Calotype-Width"] == "1280"


def test_a_job_and_a_capture_share_the_result_cache(shop: Shop) -> None:
    key, request = key_on(shop, "five"), {**shop.colour("123456"), "cache": {"ttl_s": 60}}
    captured = shop.call("POST", "/v1/screenshot", key, json=request)
    job_id = shop.job_id(request, key)
    result = shop.ended(job_id)["result"]
    assert (captured.json()["meta"]["cached"], result["meta"]["cached"]) == (False, True)
    assert result["image_base64"] == captured.json()["image_base64"]
    raw = shop.server.client.get(result["image_url"])
    assert (raw.content, raw.headers["X-Calotype-Cached"]) == (base64.b64decode(result["image_base64"]), "true")
    request["html"] += "<p>"
    assert not shop.ended(shop.job_id(request, key))["result"]["meta"]["cached"]
    assert shop.call("POST", "/v1/screenshot", key, json=request).headers["X-Cache"] == "HIT"
    assert shop.credits_used(key) == (2, 0)


@pytest.mark.parametrize("format_", ["jpeg", "webp", "pdf"])
def test_the_image_has_its_own_content_type(shop: Shop, format_: str) -> None:
    job_id = shop.job_id({"html": "<p>x", "viewport": TINY, "format": format_})
    result = shop.ended(job_id)["result"]
    raw = shop.server.client.get(f"/v1/jobs/{job_id}/image")
    assert raw.headers["content-type"] == result["content_type"]
    assert raw.headers["content-type"] == ("application/pdf" if format_ == "pdf" else f"image/{format_}")
    assert raw.content == base64.b64decode(result["image_base64"])


def test_a_job_that_waits_shows_its_place_and_has_no_image_yet(shop: Shop) -> None:
    with shop.busy() as running:
        low, high = shop.job_id(shop.colour("ff0000")), shop.job_id(shop.colour("00ff00"), priority=1)
        job = shop.see(low, wait=0)
        assert (job["status"], job["queue_position"], job["attempts"]) == ("queued", 2, 0)
        assert (job["started_at"], job["finished_at"]) == (None, None)
        assert shop.see(high)["queue_position"] == 1
        assert shop.see(low, wait=0.5)["status"] == "queued"
        seen = shop.see(running)
        assert (seen["status"], seen["attempts"]) == ("running", 1)
        assert "queue_position" not in seen
        for job_id in (running, low):
            answer = shop.server.client.get(f"/v1/jobs/{job_id}/image")
            assert error_of(answer) == (404, "not_found")
    first, second = shop.ended(high), shop.ended(low)
    assert first["finished_at"] <= second["started_at"]
    for job, colour in ((second, blocks.RED), (first, blocks.GREEN)):
        assert_pixels(opened(base64.b64decode(job["result"]["image_base64"])), {(32, 32): colour})


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


def test_who_waits_is_told_at_the_end_and_hears_nothing_of_others(shop: Shop) -> None:
    with shop.busy():
        job_ids = [shop.job_id(shop.colour("ff0000")) for _ in range(3)]
        with ThreadPoolExecutor(6) as clients:
            waiting = [clients.submit(shop.see, job_id, wait=60) for job_id in job_ids * 2]
            shop.call("DELETE", f"/v1/jobs/{job_ids[0]}")
            assert waiting[0].result()["status"] == waiting[3].result()["status"] == "cancelled"
            assert not waiting[1].done()
            for job_id in job_ids[1:]:
                shop.call("DELETE", f"/v1/jobs/{job_id}")
            assert {each.result()["status"] for each in waiting} == {"cancelled"}


def test_a_job_that_fails_says_why_and_has_one_try(shop: Shop) -> None:
    key = key_on(shop, "five")
    page = f"{shop.site.url}/blocks.html"
    missing = {"url": page, "selector": "#nowhere", "render": {"timeout_ms": 1000}}
    blocked = {"url": "http://127.0.0.1:1/"}
    for request, code in ((missing, "selector_not_found"), (blocked, "blocked_target")):
        job_id = shop.job_id(request, key)
        job = shop.ended(job_id)
        assert (job["status"], job["error_code"], job["attempts"]) == ("failed", code, 1)
        assert job["error"].endswith(".")
        assert "result" not in job
        assert error_of(shop.server.client.get(f"/v1/jobs/{job_id}/image")) == (404, "not_found")
    assert shop.credits_used(key) == (0, 0)


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


def test_a_batch_is_queued_in_one_go(shop: Shop) -> None:
    """The most that one request may ask for, and all the credits of the plan."""
    key = key_on(shop, "thousand")
    with shop.busy():
        answer = shop.batch([{"request": {"html": f"{number}"}} for number in range(1_000)], key)
        assert answer.status_code == 202
        jobs = answer.json()["jobs"]
        assert len({job["job_id"] for job in jobs}) == 1_000
        assert {job["status"] for job in jobs} == {"queued"}
        assert all(job["status_url"] == f"/v1/jobs/{job['job_id']}" for job in jobs)
        places = [shop.see(jobs[number]["job_id"])["queue_position"] for number in (0, 1, 999)]
        assert places == [1, 2, 1_000]
        assert shop.credits_used(key) == (0, 1_000)
        assert error_of(shop.post({"html": "x"}, key)) == (422, "quota_reached")
        cancel_all(shop, key)
    assert shop.credits_used(key) == (0, 0)


def cancel_all(shop: Shop, key: str) -> None:
    """So that no later test waits for the jobs of this one. Some may be cancelled already."""
    with ThreadPoolExecutor(8) as clients:
        for _ in clients.map(lambda job_id: shop.call("DELETE", f"/v1/jobs/{job_id}", key), walk(shop, key, 100)):
            pass


def test_a_batch_with_one_wrong_job_queues_nothing(shop: Shop) -> None:
    key = key_on(shop, "thousand")
    jobs = [{"request": {"html": "x"}} for _ in range(20)]
    jobs[17] = {"request": {"url": "ftp://example.com"}}
    answer = shop.batch(jobs, key)
    assert error_of(answer) == (400, "invalid_url")
    assert fields_of(answer) == {"jobs[17].request.url"}
    assert "`jobs[17].request.url`" in answer.json()["error"]["message"]
    for wrong in ([], [{"request": {"html": "x"}}] * 1_001, {}, None, "jobs"):
        assert fields_of(shop.batch(wrong, key)) == {"jobs"}
    assert fields_of(shop.batch([None, 5, {"request": {"html": "x"}}], key)) == {"jobs[0]", "jobs[1]"}
    assert shop.call("GET", "/v1/jobs", key).json()["jobs"] == []
    assert shop.credits_used(key) == (0, 0)


def test_a_batch_over_the_credits_queues_nothing(shop: Shop) -> None:
    key = key_on(shop, "five")
    answer = shop.batch([{"request": {"html": "x"}}] * 6, key)
    assert error_of(answer) == (422, "quota_reached")
    assert answer.headers["X-Credits-Remaining"] == "5"
    assert shop.call("GET", "/v1/jobs", key).json()["jobs"] == []
    done = [{"request": shop.colour("00ff00")}] * 3
    failing = [{"request": {"url": "http://127.0.0.1:1/"}}] * 2
    answer = shop.batch(done + failing, key)
    assert (answer.status_code, answer.headers["X-Credits-Remaining"]) == (202, "0")
    ended = Counter(shop.ended(job["job_id"])["status"] for job in answer.json()["jobs"])
    assert ended == {"done": 3, "failed": 2}
    assert shop.credits_used(key) == (3, 0)


def test_enqueues_count_against_the_rate_and_reads_do_not(shop: Shop) -> None:
    key = key_on(shop, "slow")
    job_id = shop.job_id(shop.colour("ff0000"), key)
    for answer in (shop.post({"html": "x"}, key), shop.batch([{"request": {"html": "x"}}], key)):
        assert error_of(answer) == (429, "rate_limited")
        assert int(answer.headers["Retry-After"]) > 1
    shop.ended(job_id)
    for _ in range(3):
        assert shop.call("GET", f"/v1/jobs/{job_id}", key).status_code == 200
        assert len(shop.call("GET", "/v1/jobs", key).json()["jobs"]) == 1


def test_the_key_may_stand_in_any_of_its_places(shop: Shop) -> None:
    key, request = key_on(shop, "thousand"), {"html": "x", "viewport": TINY}
    other = key_on(shop, "thousand")
    post = shop.server.client.post
    accepted = [
        post("/v1/jobs", json={"request": {**request, "api_key": key}}),
        post("/v1/jobs", json={"request": request, "api_key": key}),
        post("/v1/jobs", json={"request": {**request, "api_key": key}, "api_key": key}, headers={"X-API-Key": key}),
        post("/v1/jobs", json={"request": request}, headers={"Authorization": f"Bearer {key}"}),
        post("/v1/jobs/batch", json={"jobs": [{"request": {**request, "api_key": key}}]}),
        post("/v1/jobs/batch", json={"jobs": [{"request": request}], "api_key": key}),
        post("/v1/jobs/batch", json={"jobs": [{"request": request, "api_key": key}, {"request": request}]}),
    ]
    assert [answer.status_code for answer in accepted] == [202] * 7
    assert [answer.json()["warnings"] for answer in accepted] == [[]] * 7
    assert len(list(walk(shop, key, 100))) == 8
    refused = [
        post("/v1/jobs", json={"request": {**request, "api_key": key}, "api_key": other}),
        post("/v1/jobs", json={"request": {**request, "api_key": key}}, headers={"X-API-Key": other}),
        post("/v1/jobs/batch", json={"jobs": [{"request": {**request, "api_key": each}} for each in (key, other)]}),
        post("/v1/jobs", json={"request": {**request, "api_key": 5}}),
        post("/v1/jobs", json={"request": request, "api_key": [key]}),
    ]
    for answer in refused:
        assert fields_of(answer) == {"api_key"}
        assert key not in answer.text
        assert other not in answer.text
    for path, body in (("/v1/jobs", {"request": request}), ("/v1/jobs/batch", {"jobs": [{"request": request}]})):
        assert error_of(post(path, json=body)) == (401, "api_key_missing")
        assert error_of(post(path, json=body, headers={"X-API-Key": f"{key}x"})) == (401, "api_key_invalid")
    for job_id in walk(shop, key, 100):
        shop.ended(job_id)


def test_priorities_have_types_and_bounds(shop: Shop) -> None:
    key, request = key_on(shop, "five"), shop.colour("ff0000")
    for wrong in (11, 2**31, -(2**31) - 1, 10**30, "1", 1.5, True, None, [1]):
        assert fields_of(shop.post(request, key, priority=wrong)) == {"priority"}, wrong
    for wrong in (2**31, -(2**31) - 1):
        assert fields_of(shop.post(request, priority=wrong)) == {"priority"}
    with shop.busy():
        low = shop.job_id(request, priority=-(2**31))
        default, ten = shop.job_id(request, key), shop.job_id(request, key, priority=10)
        high = shop.job_id(request, priority=2**31 - 1)
        places = [shop.see(job_id)["queue_position"] for job_id in (high, ten, default, low)]
        assert places == [1, 2, 3, 4]
    for job_id in (low, default, ten, high):
        shop.ended(job_id)


def test_idempotency(shop: Shop) -> None:
    key, header = key_on(shop, "five"), {"Idempotency-Key": "one"}
    first = shop.post(shop.colour("ff0000"), key, header)
    again = shop.post(shop.colour("ff0000"), key, header)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    for other in (
        shop.post(shop.colour("00ff00"), key, header),
        shop.post(shop.colour("ff0000"), key, header, priority=1),
        shop.batch([{"request": shop.colour("ff0000")}] * 2, key, header),
        shop.call("POST", "/v1/screenshot", key, json=shop.colour("ff0000"), headers=header),
    ):
        assert error_of(other) == (409, "idempotency_conflict")
    assert len(list(walk(shop, key, 100))) == 1
    wrong = shop.post(shop.colour("ff0000"), key, {"Idempotency-Key": "x" * 256})
    assert fields_of(wrong) == {"Idempotency-Key"}
    job = shop.ended(first.json()["job_id"])
    assert job["status"] == "done"
    assert shop.post(shop.colour("ff0000"), key, header).json()["job_id"] == job["job_id"]
    assert shop.credits_used(key) == (1, 0)


def test_the_same_request_many_times_at_once_is_one_job(shop: Shop) -> None:
    key, header = key_on(shop, "thousand"), {"Idempotency-Key": "two"}
    jobs = [{"request": shop.colour("ff0000")}] * 2
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: shop.batch(jobs, key, header), range(8)))
    assert Counter(answer.headers.get("Idempotency-Replayed") for answer in answers) == {None: 1, "true": 7}
    assert len({answer.text for answer in answers}) == 1
    job_ids = list(walk(shop, key, 100))
    assert [shop.ended(job_id)["status"] for job_id in job_ids] == ["done"] * 2
    assert shop.credits_used(key) == (2, 0)


def test_what_may_succeed_later_is_tried_again(shop: Shop) -> None:
    key = key_on(shop, "five")
    job_id = shop.job_id({"url": f"http://{shop.refusing}/"}, key)
    job = shop.ended(job_id)
    assert (job["status"], job["error_code"], job["attempts"]) == ("failed", "target_unreachable", 3)
    assert shop.credits_used(key) == (0, 0)
    hangs_once = {"url": f"{shop.site.url}/hang-once?{uuid.uuid4()}", "viewport": TINY, "format": "png"}
    job = shop.ended(shop.job_id({**hangs_once, "render": {"timeout_ms": 1000}}, key))
    assert (job["status"], job["attempts"]) == ("done", 2)
    assert not {"error", "error_code"} & job.keys()
    assert_pixels(opened(base64.b64decode(job["result"]["image_base64"])), {(32, 32): blocks.RED})
    assert shop.credits_used(key) == (1, 0)


def operator(shop: Shop, method: str, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    answer = shop.server.client.request(method, f"/admin/v1{path}", headers=headers)
    assert answer.is_success, answer.text
    return dict(answer.json())


def test_jobs_go_on_when_their_key_is_replaced_and_end_when_it_is_revoked(shop: Shop) -> None:
    replaced, revoked = key_on(shop, "five"), key_on(shop, "five")
    hook = {"url": f"http://127.0.0.1:{shop.receiver.port}/replaced"}

    with shop.busy():
        kept, dropped = shop.job_id(shop.colour("00ff00"), replaced, webhook=hook), shop.job_id({"html": "x"}, revoked)
        rotated = operator(shop, "POST", f"/keys/{replaced.split('_')[1]}/rotate")
        operator(shop, "DELETE", f"/keys/{revoked.split('_')[1]}")
        new = rotated["api_key"]
        assert [job["job_id"] for job in shop.call("GET", "/v1/jobs", new).json()["jobs"]] == [kept]
    assert shop.ended(kept)["status"] == "done"
    delivered(shop, kept)
    job = shop.ended(dropped)
    assert (job["status"], job["error_code"], job["attempts"]) == ("failed", "api_key_invalid", 1)
    assert shop.credits_used(new) == (1, 0)


def test_a_waiting_job_is_cancelled_at_once(shop: Shop) -> None:
    key = key_on(shop, "five")
    with shop.busy() as running:
        job_id = shop.job_id({"html": "x"}, key)
        assert shop.credits_used(key) == (0, 1)
        answer = shop.call("DELETE", f"/v1/jobs/{job_id}", key)
        assert answer.status_code == 200
        job = answer.json()
        assert (job["ok"], job["job_id"], job["status"], job["attempts"]) == (True, job_id, "cancelled", 0)
        assert job["started_at"] is None
        assert job["finished_at"] >= job["created_at"]
        assert shop.credits_used(key) == (0, 0)
        assert shop.see(running)["status"] == "running"
    assert error_of(shop.call("DELETE", f"/v1/jobs/{job_id}", key)) == (409, "job_finished")
    assert error_of(shop.call("GET", f"/v1/jobs/{job_id}/image", key)) == (404, "not_found")


def test_a_running_job_is_cancelled_and_its_page_is_free_again(shop: Shop) -> None:
    key = key_on(shop, "five")
    before = len(shop.site.seen("/hang"))
    job_id = shop.job_id({"url": f"{shop.site.url}/forever.html", "render": {"timeout_ms": 60_000}}, key)
    until(lambda: len(shop.site.seen("/hang")) > before, "the job runs")
    answer = shop.call("DELETE", f"/v1/jobs/{job_id}", key)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["started_at"] is not None
    assert shop.credits_used(key) == (0, 0)
    after = shop.ended(shop.job_id(shop.colour("0000ff"), key))
    assert after["status"] == "done"
    assert_pixels(opened(base64.b64decode(after["result"]["image_base64"])), {(32, 32): blocks.BLUE})
    assert shop.credits_used(key) == (1, 0)


def test_what_is_final_can_not_be_cancelled_and_what_is_not_there_not_either(shop: Shop) -> None:
    key, other = key_on(shop, "five"), key_on(shop, "five")
    job_id = shop.job_id(shop.colour("ff0000"), key)
    shop.ended(job_id)
    assert error_of(shop.call("DELETE", f"/v1/jobs/{job_id}", key)) == (409, "job_finished")
    assert shop.see(job_id)["status"] == "done"
    for wrong in (str(uuid.uuid4()), "no-uuid", "0"):
        for method, end in (("GET", ""), ("GET", "/image"), ("DELETE", "")):
            assert error_of(shop.call(method, f"/v1/jobs/{wrong}{end}", key)) == (404, "not_found")
    assert error_of(shop.call("DELETE", f"/v1/jobs/{job_id}", other)) == (404, "not_found")
    assert error_of(shop.server.client.delete(f"/v1/jobs/{job_id}")) == (401, "api_key_missing")
    assert error_of(shop.call("DELETE", f"/v1/jobs/{job_id}", "calo_x")) == (401, "api_key_invalid")
    assert error_of(shop.call("GET", f"/v1/jobs/{job_id}", "calo_x")) == (401, "api_key_invalid")


def test_unknown_fields_are_warned_of_or_refused(shop: Shop) -> None:
    body = {
        "request": {**shop.colour("ff0000"), "selecter": "p"},
        "prioritie": 1,
        "webhook": {"url": f"http://127.0.0.1:{shop.receiver.port}/unknown", "event": "done"},
    }
    fields = ["prioritie", "webhook.event", "request.selecter"]
    answer = shop.call("POST", "/v1/jobs", json=body)
    assert answer.status_code == 202
    assert [(each["code"], each["field"]) for each in answer.json()["warnings"]] == [
        ("unknown_field", field) for field in fields
    ]
    assert "Preference-Applied" not in answer.headers
    shop.ended(answer.json()["job_id"])
    strict = {"Prefer": "handling=strict"}
    refused = shop.call("POST", "/v1/jobs", json=body, headers=strict)
    assert fields_of(refused) == set(fields)
    in_batch = shop.batch([{"request": {"html": "x"}}, body], headers=strict)
    assert fields_of(in_batch) == {f"jobs[1].{field}" for field in fields}
    good = shop.post(shop.colour("ff0000"), headers=strict)
    assert (good.status_code, good.headers["Preference-Applied"]) == (202, "handling=strict")
    top = shop.call("POST", "/v1/jobs/batch", json={"jobs": [{"request": {"html": "x"}}], "priority": 1})
    assert [each["field"] for each in top.json()["warnings"]] == ["priority"]
    top = shop.call(
        "POST", "/v1/jobs/batch", json={"jobs": [{"request": {"html": "x"}}], "priority": 1}, headers=strict
    )
    assert fields_of(top) == {"priority"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "request"),
        ({"request": None}, "request"),
        ({"request": []}, "request"),
        ({"request": {}}, "request.url"),
        ({"request": {"html": "x"}, "webhook": "http://example.com"}, "webhook"),
        ({"request": {"html": "x"}, "webhook": False}, "webhook"),
        ({"request": {"html": "x"}, "webhook": {}}, "webhook.url"),
        ({"request": {"html": "x"}, "webhook": {"url": 5}}, "webhook.url"),
        ({"request": {"html": "x"}, "webhook": {"url": "ftp://example.com"}}, "webhook.url"),
        ({"request": {"html": "x"}, "webhook": {"url": "http://10.0.0.1/"}}, "webhook.url"),
        ({"request": {"html": "x"}, "webhook": {"url": "https://example.com", "events": []}}, "webhook.events"),
        ({"request": {"html": "x"}, "webhook": {"url": "https://example.com", "events": ["all"]}}, "webhook.events"),
        ({"request": {"html": "x"}, "webhook": {"url": "https://example.com", "events": "done"}}, "webhook.events"),
    ],
    ids=str,
)
def test_a_job_that_is_none_is_refused(shop: Shop, body: dict[str, Any], field: str) -> None:
    answer = shop.call("POST", "/v1/jobs", json=body)
    assert fields_of(answer) == {field}
    assert f"`{field}`" in answer.json()["error"]["message"] or field == "webhook.url"


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


def test_a_webhook_gets_one_signed_message_without_the_picture(shop: Shop) -> None:
    url = f"http://127.0.0.1:{shop.receiver.port}/done"
    job_id = shop.job_id(shop.colour("ff0000"), webhook={"url": url})
    shop.ended(job_id)
    job = delivered(shop, job_id)
    [delivery] = job["webhook_deliveries"]
    assert delivery["attempts"] == 1
    [message] = received(shop, "/done")
    assert verify(message.headers, message.body, webhook_secret(shop)) == delivery["id"]
    told = json.loads(message.body)
    assert (told.pop("type"), told.pop("timestamp")) == ("job.done", job["finished_at"])
    assert told["result"].pop("image_url") == f"/v1/jobs/{job_id}/image"
    del job["result"]["image_base64"], job["result"]["image_url"], job["webhook_deliveries"]
    assert told == job


def test_a_webhook_hears_of_the_events_it_wants(shop: Shop) -> None:
    url = f"http://127.0.0.1:{shop.receiver.port}"
    failing = {"url": "http://127.0.0.1:1/"}
    done = shop.job_id(shop.colour("ff0000"), webhook={"url": f"{url}/unwanted", "events": ["failed", "cancelled"]})
    failed = shop.job_id(failing, webhook={"url": f"{url}/failed", "events": ["failed"]})
    assert "webhook_deliveries" not in shop.ended(done)
    shop.ended(failed)
    with shop.busy():
        cancelled = shop.job_id(shop.colour("ff0000"), webhook={"url": f"{url}/cancelled"})
        shop.call("DELETE", f"/v1/jobs/{cancelled}")
    for job_id, status in ((failed, "failed"), (cancelled, "cancelled")):
        delivered(shop, job_id)
        [message] = received(shop, f"/{status}")
        told = json.loads(message.body)
        assert (told["type"], told["status"], told["job_id"]) == (f"job.{status}", status, job_id)
        assert told.get("error_code") == ("blocked_target" if status == "failed" else None)
    assert received(shop, "/unwanted") == []


def webhook_secret(shop: Shop) -> bytes:
    command = [sys.executable, "-m", "calotype", "webhooks", "secret"]
    environment = server_environment(shop.server.data_dir, CALOTYPE_KEY=shop.key)
    return read_secret(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def test_keys_are_in_no_row_and_no_log_line(shop: Shop) -> None:
    """Sent in every place in which a key may stand, and in some where it may not."""
    key = key_on(shop, "thousand")
    secret = key.rpartition("_")[2].encode()
    hook = {"url": f"http://127.0.0.1:{shop.receiver.port}/secret", "api_key": key}
    job = {"request": {**shop.colour("ff0000"), "api_key": key}, "api_key": key, "webhook": hook}
    header = {"Idempotency-Key": "secret"}

    def files() -> bytes:
        paths = [path for path in shop.server.data_dir.rglob("*") if path.is_file()]
        assert {"calotype.db", "calotype.db-wal"} <= {path.name for path in paths}
        return b"".join(path.read_bytes() for path in paths)

    with shop.busy():
        answers = [
            shop.call("POST", "/v1/jobs", key, json=job, headers=header),
            shop.call("POST", "/v1/jobs/batch", key, json={"jobs": [job], "api_key": key}),
            shop.call("POST", "/v1/jobs", key, json={**job, "key": key, "request": {**job["request"], "token": key}}),
        ]
        assert [answer.status_code for answer in answers] == [202, 202, 202]
        job_ids = list(walk(shop, key, 9))
        assert len(job_ids) == 3
        assert all(job_id.encode() in files() for job_id in job_ids)
        assert secret not in files()
    for job_id in job_ids:
        shop.ended(job_id)
        delivered(shop, job_id)
    assert secret not in files()
    assert secret.decode() not in "".join(shop.server.output)
    assert not any(secret in message.body for message in shop.receiver.received)
