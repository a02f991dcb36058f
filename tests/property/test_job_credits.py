"""Whatever happens to jobs, in whatever order: credits used are jobs done, credits reserved jobs that are not final."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from calotype.database import Database
from calotype.errors import CaptureTimeout, JobFinished, QuotaReached, RateLimited
from calotype.jobs import table
from calotype.jobs.table import Claim
from calotype.schema import key_usage, ledger
from calotype.settings import JobSettings, Plan
from tests.integration.job_shop import LEASE_S, Shop, insert_keys, principal
from tests.postgres import PostgresCluster, running_postgres

CREDITS = 7
PLAN = Plan(name="tight", monthly_credits=CREDITS, requests_per_second=1, burst=2)
DAY_S = 86_400

STEP = st.one_of(
    st.tuples(st.just("enqueue"), st.integers(1, 5)),
    st.tuples(st.just("claim"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["done", "failed", "again", "uncounted", "drop"]), st.integers(0, 5)),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("heard"), st.integers(0, 5)),
    st.tuples(st.just("reap"), st.just(0)),
    st.tuples(st.just("wait"), st.sampled_from([1, 2, 5, 11, 40 * DAY_S])),
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresCluster]:
    with running_postgres() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/calotype.db"
    return str(request.getfixturevalue("postgres").make_database())


_numbers = iter(range(10**9))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=5, max_size=60))
@example(steps=[("enqueue", 5), ("wait", 1), ("enqueue", 3), ("enqueue", 2), ("claim", 2), ("done", 0), ("done", 0)])
@example(steps=[("enqueue", 2), ("claim", 1), ("wait", 11), ("reap", 0), ("claim", 1), ("done", 0), ("done", 0)])
@example(steps=[("enqueue", 1), ("wait", 40 * DAY_S), ("enqueue", 5), ("claim", 2), ("done", 0), ("failed", 0)])
@example(steps=[("enqueue", 1), ("claim", 1), ("cancel", 0), ("again", 0), ("enqueue", 3)])
def test_credits_are_exact_in_any_order(url: str, tmp_path: Path, steps: list[tuple[str, int]]) -> None:
    asyncio.run(_live(url, tmp_path, steps))


async def _live(url: str, directory: Path, steps: list[tuple[str, int]]) -> None:
    database = Database(url)
    await database.open()
    try:
        await database.migrate()
        key_id = f"key-{next(_numbers)}"
        await insert_keys(database, key_id)
        await _Life(Shop(database, directory, settings=JobSettings(max_attempts=3, lease_s=LEASE_S)), key_id).run(steps)
    finally:
        await database.close()


class _Life:
    """A key's jobs, and what a model of them says."""

    def __init__(self, shop: Shop, key_id: str) -> None:
        self.shop = shop
        self.key_id = key_id
        self.caller = principal(key_id, PLAN)
        self.job_ids: list[str] = []
        self.claims: list[Claim] = []
        """All that were ever got, also those that hold no more: whoever has one may do with it what he likes."""
        self.done: dict[str, str] = {}
        """The picture of each job that was said to be done."""

    async def run(self, steps: list[tuple[str, int]]) -> None:
        try:
            for name, number in steps:
                await self.step(name, number)
                await self.check()
        finally:
            await self.finish()

    async def finish(self) -> None:
        """End all jobs, so that the next life's claims are its own."""
        for _ in range(4):
            self.shop.wait_s(LEASE_S + 1)
            while await self.shop.claim(at_most=50):
                pass
            self.shop.wait_s(LEASE_S + 1)
            await self.shop.reap()
        await self.check()
        assert not any(reserved for reserved, _ in (await self.ledger()).values())

    async def step(self, name: str, number: int) -> None:
        shop = self.shop
        match name:
            case "enqueue":
                await self.enqueue(number)
            case "claim":
                self.claims += await shop.claim(at_most=number)
            case "reap":
                await shop.reap()
            case "wait":
                shop.wait_s(number)
            case "cancel":
                await self.cancel(number)
            case _:
                await self.end(name, number)

    async def enqueue(self, number: int) -> None:
        before = await self.ledger()
        try:
            self.job_ids += await self.shop.accept(*range(number), caller=self.caller)
        except (QuotaReached, RateLimited):
            assert await self.ledger() == before  # nothing of it was counted

    async def cancel(self, number: int) -> None:
        """As `JobDesk.cancel`, which waits for a worker, does it."""
        if not self.job_ids:
            return
        job_id = self.job_ids[number % len(self.job_ids)]
        if await self.shop.status(job_id) == "running":
            await self.shop.database.write(lambda connection: table.request_cancel(connection, job_id))
            return
        with suppress(JobFinished):
            await self.shop.desk.cancel(job_id)

    async def end(self, name: str, number: int) -> None:
        """A worker, alive or believed dead, writes what has become of its try."""
        if not self.claims:
            return
        claim = self.claims[number % len(self.claims)]
        endings, write = self.shop.endings, self.shop.database.write
        if name == "done":
            picture = f"{claim.job_id}-{claim.attempts}"
            if await self.shop.done(claim, picture):  # once, or again the very same
                assert self.done.setdefault(claim.job_id, picture) == picture
        elif name == "failed":
            await write(lambda connection: endings.failed(connection, claim.token, CaptureTimeout()))
        elif name == "drop":
            self.claims.remove(claim)
        elif name == "heard":
            held = await write(
                lambda connection: table.extend(connection, [claim], lease_s=LEASE_S, now_us=self.shop.clock)
            )
            if held.get(claim):
                await write(lambda connection: endings.again(connection, claim.token, after_s=0, is_counted=False))
        else:
            is_counted = name == "again"
            await write(lambda connection: endings.again(connection, claim.token, after_s=0, is_counted=is_counted))

    async def check(self) -> None:
        rows: list[Any] = [await self.shop.row(job_id) for job_id in self.job_ids]
        assert {row.id: row.object_name for row in rows if row.status == "done"} == self.done
        by_month = await self.ledger()
        for reserved, settled in by_month.values():
            assert 0 <= reserved + settled <= CREDITS
        assert sum(settled for _, settled in by_month.values()) == len(self.done)
        assert sum(reserved for reserved, _ in by_month.values()) == sum(row.finished_us is None for row in rows)

    async def ledger(self) -> dict[Any, tuple[int, int]]:
        """Reserved and settled by month, from the rows; the counters must agree with them for the month they count."""

        def work(connection: Connection) -> dict[Any, tuple[int, int]]:
            months: dict[Any, tuple[int, int]] = {}
            query = select(ledger.c.period_start, ledger.c.state).where(ledger.c.key_id == self.key_id)
            for month, state in connection.execute(query):
                reserved, settled = months.get(month, (0, 0))
                months[month] = reserved + (state == "reserved"), settled + (state == "settled")
            usage = connection.execute(select(key_usage).where(key_usage.c.key_id == self.key_id)).one_or_none()
            if usage is not None:
                counted = (usage.reserved, usage.settled)
                assert counted == months.get(usage.period_start, (0, 0))
            return months

        return await self.shop.database.read(work)
