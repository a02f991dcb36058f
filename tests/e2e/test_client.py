"""The Python client against a real server: what its users get, and what a bad network does to them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calotype.client import (
    AsyncCalotype,
    Calotype,
    JobFailed,
    NoAnswer,
    RequestRefused,
    Unauthorized,
    WebhookInvalid,
    verify_webhook,
)
from tests.site import blocks
from tests.site.pictures import assert_pixels, opened, pixel
from tests.site.server import Site

from .job_shop import Shop, delivered, key_on, received, running_shop


@pytest.fixture(scope="module")
def shop(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running_shop(site, tmp_path_factory.mktemp("client")) as shop:
        yield shop


@pytest.fixture
def client(shop: Shop) -> Iterator[Calotype]:
    with Calotype(shop.server.url, shop.key) as client:
        yield client


def test_a_screenshot(client: Calotype, shop: Shop, tmp_path: Path) -> None:
    shot = client.screenshot(f"{shop.site.url}/blocks.html", format="png")
    assert_pixels(opened(shot.image), dict(blocks.VIEWPORT))
    assert shot.content_type == "image/png"
    assert (shot.meta["width"], shot.meta["status_code"], shot.is_complete) == (1280, 200, True)
    assert shot.save(tmp_path / "blocks.png").read_bytes() == shot.image
    assert [path.name for path in tmp_path.iterdir()] == ["blocks.png"]


async def test_a_screenshot_without_blocking(shop: Shop) -> None:
    async with AsyncCalotype(shop.server.url, shop.key) as client:
        shot = await client.screenshot(html="<body style='background: #00ff00'>", format="png")
        assert pixel(opened(shot.image), 600, 600) == blocks.GREEN
        assert (await client.check_url("http://10.0.0.1/"))["allowed"] is False
        colours = ["ff0000", "00ff00", "0000ff"]
        jobs = [job async for job in client.batch([shop.colour(each) for each in colours])]  # type: ignore[misc]
        assert [pixel(opened(job.screenshot().image), 5, 5) for job in jobs] == [blocks.RED, blocks.GREEN, blocks.BLUE]


def test_errors_say_what_is_wrong(client: Calotype, shop: Shop) -> None:
    with pytest.raises(RequestRefused) as refused:
        client.screenshot("https://example.com", quality=200, viewport={"width": 1})
    assert (refused.value.code, refused.value.status) == ("invalid_request", 400)
    assert {detail["field"] for detail in refused.value.details} == {"quality", "viewport.width"}
    with Calotype(shop.server.url, "calo_no_key") as stranger, pytest.raises(Unauthorized):
        stranger.usage()


def test_the_key_comes_from_the_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALOTYPE_KEY", shop.key)
    with Calotype(shop.server.url) as client:
        assert client.usage()["plan"]["name"] == "unlimited"


def test_jobs(client: Calotype, shop: Shop) -> None:
    with shop.busy():
        first = client.create_job(html="<p>x", viewport={"width": 64, "height": 64}, priority=-1)
        assert (first.status, first.is_final) == ("queued", False)
        assert client.cancel(first.id).status == "cancelled"
        with pytest.raises(JobFailed, match="cancelled"):
            client.job(first.id).screenshot()
    done = client.wait(client.create_job(f"{shop.site.url}/blocks.html", format="png").id)
    assert_pixels(opened(done.screenshot().image), dict(blocks.VIEWPORT))
    assert client.image(done.id) == done.screenshot().image
    listed = {job.id: job for job in client.jobs()}
    assert (listed[first.id].status, listed[done.id].status) == ("cancelled", "done")
    assert listed[done.id].picture is None
    assert done.id not in {job.id for job in client.jobs(status="cancelled")}


def test_a_batch_tells_of_its_progress_and_of_what_failed(client: Calotype, shop: Shop) -> None:
    told: list[tuple[int, int]] = []
    requests = [shop.colour("ff0000"), {"url": f"http://{shop.refusing}/"}, shop.colour("0000ff")]
    jobs = list(client.batch(requests, on_progress=lambda *each: told.append(each)))  # type: ignore[arg-type]
    assert [job.status for job in jobs] == ["done", "failed", "done"]
    assert jobs[1].error_code == "target_unreachable"
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_webhook_is_verified(client: Calotype, shop: Shop) -> None:
    job = client.create_job(**shop.colour("00ff00"), webhook=f"http://127.0.0.1:{shop.receiver.port}/client")
    client.wait(job.id)
    delivered(shop, job.id)
    (message,) = received(shop, "/client")
    secret = subprocess.run(
        [sys.executable, "-m", "calotype", "webhooks", "secret"],
        env={**os.environ, "CALOTYPE_KEY": shop.key},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    webhook = verify_webhook(message.body, message.headers, secret)
    assert (webhook.event, webhook.job.id, webhook.job.status) == ("job.done", job.id, "done")
    assert webhook.id == message.headers["webhook-id"]
    with pytest.raises(WebhookInvalid):
        verify_webhook(message.body + b" ", message.headers, secret)
    with pytest.raises(WebhookInvalid):
        verify_webhook(message.body, message.headers, secret, now_s=float(message.headers["webhook-timestamp"]) + 301)


def test_an_answer_that_was_lost_is_asked_for_again_and_paid_once(shop: Shop) -> None:
    key = key_on(shop, "five")
    with cutting(shop.server.url, answers_to_cut=1) as (url, cut), Calotype(url, key) as client:
        shot = client.screenshot(**shop.colour("ff0000"), idempotency_key="once")
        assert pixel(opened(shot.image), 5, 5) == blocks.RED
        assert cut.is_set()
    assert shop.credits_used(key) == (1, 0)


def test_a_server_that_is_not_there(shop: Shop) -> None:
    with Calotype(f"http://{shop.refusing}", "key", retries=1) as client, pytest.raises(NoAnswer) as raised:
        client.usage()
    assert raised.value.__cause__ is not None


@contextmanager
def cutting(url: str, *, answers_to_cut: int) -> Iterator[tuple[str, threading.Event]]:
    """A proxy that takes the server's first answers whole, and gives nothing of them to the client."""
    host, _, port = url.removeprefix("http://").partition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    cut = threading.Event()

    def serve(client: socket.socket, is_cut: bool) -> None:
        with client, socket.create_connection((host, int(port))) as server:
            upward = threading.Thread(target=pump, args=(client, server), daemon=True)
            upward.start()
            head = server.recv(65536)
            if is_cut:
                cut.set()
                client.shutdown(socket.SHUT_RDWR)
                return
            client.sendall(head)
            pump(server, client)

    def accept() -> None:
        number = 0
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            number += 1
            threading.Thread(target=serve, args=(client, number <= answers_to_cut), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", cut
    finally:
        listener.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
