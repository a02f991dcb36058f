"""What it costs to admit a capture and to settle it: `python -m bench.admission`.

Eight clients, on SQLite and on a PostgreSQL cluster made for it: with a pause between their requests, shorter than any
capture, and without one. Medians and p95 of the milliseconds that one waits.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import uvloop
from sqlalchemy import insert
from tests.postgres import running_postgres

from bench.report import table
from calotype.accounts import ledger
from calotype.accounts.ledger import Account
from calotype.accounts.limits import Limits
from calotype.accounts.periods import period_at
from calotype.database import Database
from calotype.database.clock import database_now_us
from calotype.schema import api_keys
from calotype.settings import Plan

CLIENTS = 8
ADMISSIONS = 1_000
ROUNDS = 3
PAUSE_S = 0.05


async def _timed(work: Callable[[], Awaitable[object]], pause_s: float) -> list[float]:
    left = iter(range(ADMISSIONS))
    waited_ms: list[float] = []

    async def client() -> None:
        for _ in left:
            started = time.perf_counter()
            await work()
            waited_ms.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(pause_s)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return waited_ms


async def _measure(url: str, pause_s: float) -> list[tuple[list[float], list[float]]]:
    database = Database(url)
    await database.open()
    await database.migrate()
    now = datetime.now(UTC)
    keys = [f"key{number}" for number in range(CLIENTS)]
    row = {"secret_hash": b"", "service": "screenshot", "plan": "team", "origin": "operator", "allow": [], "deny": []}
    rows = [{**row, "id": key, "created_at": now} for key in keys]
    await database.write(lambda connection: connection.execute(insert(api_keys), rows))
    limits = Limits.of(Plan(name="team", requests_per_second=100_000, burst=1_000_000, monthly_credits=10_000_000))
    accounts = [Account(key, limits, period_at(now, created_at=now, reset="calendar")) for key in keys]
    results: list[tuple[list[float], list[float]]] = []
    for turn in range(ROUNDS):
        numbers, settled = count(), count()

        async def admit(turn: int = turn, numbers: count[int] = numbers) -> None:
            number = next(numbers)
            account = accounts[number % CLIENTS]
            admission = await database.write(
                lambda connection: ledger.admit(
                    connection, account, f"{turn}-{number}", lease_s=60, now_us=database_now_us
                ),
                autocommit=True,
            )
            assert admission.refusal is None

        async def settle(turn: int = turn, numbers: count[int] = settled) -> None:
            number = next(numbers)
            account = accounts[number % CLIENTS]
            assert await database.write(lambda connection: ledger.settle(connection, account, f"{turn}-{number}"))

        results.append((await _timed(admit, pause_s), await _timed(settle, pause_s)))
    await database.close()
    return results


def _row(name: str, rounds: list[list[float]]) -> list[str]:
    medians = [statistics.median(each) for each in rounds]
    p95s = [sorted(each)[round(len(each) * 0.95)] for each in rounds]
    return [name, f"{statistics.median(medians):.2f}", f"{statistics.median(p95s):.2f}"]


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory, running_postgres() as cluster:
        rows: list[list[str]] = []
        for how, pause_s in (("with pauses", PAUSE_S), ("without", 0.0)):
            sqlite = f"sqlite:///{Path(directory) / how.replace(' ', '-')}.db"
            for name, url in (("SQLite", sqlite), ("PostgreSQL", cluster.make_database())):
                rounds = await _measure(url, pause_s)
                rows.append(_row(f"{name}, {how}: admit", [admits for admits, _ in rounds]))
                rows.append(_row(f"{name}, {how}: settle", [settles for _, settles in rounds]))
    print(table(["", "median ms", "p95 ms"], rows))


if __name__ == "__main__":
    uvloop.run(main())
