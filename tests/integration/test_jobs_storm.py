"""Everything at once, on both databases: cancels at any moment, tries that fail, workers believed dead that are not."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack, suppress

import pytest
from sqlalchemy import select

from calotype.database import Database
from calotype.errors import CaptureTimeout, JobFinished, Overloaded, SelectorNotFound
from calotype.jobs.table import Claim
from calotype.schema import FINAL, jobs
from calotype.settings import JobSettings

from .job_shop import FakeMaker, Shop

JOBS = 150


@pytest.mark.parametrize("seed", range(3))
async def test_each_job_ends_once_and_adds_up(shop: Shop, database_url: str, seed: int) -> None:
    dice = random.Random(seed)
    settings = JobSettings(lease_s=1, retry_pause_s=0, max_attempts=4)

    async def script(claim: Claim) -> None:
        for _ in range(dice.randrange(4)):
            await asyncio.sleep(dice.random() / 200)
        match dice.randrange(12):
            case 0:
                raise CaptureTimeout
            case 1:
                raise SelectorNotFound
            case 2:
                raise Overloaded
            case 3:
                raise RuntimeError("a defect")
            case _:
                pass

    async with AsyncExitStack() as stack:
        shops = [shop.another(settings=settings, maker=FakeMaker(script))]
        if not shop.database.is_sqlite:  # two processes
            other = Database(database_url)
            await other.open()
            stack.push_async_callback(other.close)
            shops.append(shop.another(other, settings=settings, maker=FakeMaker(script)))
        for each in shops:
            await stack.enter_async_context(each.running(concurrency=3))
        desk = shops[0].desk
        job_ids: list[str] = []
        cancelled: set[str] = set()

        async def enqueue() -> None:
            while len(job_ids) < JOBS:
                job_ids.extend(await shop.accept(*(dice.randrange(3) for _ in range(dice.randrange(1, 12)))))
                await asyncio.sleep(dice.random() / 50)

        async def cancel() -> None:
            while len(job_ids) < JOBS:
                await asyncio.sleep(dice.random() / 50)
                if job_ids:
                    job_id = dice.choice(job_ids[-20:])
                    with suppress(JobFinished):
                        if (await desk.cancel(job_id)).row.status == "cancelled":
                            cancelled.add(job_id)

        async def leap() -> None:
            """All leases end, whoever holds them and however alive he is."""
            while len(job_ids) < JOBS:
                await asyncio.sleep(dice.random() / 10)
                shop.wait_s(1.1)
                await shop.reap()

        await asyncio.gather(enqueue(), cancel(), cancel(), leap())
        turning = asyncio.create_task(turn(shops))
        rows = await shops[0].until_final(*job_ids)
        turning.cancel()
    assert len(rows) == len(job_ids)
    ends = Counter(row.status for row in rows)
    assert ends.total() == sum(ends[status] for status in FINAL)
    assert {row.id for row in rows if row.status == "cancelled"} == cancelled
    assert await shop.credits() == (0, ends["done"])
    assert {"done", "failed"} <= set(ends)
    assert await pictures_of_jobs(shop) == shop.pictures()


async def turn(shops: list[Shop]) -> None:
    """Time goes on, so that what was given back for a second is tried again."""
    while True:
        await asyncio.sleep(0.05)
        shops[0].wait_s(0.5)
        for shop in shops:
            shop.bell.on_queued()


async def pictures_of_jobs(shop: Shop) -> set[str]:
    """Names of the pictures that rows tell of."""
    return await shop.database.read(
        lambda connection: set(
            connection.execute(select(jobs.c.object_name).where(jobs.c.object_name.is_not(None))).scalars()
        )
    )
