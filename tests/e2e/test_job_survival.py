"""Jobs outlive the servers that run them; each test has its own servers."""

from __future__ import annotations

import base64
import json
import signal
import sqlite3
import uuid
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.postgres import running_postgres
from tests.receiver import running_receiver
from tests.site import blocks
from tests.site.pictures import assert_pixels, opened
from tests.site.server import Site

from .job_shop import FINAL, TINY, Shop, delivered, error_of, fields_of, make_key, received, settings_for, walk
from .server_process import running_server
from .test_resilience import until


def test_with_require_key_only_the_owner_sees_a_job(site: Site, tmp_path: Path) -> None:
    stranger = make_key(tmp_path, "five")
    settings = settings_for(site, JOBS__REQUIRE_KEY="true")
    with running_receiver() as receiver, running_server(tmp_path, is_first_start=False, **settings) as server:
        server.key = make_key(tmp_path, "five")
        shop = Shop(server, site, receiver)
        job_id = shop.job_id(shop.colour("ff0000"))
        paths = [("GET", f"/v1/jobs/{job_id}"), ("GET", f"/v1/jobs/{job_id}/image"), ("DELETE", f"/v1/jobs/{job_id}")]
        with_wait = f"/v1/jobs/{job_id}?wait=60"
        assert shop.call("GET", with_wait).json()["status"] == "done"
        for method, path in [*paths, ("GET", with_wait)]:
            assert error_of(shop.call(method, path, stranger)) == (404, "not_found")
            assert error_of(server.client.request(method, path)) == (401, "api_key_missing")
        assert server.client.get(paths[1][1], params={"api_key": shop.key}).headers["content-type"] == "image/png"
        assert error_of(shop.call(*paths[2])) == (409, "job_finished")


def test_who_waits_when_the_server_stops_is_answered(site: Site, tmp_path: Path) -> None:
    with running_receiver() as receiver, running_server(tmp_path, **settings_for(site)) as server:
        shop = Shop(server, site, receiver)
        job_id = shop.job_id({"url": f"{site.url}/hang-once?{uuid.uuid4()}", "render": {"timeout_ms": 60_000}})
        waiting = HTTPConnection(server.url.removeprefix("http://"), timeout=60)
        with closing(waiting):
            waiting.request("GET", f"/v1/jobs/{job_id}?wait=60")
            for _ in range(2):  # what was sent before is read before, by one loop
                shop.see(job_id)
            server.process.send_signal(signal.SIGTERM)
            answer = waiting.getresponse()
            job = json.loads(answer.read())
        assert (answer.status, job["ok"], job["job_id"]) == (200, True, job_id)
        assert job["status"] not in FINAL
        server.process.kill()  # its job would have the whole grace


def test_a_stop_lets_jobs_end_and_gives_the_rest_to_the_next_server(site: Site, tmp_path: Path) -> None:
    settings = settings_for(site, JOBS__CONCURRENCY="2", SERVER__SHUTDOWN_GRACE_S="4")
    mark = str(uuid.uuid4())
    with running_receiver() as receiver:
        with running_server(tmp_path, **settings) as server:
            shop = Shop(server, site, receiver)
            key = server.key
            hanging = shop.job_id({"url": f"{site.url}/hang-once?{mark}", "viewport": TINY, "format": "png"})
            before = len(site.seen("/echo"))
            short = shop.job_id({"url": f"{site.url}/echo", "render": {"delay_ms": 1000}})
            until(lambda: len(site.seen("/echo")) > before and site.seen("/hang-once"), "both run")
            waiting = shop.job_id(shop.colour("0000ff"))
            assert server.stop() == 0
        assert rows(tmp_path) == {short: ("done", 1), hanging: ("queued", 0), waiting: ("queued", 0)}
        with running_server(tmp_path, is_first_start=False, **settings) as server:
            server.key = key
            shop = Shop(server, site, receiver)
            for job_id, colour in ((hanging, blocks.RED), (waiting, blocks.BLUE)):
                job = shop.ended(job_id)
                assert (job["status"], job["attempts"]) == ("done", 1)
                assert_pixels(opened(base64.b64decode(job["result"]["image_base64"])), {(32, 32): colour})


def rows(data_dir: Path) -> dict[str, tuple[str, int]]:
    with closing(sqlite3.connect(data_dir / "calotype.db")) as connection:
        return {row[0]: row[1:] for row in connection.execute("SELECT id, status, attempts FROM jobs")}


def test_no_job_is_lost_when_the_server_is_killed(site: Site, tmp_path: Path) -> None:
    settings, mark = settings_for(site), str(uuid.uuid4())
    with running_receiver() as receiver:
        with running_server(tmp_path, **settings) as server:
            shop = Shop(server, site, receiver)
            key = make_key(tmp_path, "five")
            before = len(site.seen("/hang-once"))
            running = shop.job_id({"url": f"{site.url}/hang-once?{mark}"}, key)
            until(lambda: len(site.seen("/hang-once")) > before, "the first runs")
            answer = shop.batch([{"request": shop.colour("ff0000")}] * 3, key, {"Idempotency-Key": "one"})
            waiting = [job["job_id"] for job in answer.json()["jobs"]]
            server.stop(signal.SIGKILL)
        with running_server(tmp_path, is_first_start=False, **settings) as server:
            shop = Shop(server, site, receiver)
            again = shop.batch([{"request": shop.colour("ff0000")}] * 3, key, {"Idempotency-Key": "one"})
            assert again.json() == answer.json()
            ended = {job_id: shop.ended(job_id) for job_id in (running, *waiting)}
            seen = {job_id: (job["status"], job["attempts"]) for job_id, job in ended.items()}
            assert seen == {running: ("done", 2), **dict.fromkeys(waiting, ("done", 1))}
            assert shop.credits_used(key) == (4, 0)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_text_keeps_a_job_from_its_end(kind: str, site: Site, tmp_path: Path) -> None:
    """What is text to JSON and to browsers, and none to UTF-8 or to a database."""
    with ExitStack() as stack:
        settings = settings_for(site)
        receiver = stack.enter_context(running_receiver())
        settings = settings_for(site, f"127.0.0.1:{receiver.port}")
        if kind == "postgresql":
            settings["DATABASE__URL"] = stack.enter_context(running_postgres()).make_database()
        shop = Shop(stack.enter_context(running_server(tmp_path, **settings)), site, receiver)
        html = "<script>document.title = 'a\\0b' + String.fromCharCode(0xd800)</script>\0"
        request = {"html": html, "viewport": TINY, "nul\0": "\0"}
        hook = {"url": f"http://127.0.0.1:{receiver.port}/a\0b"}
        job_id = shop.job_id(request, webhook=hook, headers={"Idempotency-Key": "one"})
        failing = shop.job_id({**request, "selector": "#\0", "render": {"timeout_ms": 1000}}, webhook=hook)
        job = shop.ended(job_id)
        assert job["status"] == "done"
        assert job["result"]["meta"]["title"].startswith("a")
        assert shop.ended(failing)["status"] == "failed"
        for each in (job_id, failing):
            delivered(shop, each)
        assert len(received(shop, "/a%00b")) == 2
        assert len(list(walk(shop, shop.key, 1))) == 2
        assert fields_of(shop.call("GET", "/v1/jobs", params={"cursor": "\0"})) == {"cursor"}
        assert error_of(shop.server.client.get("/v1/jobs/%00")) == (404, "not_found")
