"""A server for the tests of jobs, and what they ask of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from calotype.accounts.opening import open_accounts
from calotype.settings import Plan, Settings
from tests.receiver import Received, Receiver, refusing_port, running_receiver
from tests.site.server import Site

from .server_process import ServerProcess, running_server
from .test_resilience import until

PLANS = [
    {"name": "five", "monthly_credits": 5, "max_priority": 10},
    {"name": "thousand", "monthly_credits": 1_000},
    {"name": "slow", "requests_per_second": 0.01, "burst": 1},
]
ADMIN_TOKEN = "b2f6d1c4a7e94f0d8c3b5a6e7f809112"
TINY = {"width": 64, "height": 64}
FINAL = {"done", "failed", "cancelled"}


def noise(side_px: int) -> dict[str, Any]:
    """A request for a picture that no encoder makes smaller than its pixels, 3 bytes each."""
    html = f"""<body style="margin:0"><canvas width={side_px} height={side_px} style="display:block"></canvas><script>
const context = document.querySelector("canvas").getContext("2d");
const image = context.createImageData({side_px}, {side_px}), data = image.data;
for (let i = 0; i < data.length; i += 65536) crypto.getRandomValues(data.subarray(i, i + 65536));
for (let i = 3; i < data.length; i += 4) data[i] = 255;
context.putImageData(image, 0, 0);
</script>"""
    return {"html": html, "viewport": {"width": side_px, "height": side_px}, "format": "png"}


def settings_for(site: Site, *more_allowed: str, **settings: str) -> dict[str, str]:
    allowed = json.dumps([site.netloc, *more_allowed])
    common = {"GUARD__ALLOW": allowed, "PLANS": json.dumps(PLANS), "JOBS__CONCURRENCY": "1", "JOBS__LEASE_S": "1"}
    common["JOBS__RETRY_PAUSE_S"] = "0.1"
    return {**common, **settings}


def make_key(data_dir: Path, plan: str) -> str:
    async def make() -> str:
        settings = Settings(data_dir=data_dir, plans=tuple(Plan(**each) for each in PLANS))  # type: ignore[arg-type]
        async with open_accounts(settings) as (_, keys):
            return (await keys.create(plan)).text

    return asyncio.run(make())


@dataclass
class Shop:
    """A server, and the key that is used where nothing else is said."""

    server: ServerProcess
    site: Site
    receiver: Receiver
    refusing: str = ""
    """Host and port where nobody listens."""

    @property
    def key(self) -> str:
        return self.server.key

    def call(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        headers = {"X-API-Key": key or self.key, **more.pop("headers", {})}
        return self.server.client.request(method, path, headers=headers, **more)

    def post(self, request: Any, key: str | None = None, headers: dict[str, str] | None = None, **job: Any) -> Any:
        return self.call("POST", "/v1/jobs", key, headers=headers or {}, json={"request": request, **job})

    def batch(self, jobs: Any, key: str | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.call("POST", "/v1/jobs/batch", key, headers=headers or {}, json={"jobs": jobs})

    def job_id(self, request: Any, key: str | None = None, **job: Any) -> str:
        answer = self.post(request, key, **job)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def see(self, job_id: str, **query: Any) -> dict[str, Any]:
        """The job, as somebody without a key sees it."""
        answer = self.server.client.get(f"/v1/jobs/{job_id}", params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, job_id: str) -> dict[str, Any]:
        job = self.see(job_id, wait=60)
        assert job["status"] in FINAL, job
        return job

    def credits_used(self, key: str) -> tuple[int, int]:
        """Settled, and reserved."""
        credits = self.call("GET", "/v1/usage", key).json()["credits"]
        return credits["used"], credits["reserved"]

    @contextmanager
    def busy(self) -> Iterator[str]:
        """The only place for jobs is taken by one that never ends by itself."""
        before = len(self.site.seen("/hang"))
        job_id = self.job_id({"url": f"{self.site.url}/forever.html", "render": {"timeout_ms": 60_000}})
        until(lambda: len(self.site.seen("/hang")) > before, "the job runs")
        try:
            yield job_id
        finally:
            self.call("DELETE", f"/v1/jobs/{job_id}")
            self.ended(job_id)

    def colour(self, hex_: str) -> dict[str, Any]:
        return {"html": f"<body style='background:#{hex_}'>", "viewport": TINY, "format": "png"}


def error_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["ok"] is False
    return answer.status_code, answer.json()["error"]["code"]


def fields_of(answer: httpx.Response) -> set[str]:
    assert error_of(answer)[0] == 400, answer.text
    return {each["field"] for each in answer.json()["error"]["details"]}


def walk(shop: Shop, key: str, limit: int) -> Iterator[str]:
    query: dict[str, Any] = {"limit": limit}
    while True:
        answer = shop.call("GET", "/v1/jobs", key, params=query).json()
        assert 1 <= len(answer["jobs"]) <= limit
        yield from (job["job_id"] for job in answer["jobs"])
        if answer["next_cursor"] is None:
            return
        query["cursor"] = answer["next_cursor"]


def delivered(shop: Shop, job_id: str) -> dict[str, Any]:
    """The job once its only message has arrived; nobody tells of that."""
    until(lambda: shop.see(job_id)["webhook_deliveries"][0]["status"] == "delivered", "the message is delivered")
    return shop.see(job_id)


def received(shop: Shop, path: str) -> list[Received]:
    return [message for message in shop.receiver.received if message.path == path]


def cancel_all(shop: Shop, key: str) -> None:
    """So that no later test waits for the jobs of this one. Some may be cancelled already."""
    with ThreadPoolExecutor(8) as clients:
        for _ in clients.map(lambda job_id: shop.call("DELETE", f"/v1/jobs/{job_id}", key), walk(shop, key, 100)):
            pass


def key_on(shop: Shop, plan: str) -> str:
    return make_key(shop.server.data_dir, plan)


@contextmanager
def running_shop(site: Site, data_dir: Path) -> Iterator[Shop]:
    """One job at a time, a receiver for webhooks, a port where nobody listens, and the operator's API."""
    with running_receiver() as receiver:
        refusing = f"127.0.0.1:{refusing_port()}"
        settings = settings_for(site, f"127.0.0.1:{receiver.port}", refusing, ADMIN__TOKEN=ADMIN_TOKEN)
        with running_server(data_dir, **settings) as server:
            yield Shop(server, site, receiver, refusing)
