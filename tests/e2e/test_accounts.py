"""Plans, credits, idempotency and cache as clients meet them: a real server on each kind of database."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.postgres import PostgresCluster
from tests.site.server import Site

from .server_process import ServerProcess, running_server, server_environment
from .test_resilience import until

PLANS = [
    {"name": "hundred", "monthly_credits": 100},
    {"name": "pair", "max_concurrency": 1},
    {"name": "burst", "requests_per_second": 2, "burst": 3},
]


def settings_for(site: Site, database_url: str | None = None) -> dict[str, str]:
    settings = {"GUARD__ALLOW": json.dumps([site.netloc]), "PLANS": json.dumps(PLANS), "CREDITS__LEASE_S": "2"}
    return settings if database_url is None else {**settings, "DATABASE__URL": database_url}


def make_key(data_dir: Path, settings: dict[str, str], plan: str) -> str:
    environment = server_environment(data_dir, **{f"CALOTYPE_{name}": value for name, value in settings.items()})
    command = [sys.executable, "-m", "calotype", "keys", "create", "--plan", plan]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def shop(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, dict[str, str]]]:
    data_dir = tmp_path_factory.mktemp("shop")
    settings = settings_for(site)
    with running_server(data_dir, **settings) as server:
        yield server, settings


def ask(server: ServerProcess, key: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}", **(headers or {})}
    return server.client.post("/v1/screenshot", json=body, headers=headers)


def test_every_answer_to_a_key_says_where_it_stands(shop: tuple[ServerProcess, dict[str, str]], site: Site) -> None:
    server, settings = shop
    key = make_key(server.data_dir, settings, "free")
    good = ask(server, key, url=f"{site.url}/blocks.html")
    assert good.status_code == 200
    assert good.headers["X-Credits-Remaining"] == "99"
    assert good.headers["RateLimit-Policy"] == '"requests";q=1;w=1'
    limited = ask(server, key, url=f"{site.url}/blocks.html")
    assert limited.status_code == 429
    assert limited.json()["error"]["code"] == "rate_limited"
    assert limited.headers["Retry-After"] == "1"
    assert limited.headers["RateLimit"] == '"requests";r=0;t=1'
    wrong = ask(server, key, url="http://")
    assert (wrong.status_code, wrong.headers["X-Credits-Remaining"]) == (400, "99")
    unlimited = server.screenshot(url=f"{site.url}/blocks.html")
    assert unlimited.headers["X-Credits-Remaining"] == "unlimited"
    assert "X-Credits-Remaining" not in ask(server, "calo_x", url="http://x").headers


def test_a_failed_picture_costs_nothing(shop: tuple[ServerProcess, dict[str, str]], site: Site) -> None:
    server, settings = shop
    key = make_key(server.data_dir, settings, "hundred")
    failed = ask(server, key, url=f"{site.url}/blocks.html", selector="#nowhere", render={"timeout_ms": 1000})
    assert failed.status_code == 400
    assert failed.headers["X-Credits-Remaining"] == "100"


def test_idempotency(shop: tuple[ServerProcess, dict[str, str]], site: Site) -> None:
    server, settings = shop
    key = make_key(server.data_dir, settings, "hundred")
    header = {"Idempotency-Key": "one"}
    first = ask(server, key, header, url=f"{site.url}/blocks.html", format="png")
    again = ask(server, key, header, url=f"{site.url}/blocks.html", format="png")
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["X-Credits-Remaining"] == "99"
    conflict = ask(server, key, header, url=f"{site.url}/blocks.html", format="jpeg")
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "idempotency_conflict")
    wrong = ask(server, key, {"Idempotency-Key": "x" * 256}, url=f"{site.url}/blocks.html")
    assert wrong.json()["error"]["details"][0]["field"] == "Idempotency-Key"


def test_cache(shop: tuple[ServerProcess, dict[str, str]], site: Site) -> None:
    server, settings = shop
    key = make_key(server.data_dir, settings, "hundred")
    body = {"url": f"{site.url}/echo?cache", "cache": {"ttl_s": 60}}
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: ask(server, key, **body), range(4)))
    assert Counter(answer.headers["X-Cache"] for answer in answers) == {"MISS": 1, "HIT": 3}
    assert len({answer.json()["image_base64"] for answer in answers}) == 1
    assert sum(answer.json()["meta"]["cached"] for answer in answers) == 3
    query = {"url": body["url"], "cache_ttl_s": "60"}
    raw = server.client.get("/v1/screenshot", params=query, headers={"X-API-Key": key})
    assert raw.status_code == 200
    assert raw.headers["X-Credits-Remaining"] == "99"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    from tests.postgres import running_postgres

    with running_postgres() as cluster:
        yield cluster


@pytest.mark.timeout(400)  # some hundred captures and four starts, on whatever machine
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_credits_settled_are_pictures_delivered_whatever_is_killed(
    kind: str, site: Site, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """500 captures on a key with 100 credits, one in ten made to fail, the server killed three times in mid-flight."""
    url = request.getfixturevalue("postgres").make_database() if kind == "postgresql" else None
    settings = settings_for(site, url)
    port = _free_port()
    data_dir = tmp_path / "data"
    key = make_key(data_dir, settings, "hundred")
    delivered: Counter[int] = Counter()
    lock = threading.Lock()
    stop = threading.Event()

    def capture(number: int) -> None:
        """One capture, asked for under its own Idempotency-Key until there is an answer."""
        body: dict[str, Any] = {"html": f"<p>{number}", "viewport": {"width": 64, "height": 64}}
        if number % 10 == 0:
            body |= {"selector": "#nowhere", "render": {"timeout_ms": 1000}}
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"capture-{number}"}
        while not stop.is_set():
            try:
                answer = client.post("/v1/screenshot", json=body, headers=headers)
            except httpx.HTTPError:
                time.sleep(0.05)  # the server is being started again
                continue
            if answer.status_code in (500, 503):
                continue
            with lock:
                delivered[answer.status_code] += 1
            return

    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ThreadPoolExecutor(16) as clients,
    ):
        pending = [clients.submit(capture, number) for number in random.Random(1).sample(range(500), 500)]
        try:
            for _ in range(3):
                with running_server(data_dir, "--port", str(port), is_first_start=False, **settings) as server:
                    enough = delivered[200] + 15
                    until(lambda: delivered[200] >= enough, "some pictures are delivered")  # noqa: B023
                    server.stop(signal.SIGKILL)
            with running_server(data_dir, "--port", str(port), is_first_start=False, **settings):
                for each in pending:
                    each.result()
        finally:
            stop.set()
    assert sum(delivered.values()) == 500
    assert set(delivered) == {200, 400, 422}
    # A credit that a dead server held may have been refused to others until its lease ended; never charged.
    assert _settled(data_dir, url) == {"settled": delivered[200]}
    assert 60 <= delivered[200] <= 100


def _settled(data_dir: Path, url: str | None) -> dict[str, int]:
    query = "SELECT state, count(*) FROM ledger WHERE state <> 'refunded' GROUP BY state"
    if url is not None:
        with psycopg.connect(url) as connection:
            return dict(connection.execute(query).fetchall())
    with closing(sqlite3.connect(data_dir / "calotype.db")) as connection:
        return dict(connection.execute(query).fetchall())


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
