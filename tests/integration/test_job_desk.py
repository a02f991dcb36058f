"""Jobs as callers get them, on both databases: accepted whole or not at all, once, paid for exactly, waited for."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from calotype.accounts import ledger
from calotype.accounts.limits import Standing
from calotype.database import Database
from calotype.delivery.names import idempotency_name
from calotype.errors import CaptureTimeout, IdempotencyConflict, NotFound, QuotaReached, RateLimited
from calotype.jobs import desk, table
from calotype.schema import jobs
from calotype.schema import ledger as ledger_table
from calotype.settings import Plan

from .job_shop import SECOND_US, Shop, insert_keys, principal, until

TEN = Plan(name="ten", monthly_credits=10)
ONE_A_SECOND = Plan(name="free", requests_per_second=1, monthly_credits=100)


async def number_of_jobs(shop: Shop) -> int:
    return len(await shop.database.read(lambda connection: connection.execute(select(jobs.c.id)).all()))


async def test_all_of_a_batch_or_nothing_on_the_edge_of_the_credits(shop: Shop) -> None:
    caller = principal(plan=TEN)
    notes: list[Standing] = []
    await shop.accept(*[0] * 7, caller=caller, note=notes.append)
    with pytest.raises(QuotaReached, match="4 credits are needed, and 3 are left"):
        await shop.accept(*[0] * 4, caller=caller, note=notes.append)
    assert await number_of_jobs(shop) == 7
    await shop.accept(*[0] * 3, caller=caller, note=notes.append)
    with pytest.raises(QuotaReached, match="used up"):
        await shop.accept(0, caller=caller, note=notes.append)
    assert [note.credits_remaining for note in notes] == [3, 3, 0, 0]
    assert await shop.credits() == (10, 0)


async def test_a_batch_is_one_request_to_the_rate(shop: Shop) -> None:
    caller = principal(plan=ONE_A_SECOND)
    await shop.accept(*[0] * 50, caller=caller)
    with pytest.raises(RateLimited):
        await shop.accept(0, caller=caller)
    shop.wait_s(1)
    await shop.accept(*[0] * 50, caller=caller)
    assert await number_of_jobs(shop) == 100
    assert await shop.credits() == (100, 0)


async def test_batches_at_once_never_go_over_the_credits(shop: Shop) -> None:
    caller = principal(plan=TEN)
    answers = await asyncio.gather(*(shop.accept(0, 0, 0, caller=caller) for _ in range(8)), return_exceptions=True)
    assert Counter(type(answer) for answer in answers) == {list: 3, QuotaReached: 5}
    assert await shop.credits() == (9, 0)


async def test_a_job_that_ends_in_the_next_month_is_of_the_month_in_which_it_was_asked_for(shop: Shop) -> None:
    caller = principal(plan=TEN)
    shop.time[0] = round(datetime(2030, 1, 31, 23, 59, tzinfo=UTC).timestamp()) * SECOND_US
    done, failed, left = await shop.accept(3, 2, 1, caller=caller)
    shop.wait_s(120)
    await shop.accept(*[0] * 10, caller=caller)
    with pytest.raises(QuotaReached):
        await shop.accept(0, caller=caller)
    assert await shop.done(await shop.claimed())
    claim = await shop.claimed()
    await shop.database.write(lambda connection: shop.endings.failed(connection, claim.token, CaptureTimeout()))
    await shop.desk.cancel(left)
    with pytest.raises(QuotaReached):  # January's credits are no February's
        await shop.accept(0, caller=caller)
    rows = await shop.database.read(
        lambda connection: connection.execute(
            select(ledger_table.c.request_id, ledger_table.c.state).where(
                ledger_table.c.request_id.in_([done, failed, left])
            )
        ).all()
    )
    assert {row.request_id: row.state for row in rows} == {done: "settled", failed: "refunded", left: "refunded"}


async def test_no_sweep_takes_the_credit_of_a_job_that_waits(shop: Shop) -> None:
    await shop.accept(0)
    shop.wait_s(365 * 86_400)
    assert await shop.database.write(lambda connection: ledger.sweep(connection, now_us=shop.clock)) == 0
    assert await shop.credits() == (1, 0)


async def test_the_same_idempotency_key_gives_the_same_jobs(shop: Shop) -> None:
    name = idempotency_name("once", ["a"])
    first = await shop.accept(0, 0, name=name)
    assert await shop.accept(0, 0, name=name) == first
    with pytest.raises(IdempotencyConflict):
        await shop.accept(0, 0, name=idempotency_name("once", ["b"]))
    assert await shop.accept(0, 0, name=name, caller=principal("key1")) != first  # another account's own
    assert await shop.credits() == (2, 0)
    shop.wait_s(86_401)
    assert await shop.accept(0, 0, name=name) != first


@pytest.mark.parametrize("plan", [Plan(name="unlimited"), ONE_A_SECOND, Plan(name="two", monthly_credits=2)])
async def test_the_same_request_many_times_at_one_moment(shop: Shop, plan: Plan) -> None:
    """Also where the first of them uses up what the others would need."""
    name = idempotency_name("once", ["a"])
    answers = await asyncio.gather(*(shop.accept(0, 0, name=name, caller=principal(plan=plan)) for _ in range(12)))
    assert len({tuple(answer) for answer in answers}) == 1
    assert await number_of_jobs(shop) == 2
    assert await shop.credits() == (2, 0)


async def test_two_different_requests_at_one_moment(shop: Shop) -> None:
    names = [idempotency_name("once", [body]) for body in "ab"]
    answers = await asyncio.gather(*(shop.accept(0, name=name) for name in names), return_exceptions=True)
    assert Counter(type(answer) for answer in answers) == {list: 1, IdempotencyConflict: 1}
    assert await number_of_jobs(shop) == 1


async def test_others_see_a_job_only_if_they_may(shop: Shop) -> None:
    [job_id] = await shop.accept(0)
    assert (await shop.desk.see(job_id)).row.id == job_id
    assert (await shop.desk.see(job_id, account_id="key0")).row.id == job_id
    for attempt in (shop.desk.see, shop.desk.cancel):
        with pytest.raises(NotFound):
            await attempt(job_id, account_id="key1")
    with pytest.raises(NotFound):
        await shop.desk.wait(job_id, 30, account_id="key1")
    assert await shop.status(job_id) == "queued"


async def test_cancelling_while_it_comes_back_from_a_worker(shop: Shop) -> None:
    """Queued when we look for a running one, running when we look for a queued one: we look again."""
    [job_id] = await shop.accept(0)
    is_queued, looks = table.is_queued, 0

    def once_not(job_id: str) -> Any:
        nonlocal looks
        looks += 1
        return is_queued(job_id if looks > 1 else "another")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "is_queued", once_not)
        seen = await shop.desk.cancel(job_id)
    assert (seen.row.status, looks) == ("cancelled", 2)


@pytest.mark.parametrize("text", ["\0", "\\u0000", "🖼", "\x7f\u2028", "'; DROP TABLE jobs; --"])
async def test_any_text_comes_back_as_it_was_sent(shop: Shop, text: str) -> None:
    body = {"html": text, text: {"unknown": [text]}}
    await shop.accept(0, body=body)
    assert (await shop.claimed()).body == body


async def test_500_waiting_ask_the_database_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what happens to their own job makes them look."""
    asked = 0
    real_read = Database.read

    async def read(self: Database, *args: Any, **kwargs: Any) -> Any:
        nonlocal asked
        answer = await real_read(self, *args, **kwargs)
        asked += 1
        return answer

    monkeypatch.setattr(Database, "read", read)
    await shop.database.listen(shop.bell.hear)
    job_ids = await shop.accept(*range(500, 0, -1))
    waiting = [asyncio.create_task(shop.desk.wait(job_id, 60)) for job_id in job_ids]
    await until(lambda: asked == 500)
    await asyncio.sleep(1)  # that nothing happens is an event that never comes
    assert asked == 500
    await shop.done(await shop.claimed())
    seen = await waiting[0]
    assert (seen.row.status, asked) == ("done", 501)
    await shop.done(await shop.claimed())
    await waiting[1]
    assert asked == 502
    assert not any(each.done() for each in waiting[2:])
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not shop.bell._final


async def test_waiting_ends_at_once_when_the_job_does(shop: Shop) -> None:
    await shop.database.listen(shop.bell.hear)
    [job_id] = await shop.accept(0)
    claim = await shop.claimed()
    waiting = asyncio.create_task(shop.desk.wait(job_id, 60))
    await until(lambda: job_id in shop.bell._final)
    await shop.done(claim)
    assert (await waiting).row.status == "done"


async def test_waiting_that_is_over_tells_how_it_stands(shop: Shop) -> None:
    [job_id] = await shop.accept(0)
    assert (await shop.desk.wait(job_id, 0.01)).row.status == "queued"
    assert not shop.bell._final


async def test_a_wait_outlives_a_notice_that_was_missed(shop: Shop) -> None:
    [job_id] = await shop.accept(0)
    claim = await shop.claimed()
    waiting = asyncio.create_task(shop.desk.wait(job_id, 60))
    await until(lambda: job_id in shop.bell._final)
    await shop.done(claim)  # nobody listens
    shop.bell.hear(None)
    assert (await waiting).row.status == "done"


async def test_the_list(shop: Shop) -> None:
    job_ids = await shop.accept(0, 0, 0)
    [other] = await shop.accept(0, caller=principal("key1"))
    rows = await shop.desk.listed(principal(), status=None, cursor=None, at_most=2)
    assert rows is not None
    assert [row.id for row in rows] == job_ids[:0:-1]
    rest = await shop.desk.listed(principal(), status=None, cursor=rows[-1].id, at_most=2)
    assert rest is not None
    assert [row.id for row in rest] == job_ids[:1]
    for stranger in (other, "no job's"):
        assert await shop.desk.listed(principal(), status=None, cursor=stranger, at_most=2) is None


async def test_on_sqlite_a_wait_ends_though_another_process_ran_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes on one file tell each other nothing."""
    monkeypatch.setattr(desk, "_LOOK_AGAIN_S", 0.05)
    async with AsyncExitStack() as stack:
        databases = [Database(f"sqlite:///{tmp_path}/calotype.db") for _ in range(2)]
        for database in databases:
            await database.open()
            stack.push_async_callback(database.close)
        await databases[0].migrate()
        await insert_keys(databases[0], "key0")
        here, there = (Shop(database, tmp_path / "images") for database in databases)
        for shop in (here, there):
            await shop.database.listen(shop.bell.hear)
        [job_id] = await here.accept(0)
        waiting = asyncio.create_task(here.desk.wait(job_id, 3_600))
        await until(lambda: job_id in here.bell._final)
        await there.done(await there.claimed())
        assert (await waiting).row.status == "done"
