"""A server that runs no jobs and a worker that runs them, on one PostgreSQL: what one does, the other hears at once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.postgres import PostgresCluster, running_postgres
from tests.site.server import Site

from .job_calls import ask, enqueue, job, occupied, settings_for
from .server_process import ServerProcess, running_server, running_worker
from .test_resilience import until

WAITING = 500


@dataclass
class Pair:
    """They share nothing but the database, the storage and the pepper."""

    server: ServerProcess
    settings: dict[str, str]
    database_url: str

    @property
    def data_dir(self) -> Path:
        return self.server.data_dir


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresCluster]:
    with running_postgres() as cluster:
        yield cluster


@pytest.fixture
def pair(site: Site, postgres: PostgresCluster, tmp_path: Path) -> Iterator[Pair]:
    """With leases so long that nothing is heard by looking, and no worker yet."""
    url = postgres.make_database()
    leases = {"JOBS__LEASE_S": "600", "CREDITS__LEASE_S": "600"}
    settings = settings_for(site, DATABASE__URL=url, SERVER__SHUTDOWN_GRACE_S="1", **leases)
    with running_server(tmp_path / "data", "--no-jobs", **settings) as server:
        yield Pair(server, settings, url)


def test_the_worker_hears_of_jobs_and_the_server_of_their_ends(pair: Pair) -> None:
    early = enqueue(pair.server)
    assert job(pair.server, early, "?wait=0.5")["status"] == "queued"
    with running_worker(pair.data_dir, **pair.settings, WORKER__METRICS_PORT="0") as worker:
        for job_id in (early, enqueue(pair.server), enqueue(pair.server)):
            assert job(pair.server, job_id, "?wait=60")["status"] == "done"
            assert ask(pair.server, "GET", f"/v1/jobs/{job_id}/image").headers["Content-Type"] == "image/png"
        assert worker.client.get("/readyz").json()["checks"]["queue"] == "ready"
        assert worker.client.get("/healthz").status_code == 200
        for path in ("/", "/v1/usage", "/v1/jobs", "/docs", "/openapi.json"):
            assert worker.client.get(path).status_code == 404
        until(lambda: 'calotype_job_tries_total{outcome="done"} 3.0' in metrics(worker), "the worker counts its jobs")
        assert 'calotype_captures_total{kind="job",outcome="ok"} 3.0' in metrics(worker)
        assert "calotype_runner_jobs_limit 1.0" in metrics(worker)
        assert "calotype_jobs_enqueued_total 3.0" in metrics(pair.server)
        assert "calotype_runner_jobs_limit" not in [line.partition(" ")[0] for line in metrics(pair.server)]
        assert worker.stop() == 0


def metrics(process: ServerProcess) -> list[str]:
    return process.client.get("/metrics").text.splitlines()


def test_the_worker_hears_of_a_cancel(pair: Pair, site: Site) -> None:
    with running_worker(pair.data_dir, **pair.settings), occupied(pair.server, site) as running:
        gone = len(site.left)
        assert ask(pair.server, "DELETE", f"/v1/jobs/{running}").json()["status"] == "cancelled"
        until(lambda: len(site.left) > gone, "the page's connection is closed")
        assert job(pair.server, enqueue(pair.server), "?wait=60")["status"] == "done"
        assert ask(pair.server, "DELETE", f"/v1/jobs/{running}").status_code == 409


def test_a_worker_that_stops_gives_its_job_to_another(pair: Pair, site: Site) -> None:
    """At once, and uncounted: not when the lease ends."""
    before = len(site.seen("/hang"))
    with running_worker(pair.data_dir, **pair.settings) as worker:
        job_id = enqueue(pair.server, url=f"{site.url}/forever.html", render={"timeout_ms": 4_000})
        until(lambda: len(site.seen("/hang")) > before, "the capture has begun")
        assert worker.stop() == 0
        assert job(pair.server, job_id)["status"] == "queued"
    with running_worker(pair.data_dir, **pair.settings):
        done = job(pair.server, job_id, "?wait=60")
    assert (done["status"], done["attempts"]) == ("done", 1)


def test_those_who_wait_ask_the_database_nothing(pair: Pair, site: Site) -> None:
    """500 clients: PostgreSQL itself says when it was last asked something by anybody but us."""

    def silent_for_s(connection: psycopg.Connection) -> float:
        row = connection.execute(
            "SELECT extract(epoch FROM clock_timestamp() - max(state_change)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
        assert row is not None
        return float(row[0])

    async def wait_together(job_id: str) -> Counter[str]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=pair.server.url, limits=limits, timeout=90) as client:
            started = asyncio.get_running_loop().time()
            waiting = [asyncio.create_task(client.get(f"/v1/jobs/{job_id}?wait=60")) for _ in range(WAITING)]
            with psycopg.connect(pair.database_url, autocommit=True) as connection:
                while (silent := silent_for_s(connection)) < 3:
                    assert asyncio.get_running_loop().time() - started < 50, f"never silent: {silent} s"
                    await asyncio.sleep(0.1)
            assert not any(each.done() for each in waiting)
            await asyncio.to_thread(ask, pair.server, "DELETE", f"/v1/jobs/{job_id}")
            return Counter([(await each).json()["status"] for each in waiting])

    with running_worker(pair.data_dir, **pair.settings), occupied(pair.server, site) as running:
        assert asyncio.run(wait_together(running)) == {"cancelled": WAITING}


def test_a_worker_is_for_postgresql(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Set CALOTYPE_DATABASE__URL"), running_worker(tmp_path / "data"):
        pass


def test_every_worker_says_what_it_has_done(pair: Pair) -> None:
    settings = {**pair.settings, "LOG__FORMAT": "json"}
    with running_worker(pair.data_dir, **settings) as worker:
        job_id = enqueue(pair.server)
        job(pair.server, job_id, "?wait=60")
        worker.stop()
    lines = [json.loads(line) for line in worker.output if line.startswith("{")]
    assert [line["outcome"] for line in lines if line.get("job_id") == job_id and line["event"] == "job_tried"] == [
        "done"
    ]
