"""What jobs cost beside captures that somebody waits for: `python -m bench.jobs [--write-docs]`, see `bench/README.md`.

Pick-up, enqueues and jobs that take no time are measured in this process, with the real desk, runner, database and
storage and a picture that is there already; the last part is a real server, asked for the same captures both ways.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvloop
from sqlalchemy import update
from tests.e2e.server_process import running_server
from tests.postgres import running_postgres

from bench.report import JOBS_HEADING, percentile, table, with_section
from calotype.accounts.opening import open_accounts
from calotype.capture.result import CaptureMeta, CaptureResult
from calotype.delivery.lanes import Lanes
from calotype.guard.policy import EgressPolicy
from calotype.jobs.desk import JobDesk, Wanted
from calotype.jobs.opening import JobParts
from calotype.schema import jobs
from calotype.settings import DatabaseSettings, JobSettings, Settings
from calotype.storage import open_storage

PICKUPS, NO_OPS, CLIENTS, ENQUEUE_S = 200, 500, 8, 3.0
BACKLOG = 10_000
SERVED, AT_ONCE = 80, 4
LIMITS = {"SQLite": (10.0, 300.0), "PostgreSQL": (20.0, 800.0)}  # pick-up ms at most, enqueues a second at least
_DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"

Accept = Callable[[int], Awaitable[list[str]]]


class _AtOnce:
    """Has the picture already; remembers when it was asked."""

    def __init__(self) -> None:
        self.asked_at: dict[str, float] = {}
        self.takes_s = 0.0

    async def capture(self, request: object, *, request_id: str, rules: object = None) -> CaptureResult:
        self.asked_at[request_id] = time.perf_counter()
        await asyncio.sleep(self.takes_s)
        meta = CaptureMeta(
            request_id=request_id,
            elapsed_ms=0,
            url=None,
            final_url=None,
            status_code=None,
            title="",
            width=1,
            height=1,
            bytes=1_000,
        )
        return CaptureResult(bytes(1_000), "image/png", meta)


@asynccontextmanager
async def _opened(database_url: str, backlog: int) -> AsyncGenerator[tuple[JobDesk, Accept, _AtOnce]]:
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            data_dir=Path(directory), database=DatabaseSettings(url=database_url), jobs=JobSettings(concurrency=10)
        )
        async with open_accounts(settings) as (database, keys):
            caller = await keys.authenticate((await keys.create("unlimited")).text)
            storage, policy = open_storage(settings.storage_url), EgressPolicy(settings.guard)
            parts, maker = JobParts(settings, database, storage, keys, policy), _AtOnce()
            desk = parts.desk()

            async def accept(number: int) -> list[str]:
                wanted = [Wanted({"html": "x"}, 0)] * number
                return list((await desk.accept(wanted, caller, name=None, note=lambda _: None)).job_ids)

            for _ in range(backlog // 1_000):
                await accept(1_000)
            later = update(jobs).values(priority=-9, rank=9, due_us=jobs.c.due_us + 3_600_000_000)
            await database.write(lambda connection: connection.execute(later))
            async with parts.running(parts.runner(maker, Lanes(queue=99, timeout_s=9))):
                yield desk, accept, maker


async def _measure(database_url: str, backlog: int) -> tuple[list[float], float, float, float]:
    """Return pick-ups in ms; no-op jobs, single enqueues, and enqueues in batches of 100, each a second."""
    async with _opened(database_url, backlog) as (desk, accept, maker):
        pickups_ms: list[float] = []
        for _ in range(PICKUPS):
            await asyncio.sleep(0.01)
            began = time.perf_counter()
            (job_id,) = await accept(1)
            await desk.wait(job_id, 30)
            pickups_ms.append((maker.asked_at[job_id] - began) * 1_000)
        began = time.perf_counter()
        await asyncio.gather(*(desk.wait(job_id, 60) for job_id in await accept(NO_OPS)))
        no_ops = NO_OPS / (time.perf_counter() - began)
    async with _opened(database_url, 0) as (_, accept, maker):
        maker.takes_s = 0.5
        singles = await _rate(accept, 1, CLIENTS)
        batched = await _rate(accept, 100, 1)
    return pickups_ms, no_ops, singles, batched


async def _rate(accept: Accept, number: int, clients: int) -> float:
    end = time.perf_counter() + ENQUEUE_S
    done = 0

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < end:
            accepted = await accept(number)
            done += len(accepted)

    await asyncio.gather(*(client() for _ in range(clients)))
    return done / ENQUEUE_S


def _served(rounds: int) -> list[float]:
    """Return the ratio of jobs a second to captures a second that clients wait for, of each round."""
    ratios: list[float] = []
    body = {"html": "<h1>Hello</h1><p>" + "word " * 500}
    settings = {"JOBS__CONCURRENCY": str(AT_ONCE), "BROWSER__PAGES": str(AT_ONCE)}
    with (
        tempfile.TemporaryDirectory() as directory,
        running_server(Path(directory), **settings) as server,
        httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}, timeout=120) as client,
        ThreadPoolExecutor(AT_ONCE) as callers,
    ):

        def captures() -> float:
            began = time.perf_counter()
            answers = list(callers.map(lambda _: client.post("/v1/screenshot", json=body).status_code, range(SERVED)))
            assert set(answers) == {200}
            return SERVED / (time.perf_counter() - began)

        def as_jobs() -> float:
            began = time.perf_counter()
            batch = client.post("/v1/jobs/batch", json={"jobs": [{"request": body}] * SERVED}).json()["jobs"]
            for job in batch:
                assert client.get(job["status_url"], params={"wait": 60}).json()["status"] == "done"
            return SERVED / (time.perf_counter() - began)

        for number in range(-1, rounds):
            sides = [captures, as_jobs] if number % 2 else [as_jobs, captures]
            results = {side.__name__: side() for side in sides}
            if number >= 0:
                ratios.append(results["as_jobs"] / results["captures"])
    return ratios


async def _sides(rounds: int) -> dict[tuple[str, int], list[tuple[list[float], float, float, float]]]:
    results: dict[tuple[str, int], list[tuple[list[float], float, float, float]]] = {}
    with running_postgres() as cluster:
        for _ in range(rounds):
            for backlog in (0, BACKLOG):
                for kind, url in (("SQLite", ""), ("PostgreSQL", cluster.make_database())):
                    results.setdefault((kind, backlog), []).append(await _measure(url, backlog))
    return results


def section(
    results: dict[tuple[str, int], list[tuple[list[float], float, float, float]]], ratios: list[float], load: str
) -> tuple[str, bool]:
    """Return the Markdown, and whether everything is as quick as it must be."""
    rows: list[list[str]] = []
    is_good = statistics.median(ratios) >= 0.95
    for (kind, backlog), measured in results.items():
        pickup_ms = statistics.median(statistics.median(each[0]) for each in measured)
        p95_ms = statistics.median(percentile(each[0], 95) for each in measured)
        no_ops, singles, batched = (statistics.median(each[index] for each in measured) for index in (1, 2, 3))
        most_ms, least = LIMITS[kind]
        is_good &= pickup_ms <= most_ms and singles >= least
        name = f"{kind}, {backlog:,} others queued"
        rows.append([name, f"{pickup_ms:.1f} / {p95_ms:.1f}", f"{no_ops:.0f}", f"{singles:.0f}", f"{batched:.0f}"])
    heads = [
        "",
        "pick-up ms, median / p95",
        "jobs that take no time, /s",
        "enqueues /s, 8 clients",
        "in batches of 100, /s",
    ]
    (embedded_ms, embedded), (shared_ms, shared) = LIMITS["SQLite"], LIMITS["PostgreSQL"]
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    text = f"""{JOBS_HEADING}

Made by `python -m bench.jobs --write-docs`. Pick-up: from the call that queues a job, credit and all, to the start of
its capture, nothing else running (limits of the median: {embedded_ms:.0f} ms on SQLite, {shared_ms:.0f} ms on
PostgreSQL).
Enqueues: one by one, all on one key (at least {embedded:.0f} and {shared:.0f} a second), and in batches, while ten jobs
of half a second run.

{table(heads, rows)}

Jobs of a real server against the same captures with callers that wait, {AT_ONCE} at once, {SERVED} of each in turns:
{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) as many a second (limit 0.95). Peak memory of the
measuring process: {memory_mb} MB.

{load}
"""
    return text, is_good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write-docs", action="store_true", help=f"write the section {JOBS_HEADING!r}")
    arguments = parser.parse_args()
    before = os.getloadavg()[0]
    results = uvloop.run(_sides(arguments.rounds))
    ratios = _served(2 * arguments.rounds)
    load = f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, shared; load average {before:.1f} before the run."
    text, is_good = section(results, ratios, load)
    print(text)
    if arguments.write_docs:
        _DOCS.write_text(with_section(_DOCS.read_text(), text))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
