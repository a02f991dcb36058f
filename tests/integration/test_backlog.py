"""What waits, as `/metrics` tells it: right, on both databases, and asked for once however many look."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection

from calotype.errors import CaptureTimeout
from calotype.jobs import table
from calotype.jobs.backlog import BacklogWatch, backlog_of
from calotype.schema import DONE
from calotype.telemetry.figures import Backlog
from calotype.webhooks import table as deliveries
from calotype.webhooks.table import Message

from .job_shop import Shop


async def now(shop: Shop) -> Backlog:
    return await shop.database.read(lambda connection: backlog_of(connection, shop.clock))


async def test_it_counts_what_is_not_final_and_how_long_the_first_has_waited(shop: Shop) -> None:
    assert await now(shop) == Backlog(0, 0, 0.0, 0)
    await shop.enqueue(0)
    shop.wait_s(40)
    await shop.enqueue(5, 1)
    assert await now(shop) == Backlog(queued=3, running=0, oldest_queued_s=40.0, webhooks_pending=0)
    high, low = await shop.claim(at_most=2)
    assert await now(shop) == Backlog(queued=1, running=2, oldest_queued_s=40.0, webhooks_pending=0)

    def end(connection: Connection) -> None:
        table.finish(connection, high.token, DONE, now_us=shop.clock)
        shop.endings.failed(connection, low.token, CaptureTimeout())
        deliveries.post(connection, [Message(low.job_id, "key0", "https://receiver.example/", "{}")])

    await shop.database.write(end)
    shop.wait_s(2)
    assert await now(shop) == Backlog(queued=1, running=0, oldest_queued_s=42.0, webhooks_pending=1)


async def test_many_who_look_ask_the_database_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    read = shop.database.read

    async def counted(work, **more):  # type: ignore[no-untyped-def]
        nonlocal asked
        asked += 1
        return await read(work, **more)

    monkeypatch.setattr(shop.database, "read", counted)
    watch = BacklogWatch(shop.database, shop.clock, holds_s=3_600)
    looks = await asyncio.gather(*(watch.look() for _ in range(20)))
    assert looks == [Backlog(0, 0, 0.0, 0)] * 20
    assert asked == 1


async def test_a_database_that_is_away_says_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(work, **more):  # type: ignore[no-untyped-def]
        raise OSError("away")

    monkeypatch.setattr(shop.database, "read", away)
    assert await BacklogWatch(shop.database, shop.clock).look() is None
