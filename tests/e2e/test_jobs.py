"""Jobs as clients meet them: a real server, one job at a time, so that the queue can be held still."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from calotype.webhooks.signature import read_secret, verify
from tests.site import blocks
from tests.site.pictures import assert_pixels, opened
from tests.site.server import Site

from .job_shop import (
    ADMIN_TOKEN,
    TINY,
    Shop,
    delivered,
    error_of,
    key_on,
    received,
    running_shop,
)
from .server_process import server_environment
from .test_resilience import until


@pytest.fixture(scope="module")
def shop(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running_shop(site, tmp_path_factory.mktemp("jobs")) as shop:
        yield shop


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
