"""Jobs over HTTP, for tests with a server that runs one job at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.site.server import Site

from .server_process import ServerProcess
from .test_resilience import until

TINY = {"html": "<body style='background:#ff0000'>", "format": "png", "viewport": {"width": 32, "height": 32}}


def settings_for(site: Site, **more: str) -> dict[str, str]:
    return {"GUARD__ALLOW": json.dumps([site.netloc]), "JOBS__CONCURRENCY": "1", "JOBS__RETRY_PAUSE_S": "0", **more}


def ask(
    server: ServerProcess, method: str, path: str, *, key: str | None = None, body: Any = None, **headers: str
) -> httpx.Response:
    """With the server's first key, another, or none (an empty one)."""
    key = server.key if key is None else key
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        given["Authorization"] = f"Bearer {key}"
    return server.client.request(method, path, json=body, headers=given)


def enqueue(server: ServerProcess, priority: int = 0, **request: Any) -> str:
    answer = ask(server, "POST", "/v1/jobs", body={"request": request or TINY, "priority": priority})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def job(server: ServerProcess, job_id: str, query: str = "") -> dict[str, Any]:
    answer = ask(server, "GET", f"/v1/jobs/{job_id}{query}", key="")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@contextmanager
def occupied(server: ServerProcess, site: Site) -> Iterator[str]:
    """While a job holds the one place that there is; gives its id. It never ends by itself."""
    before = len(site.seen("/hang"))
    job_id = enqueue(server, 2**31 - 1, url=f"{site.url}/forever.html", render={"timeout_ms": 120_000})
    until(lambda: len(site.seen("/hang")) > before, "the capture has begun")
    try:
        yield job_id
    finally:
        ask(server, "DELETE", f"/v1/jobs/{job_id}")
