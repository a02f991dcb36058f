"""Whether a plan's rate holds: `python -m bench.rate [--write-docs]`, see `bench/README.md`.

30 s of 50 requests a second for small captures, on a key of the plan `free` (1 a second): to one server process on a
SQLite file, to one on PostgreSQL, and spread over two on the same PostgreSQL. Exits 1 if not 30 +/- 1 were admitted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
from tests.e2e.server_process import running_server, server_environment
from tests.postgres import running_postgres

from bench.report import RATE_HEADING, percentile, table, with_section

PER_SECOND = 50
SECONDS = 30
_DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_BODY = {"html": "<p>rate", "viewport": {"width": 64, "height": 64}}


async def _ask(urls: list[str], key: str) -> tuple[Counter[int], list[float]]:
    """Send each request at its time, whatever became of those before; return statuses and how late they were, in s."""
    statuses: Counter[int] = Counter()
    late_s: list[float] = []
    headers = {"Authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client, asyncio.TaskGroup() as group:

        async def post(url: str) -> None:
            answer = await client.post(f"{url}/v1/screenshot", json=_BODY, headers=headers)
            statuses[answer.status_code] += 1

        started = time.monotonic()
        for number in range(PER_SECOND * SECONDS):
            due = started + number / PER_SECOND
            await asyncio.sleep(due - time.monotonic())
            late_s.append(time.monotonic() - due)
            group.create_task(post(urls[number % len(urls)]))
    return statuses, late_s


def _run(servers: int, database_url: str | None) -> tuple[Counter[int], int, list[float]]:
    """Return the statuses, how many the ledger has, and how late the requests were sent."""
    settings = {} if database_url is None else {"DATABASE__URL": database_url}
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        data_dir = Path(directory) / "data"
        environment = server_environment(data_dir, **{f"CALOTYPE_{name}": value for name, value in settings.items()})
        command = [sys.executable, "-m", "calotype", "keys", "create", "--plan", "free"]
        made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        key = made.stdout.split()[-1]
        urls = [
            stack.enter_context(running_server(data_dir, is_first_start=False, **settings)).url for _ in range(servers)
        ]
        statuses, late_s = asyncio.run(_ask(urls, key))
        return statuses, _admitted(data_dir, database_url), late_s


def _admitted(data_dir: Path, database_url: str | None) -> int:
    query = "SELECT count(*) FROM ledger"
    if database_url is not None:
        with psycopg.connect(database_url) as connection:
            row = connection.execute(query).fetchone()
            return 0 if row is None else row[0]
    with closing(sqlite3.connect(data_dir / "calotype.db")) as connection:
        return connection.execute(query).fetchone()[0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.rate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write-docs", action="store_true", help="write the section of docs/benchmarks.md")
    options = parser.parse_args()
    rows: list[list[str]] = []
    is_good = True
    before = os.getloadavg()[0]
    with running_postgres() as cluster:
        for name, servers, url in (
            ("one process, SQLite", 1, None),
            ("one process, PostgreSQL", 1, cluster.make_database()),
            ("two processes, one PostgreSQL", 2, cluster.make_database()),
        ):
            statuses, admitted, late_s = _run(servers, url)
            is_good &= abs(admitted - SECONDS) <= 1 and statuses == {
                200: admitted,
                429: sum(statuses.values()) - admitted,
            }
            others = {status: number for status, number in statuses.items() if status not in (200, 429)}
            rows.append(
                [
                    name,
                    str(admitted),
                    str(statuses[200]),
                    str(statuses[429]),
                    str(others or "none"),
                    f"{percentile(late_s, 95) * 1000:.1f}",
                ]
            )
    heads = ["", "admitted", "200", "429", "other statuses", "sent late, p95 ms"]
    text = (
        f"Made by `python -m bench.rate --write-docs`: {PER_SECOND} requests a second for {SECONDS} s on a key of the "
        f"plan `free`, 1 request a second, to real servers; each is sent at its time, whatever became of those before. "
        f"Admitted: rows in the ledger; {SECONDS} +/- 1 are right."
    )
    machine = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, shared; load average {before:.1f} before the run, "
        f"{os.getloadavg()[0]:.1f} after it."
    )
    section = "\n\n".join((RATE_HEADING, text, table(heads, rows), machine))
    print(section)
    if options.write_docs:
        _DOCS.write_text(with_section(_DOCS.read_text(), section))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
