"""What it costs to admit a capture and to settle it: `python -m bench.admission [--write-docs]`, see `bench/README.md`.

Eight clients, each with a key of its own or all with one, on a SQLite file and on a PostgreSQL cluster made for it;
beside them the floor, a bare insert that is committed. All take turns, in random order within a round. Exits 1 if an
admission costs more than it may.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

import psycopg
import uvloop
from sqlalchemy import Connection, insert
from tests.postgres import running_postgres

from bench.report import ADMISSION_HEADING, median, percentile, table, with_section
from calotype.accounts import ledger
from calotype.accounts.ledger import Account
from calotype.accounts.limits import Limits
from calotype.accounts.periods import period_at
from calotype.database import Database
from calotype.database.clock import database_now_us
from calotype.schema import api_keys
from calotype.settings import Plan

CLIENTS = 8
REQUESTS = 400
"""In a block."""
PAUSES_S = (0.02, 0.08)
"""Shortest and longest of a client between two requests; the captures would take longer."""
MOST_MS = {"SQLite": 3.0, "PostgreSQL": 4.0}
_FLOOR = "a bare insert"
_DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"

Ask = Callable[[int], Awaitable[object]]
"""One request, of a client of this number."""


async def _block(ask: Ask, *, paused: bool) -> list[float]:
    """Return the milliseconds that each request took."""
    left = iter(range(REQUESTS))
    took_ms: list[float] = []

    async def client(number: int) -> None:
        if paused:
            await asyncio.sleep(random.uniform(0, PAUSES_S[1]))
        for _ in left:
            started = time.perf_counter()
            await ask(number)
            took_ms.append((time.perf_counter() - started) * 1000)
            if paused:
                await asyncio.sleep(random.uniform(*PAUSES_S))

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return took_ms


@asynccontextmanager
async def _admissions(url: str) -> AsyncGenerator[dict[str, Ask]]:
    """As `delivery.desk` does it."""
    database = Database(url)
    await database.open()
    await database.migrate()
    now = datetime.now(UTC)
    keys = [f"key{number}" for number in range(CLIENTS + 1)]
    row = {"secret_hash": b"", "service": "screenshot", "plan": "team", "origin": "operator", "allow": [], "deny": []}
    rows = [{**row, "id": key, "created_at": now} for key in keys]
    await database.write(lambda connection: connection.execute(insert(api_keys), rows))
    limits = Limits.of(Plan(name="team", requests_per_second=100_000, burst=1_000_000, monthly_credits=10_000_000))
    *own, common = [Account(key, limits, period_at(now, created_at=now, reset="calendar")) for key in keys]
    admitted: list[tuple[Account, str]] = []

    async def admit(account: Account) -> None:
        request_id = uuid4().hex
        admission = await database.write(
            lambda connection: ledger.admit(connection, account, request_id, lease_s=60, now_us=database_now_us),
            autocommit=True,
        )
        assert admission.refusal is None
        admitted.append((account, request_id))

    async def settle(_: int) -> None:
        account, request_id = admitted.pop(0)

        def work(connection: Connection) -> bool:
            is_paid = ledger.settle(connection, account, request_id)
            ledger.standing_of(connection, account, database_now_us)
            return is_paid

        assert await database.write(work)

    yield {
        "admit, a key each": lambda number: admit(own[number]),
        "admit, one key": lambda _: admit(common),
        "settle": settle,
    }
    await database.close()


@asynccontextmanager
async def _sqlite_floor(path: Path) -> AsyncGenerator[Ask]:
    """One connection in one thread, as SQLite has one writer; each insert is committed alone."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE floor (number INTEGER)")
    thread = ThreadPoolExecutor(1)

    def work() -> None:
        connection.execute("INSERT INTO floor VALUES (1)")

    yield lambda _: asyncio.get_running_loop().run_in_executor(thread, work)
    thread.shutdown()
    connection.close()


@asynccontextmanager
async def _postgresql_floor(url: str) -> AsyncGenerator[Ask]:
    """A connection for each client; an insert commits itself, in one round trip."""
    connections = [await psycopg.AsyncConnection.connect(url, autocommit=True) for _ in range(CLIENTS)]
    await connections[0].execute("CREATE TABLE floor (number INTEGER)")
    yield lambda number: connections[number].execute("INSERT INTO floor VALUES (1)")
    for connection in connections:
        await connection.close()


async def measure(rounds: int) -> dict[tuple[str, str, bool], list[list[float]]]:
    """Return each round's milliseconds by database, what was asked, and whether with pauses."""
    results: dict[tuple[str, str, bool], list[list[float]]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = stack.enter_context(running_postgres())
        url = cluster.make_database()
        sides = {
            "SQLite": {
                _FLOOR: await stack.enter_async_context(_sqlite_floor(directory / "floor.db")),
                **await stack.enter_async_context(_admissions(f"sqlite:///{directory}/calotype.db")),
            },
            "PostgreSQL": {
                _FLOOR: await stack.enter_async_context(_postgresql_floor(url)),
                **await stack.enter_async_context(_admissions(url)),
            },
        }
        turns = [(kind, paused) for kind in sides for paused in (False, True)]
        for number in count(-1):  # the first round is not counted
            if number == rounds:
                return results
            random.shuffle(turns)
            for kind, paused in turns:
                asks = list(sides[kind].items())
                settling = asks.pop()  # as many as were admitted just before
                random.shuffle(asks)
                for name, ask in (*asks, settling):
                    took_ms = await _block(ask, paused=paused)
                    if number >= 0:
                        results[kind, name, paused].append(took_ms)
    raise AssertionError


def section(results: dict[tuple[str, str, bool], list[list[float]]], load: str) -> tuple[str, bool]:
    """Return the Markdown, and whether all admissions were as quick as they must be."""
    rows: list[list[str]] = []
    is_good = True
    for kind, name, paused in sorted(results, key=lambda side: (side[0], side[2], side[1])):
        rounds = results[kind, name, paused]
        medians = [median(each) for each in rounds]
        floors = [median(each) for each in results[kind, _FLOOR, paused]]
        ratios = [each / floor for each, floor in zip(medians, floors, strict=True)]
        must = name.startswith("admit")
        is_good &= not must or median(medians) <= MOST_MS[kind]
        rows.append(
            [
                f"{kind}, {'with pauses' if paused else 'without pauses'}: {name}",
                f"{median(medians):.2f} ({min(medians):.2f}-{max(medians):.2f})",
                f"{median([percentile(each, 95) for each in rounds]):.2f}",
                f"{median(ratios):.1f}",
                f"<= {MOST_MS[kind]:.0f}" if must else "",
            ]
        )
    heads = ["", "median ms", "p95 ms", "median to the floor's", "limit"]
    rounds = len(next(iter(results.values())))
    text = (
        f"Made by `python -m bench.admission --write-docs`: {CLIENTS} clients at once, in {rounds} rounds of blocks of "
        f"{REQUESTS} requests, all sides in turn. Milliseconds that a client waits: median of the rounds' medians "
        f"(lowest-highest), and of their p95. With pauses, a client waits {PAUSES_S[0] * 1000:.0f}-"
        f"{PAUSES_S[1] * 1000:.0f} ms between two requests; without, it asks again at once, which is more than any "
        "browser keeps up with. The bare insert, the floor, is committed by the driver: on SQLite "
        "(`synchronous=FULL`) by one connection in one thread, on PostgreSQL by a connection for each client. Settling "
        "includes reading where the key stands then."
    )
    machine = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, shared; load average {load}."
    return "\n\n".join((ADMISSION_HEADING, text, table(heads, rows), machine)), is_good


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.admission", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of all blocks (%(default)s)")
    parser.add_argument("--write-docs", action="store_true", help="write the section of docs/benchmarks.md")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    results = await measure(options.rounds)
    text, is_good = section(results, f"{before:.1f} before the run, {os.getloadavg()[0]:.1f} after it")
    print(text)
    if options.write_docs:
        _DOCS.write_text(with_section(_DOCS.read_text(), text))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
