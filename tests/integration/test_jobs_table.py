"""The queue's conformance suite, on SQLite and on PostgreSQL: order, claims, leases, endings, forgetting."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy import Connection, text

from calotype.database import Database
from calotype.errors import CaptureTimeout
from calotype.jobs import reading, table
from calotype.jobs.expiry import expired_jobs, forget_jobs
from calotype.settings import JobSettings

from .job_shop import LEASE_S, SECOND_US, START_US, Shop, job_counts, principal

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


async def drained(shop: Shop) -> list[str]:
    """The ids of all jobs in the order in which one slot takes them."""
    taken: list[str] = []
    while claims := await shop.claim():
        taken += [claim.job_id for claim in claims]
    return taken


async def test_higher_first_then_older_first_over_all_of_int32(shop: Shop) -> None:
    dice = random.Random(7)
    edges = [INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX - 1, INT32_MAX]
    priorities = [*edges, *edges, *(dice.randint(INT32_MIN, INT32_MAX) for _ in range(150)), *dice.choices(edges, k=36)]
    dice.shuffle(priorities)
    job_ids = await shop.enqueue(*priorities[:100])
    for priority in priorities[100:]:
        shop.wait_s(0.001)
        job_ids += await shop.enqueue(priority)
    expected = sorted(range(200), key=lambda place: (-priorities[place], place))
    assert await drained(shop) == [job_ids[place] for place in expected]


async def test_a_claim_of_many_is_in_order(shop: Shop) -> None:
    a, b, c = await shop.enqueue(1, 3, 2)
    assert [claim.job_id for claim in await shop.claim(at_most=2)] == [b, c]
    assert [claim.job_id for claim in await shop.claim(at_most=2)] == [a]


async def test_aging_lets_an_old_job_pass_a_higher_one(shop: Shop) -> None:
    """A priority for each 60 s: after 5 minutes of waiting, 0 goes before 4, and 5 (it came first) before 5."""
    aging = shop.another(settings=JobSettings(aging_s=60))
    [old] = await aging.enqueue(0)
    aging.wait_s(300)
    [four, five, six] = await aging.enqueue(4, 5, 6)
    assert await drained(aging) == [six, old, five, four]


@pytest.mark.parametrize("priority", [INT32_MIN, INT32_MAX])
async def test_aging_at_its_longest_keeps_within_the_numbers(shop: Shop, priority: int) -> None:
    aging = shop.another(settings=JobSettings(aging_s=3_600))
    first, second = await aging.enqueue(priority, priority)
    assert await drained(aging) == [first, second]


async def test_the_place_in_the_queue(shop: Shop) -> None:
    job_ids = await shop.enqueue(0, 5, 0, -5)
    places = [(await shop.desk.see(job_id)).queue_position for job_id in job_ids]
    assert places == [2, 1, 3, 4]
    await shop.claim()
    assert (await shop.desk.see(job_ids[1])).queue_position is None
    assert (await shop.desk.see(job_ids[0])).queue_position == 1


async def test_jobs_of_keys_at_their_limit_are_passed_over(shop: Shop) -> None:
    [low] = await shop.enqueue(0, key_id="key0")
    await shop.enqueue(9, key_id="key1")
    await shop.enqueue(8, key_id="key2")
    assert [claim.job_id for claim in await shop.claim(except_keys=["key1", "key2"])] == [low]
    assert await shop.claim(except_keys=["key1", "key2"]) == []
    assert len(await shop.claim(at_most=5)) == 2


async def test_a_claim_says_what_is_to_be_done(shop: Shop) -> None:
    [job_id] = await shop.enqueue(0, key_id="key1")
    claim = await shop.claimed("w1")
    assert (claim.job_id, claim.key_id, claim.attempts, claim.worker) == (job_id, "key1", 1, "w1")
    row = await shop.row(job_id)
    assert (row.status, row.attempts, row.started_us, row.worker) == ("running", 1, START_US, "w1")


async def test_many_workers_at_once_never_get_the_same_job(shop: Shop, database_url: str) -> None:
    """Four processes' worth of connections, each claiming as fast as it can."""
    job_ids = await shop.enqueue(*(number % 7 for number in range(200)))
    databases = [Database(database_url) for _ in range(3)]
    for database in databases:
        await database.open()
    taken: list[str] = []

    async def work(own: Shop, worker: str) -> None:
        while claims := await own.claim(worker, at_most=2):
            taken.extend(claim.job_id for claim in claims)

    async def until_none_is_left(own: Shop, worker: str) -> None:
        # An empty answer may only mean that others are about to take what is left.
        while len(taken) < len(job_ids):
            await work(own, worker)
            await asyncio.sleep(0)

    shops = [shop, *(shop.another(database) for database in databases)]
    await asyncio.gather(*(until_none_is_left(shops[number % 4], f"w{number}") for number in range(8)))
    for database in databases:
        await database.close()
    assert sorted(taken) == sorted(job_ids)


async def test_what_waits_for_another_try_is_not_taken_before_its_time(shop: Shop) -> None:
    [job_id] = await shop.enqueue(0)
    claim = await shop.claimed()
    await shop.database.write(
        lambda connection: shop.endings.again(connection, claim.token, after_s=4, error=CaptureTimeout())
    )
    assert await shop.claim() == []
    row = await shop.row(job_id)
    assert (row.status, row.attempts, row.error["code"]) == ("queued", 1, "capture_timeout")
    shop.wait_s(3.999_999)
    assert await shop.claim() == []
    shop.wait_s(0.000_001)
    assert (await shop.claimed()).attempts == 2


async def test_when_the_next_one_is_due_leaves_out_keys_at_their_limit(shop: Shop) -> None:
    """Else one of them, due long since, hides the moment at which somebody else's is."""

    async def due_in_us(*except_keys: str) -> int | None:
        return await shop.database.read(
            lambda connection: table.next_due_in_us(connection, shop.clock, except_keys=except_keys)
        )

    assert await due_in_us() is None
    await shop.enqueue(9, key_id="key1")
    assert await due_in_us() == 0
    assert await due_in_us("key1") is None
    await shop.enqueue(0, key_id="key0")
    [claim] = await shop.claim(except_keys=["key1"])
    await shop.database.write(lambda connection: shop.endings.again(connection, claim.token, after_s=4))
    assert await due_in_us("key1") == 4 * SECOND_US


async def test_a_lease_that_ends_gives_the_job_to_another_in_its_old_place(shop: Shop) -> None:
    first, second = await shop.accept(0, 0)
    assert (await shop.claimed("w1")).job_id == first
    shop.wait_s(LEASE_S)
    assert await shop.reap() == []  # it holds until its end
    shop.wait_s(0.000_001)
    assert await shop.reap() == [first]
    assert await shop.reap() == []
    again = await shop.claimed("w2")
    assert (again.job_id, again.attempts) == (first, 2)
    assert (await shop.claimed("w2")).job_id == second


async def test_a_lease_holds_for_as_long_as_it_is_extended(shop: Shop) -> None:
    alive, dead = await shop.accept(0, 0)
    [kept] = await shop.claim("w1")
    await shop.claim("w2")
    for _ in range(5):
        shop.wait_s(LEASE_S * 0.9)
        await shop.database.write(
            lambda connection: table.extend(connection, [kept], lease_s=LEASE_S, now_us=shop.clock)
        )
    assert await shop.reap() == [dead]
    assert await shop.status(alive) == "running"


async def test_only_claims_that_somebody_carries_out_are_extended(shop: Shop) -> None:
    """A worker may have a claim that it does not know of: the answer of the database was lost on its way."""
    known, unknown = await shop.accept(0, 0)
    [claim] = await shop.claim("w1")
    await shop.claim("w1")
    shop.wait_s(LEASE_S * 0.9)
    await shop.database.write(lambda connection: table.extend(connection, [claim], lease_s=LEASE_S, now_us=shop.clock))
    shop.wait_s(LEASE_S * 0.9)
    assert await shop.reap() == [unknown]
    assert await shop.status(known) == "running"


async def test_extending_tells_which_claims_are_unwanted_and_which_are_lost(shop: Shop) -> None:
    wanted, unwanted, lost = await shop.accept(0, 0, 0)
    claims = await shop.claim("w1", at_most=2)
    [late] = await shop.claim("w1")
    shop.wait_s(LEASE_S / 2)
    await shop.database.write(lambda connection: table.extend(connection, claims, lease_s=LEASE_S, now_us=shop.clock))
    shop.wait_s(LEASE_S * 0.9)
    assert await shop.reap() == [lost]
    assert (await shop.claimed("w1")).job_id == lost  # by the same worker, as another try
    await shop.database.write(lambda connection: table.request_cancel(connection, unwanted))
    held = await shop.database.write(
        lambda connection: table.extend(connection, [*claims, late], lease_s=LEASE_S, now_us=shop.clock)
    )
    assert {claim.job_id: state for claim, state in held.items()} == {wanted: False, unwanted: True}


async def test_a_worker_believed_dead_is_not_heard(shop: Shop) -> None:
    [job_id] = await shop.accept(0)
    late = await shop.claimed("w1")
    shop.wait_s(LEASE_S + 1)
    await shop.reap()
    assert not await shop.done(late)  # nobody has it now
    claim = await shop.claimed("w2")
    assert not await shop.done(late)  # another has it
    for attempt in (
        lambda connection: shop.endings.failed(connection, late.token, CaptureTimeout()),
        lambda connection: shop.endings.cancelled(connection, late.token),
        lambda connection: shop.endings.again(connection, late.token, after_s=0),
    ):
        assert await shop.database.write(attempt) is False
    assert await shop.credits() == (1, 0)
    assert await shop.done(claim, "picture-2")
    assert not await shop.done(late)
    assert not await shop.done(claim)
    row = await shop.row(job_id)
    assert (row.status, row.object_name, row.attempts) == ("done", "picture-2", 2)
    assert await shop.credits() == (0, 1)


async def test_the_same_worker_with_another_try_is_another(shop: Shop) -> None:
    [job_id] = await shop.accept(0)
    late = await shop.claimed("w1")
    shop.wait_s(LEASE_S + 1)
    await shop.reap()
    claim = await shop.claimed("w1")
    assert not await shop.done(late)
    assert await shop.status(job_id) == "running"
    assert await shop.done(claim)


async def test_a_job_that_kills_its_workers_fails_and_costs_nothing(shop: Shop) -> None:
    poison, good = await shop.accept(5, 0)
    for attempt in (1, 2, 3):
        claim = await shop.claimed(f"w{attempt}")
        assert (claim.job_id, claim.attempts) == (poison, attempt)
        shop.wait_s(LEASE_S + 1)
        assert await shop.reap() == [poison]
    row = await shop.row(poison)
    assert (row.status, row.error["code"], row.attempts) == ("failed", "page_crashed", 3)
    assert row.body is None
    assert (await shop.claimed()).job_id == good
    assert await shop.credits() == (1, 0)


async def test_reapers_at_once_take_each_job_up_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many accounts, whose credits all go back: no two wait for each other in a circle."""
    monkeypatch.setattr("calotype.jobs.endings._REAP_AT_ONCE", 5)
    last = shop.another(settings=JobSettings(max_attempts=1))
    for number in range(60):
        await shop.accept(0, caller=principal(f"key{number % 3}"))
    await shop.claim(at_most=60)
    shop.wait_s(LEASE_S + 1)
    reaped: list[str] = []
    while found := [job_id for ids in await asyncio.gather(*(last.reap() for _ in range(6))) for job_id in ids]:
        reaped += found
    assert len(reaped) == len(set(reaped)) == 60
    assert [await shop.credits(f"key{number}") for number in range(3)] == [(0, 0)] * 3


async def test_a_job_that_is_unwanted_is_not_tried_again(shop: Shop) -> None:
    """Its worker dies, or gives it back, before it has heard of it."""
    left, returned = await shop.accept(0, 0)
    await shop.claimed("w1")
    claim = await shop.claimed("w2")
    for job_id in (left, returned):
        await shop.database.write(lambda connection, job_id=job_id: table.request_cancel(connection, job_id))
    await shop.database.write(lambda connection: shop.endings.again(connection, claim.token, after_s=2))
    assert await shop.status(returned) == "cancelled"
    shop.wait_s(LEASE_S + 1)
    assert await shop.reap() == [left]
    assert await shop.status(left) == "cancelled"
    assert await shop.credits() == (0, 0)


async def test_what_is_not_the_jobs_fault_does_not_count(shop: Shop) -> None:
    await shop.accept(0)
    for _ in range(5):
        claim = await shop.claimed()
        assert claim.attempts == 1
        await shop.database.write(
            lambda connection, claim=claim: shop.endings.again(connection, claim.token, after_s=0, is_counted=False)
        )


@pytest.mark.parametrize("ending", ["done", "failed", "cancelled", "lost"])
async def test_the_request_is_forgotten_at_the_end(shop: Shop, ending: str) -> None:
    """No row of any table has what the request carried: cookies, passwords."""
    [job_id] = await shop.accept(0)
    assert "secret-of-the-caller" in await everything(shop.database)
    if ending == "cancelled":
        await shop.desk.cancel(job_id)
    elif ending == "lost":
        for _ in range(3):
            await shop.claimed()
            shop.wait_s(LEASE_S + 1)
            await shop.reap()
    else:
        claim = await shop.claimed()
        if ending == "done":
            await shop.done(claim)
        else:
            await shop.database.write(lambda connection: shop.endings.failed(connection, claim.token, CaptureTimeout()))
    assert (await shop.row(job_id)).finished_us is not None
    assert "secret-of-the-caller" not in await everything(shop.database)


async def everything(database: Database) -> str:
    """All rows of all tables as text."""

    def work(connection: Connection) -> str:
        found: list[str] = []
        for name in ("jobs", "ledger", "answers", "key_usage", "api_keys"):
            found += [str(row) for row in connection.execute(text(f"SELECT * FROM {name}"))]
        return "\n".join(found)

    return await database.read(work)


async def test_final_jobs_are_forgotten_after_their_time_and_others_never(shop: Shop) -> None:
    old, young, _, _ = await shop.accept(4, 3, 2, 1)
    await shop.done(await shop.claimed(), "old-picture")
    shop.wait_s(50)
    await shop.done(await shop.claimed())
    await shop.claimed()
    shop.wait_s(50)

    async def expired() -> list[str]:
        gone = await shop.database.read(
            lambda connection: expired_jobs(connection, retention_s=100, at_most=10, now_us=shop.clock)
        )
        await shop.database.write(lambda connection: forget_jobs(connection, gone))
        return [each.job_id for each in gone]

    assert await expired() == []
    shop.wait_s(0.000_001)
    assert await expired() == [old]
    shop.wait_s(1_000)
    assert await expired() == [young]
    counts = await shop.database.read(job_counts)
    assert counts == {"queued": 1, "running": 1}


async def test_a_list_goes_on_where_it_ended_though_new_jobs_come(shop: Shop) -> None:
    job_ids = await shop.enqueue(*range(7))
    await shop.enqueue(0, key_id="key1")

    async def page(before: int | None, status: str | None = None) -> list[tuple[int, str]]:
        rows = await shop.database.read(
            lambda connection: reading.listed(connection, "key0", status=status, before=before, at_most=3)
        )
        assert not any(hasattr(row, "body") for row in rows)
        return [(row.number, row.id) for row in rows]

    first = await page(None)
    await shop.enqueue(9)
    second = await page(first[-1][0])
    third = await page(second[-1][0])
    assert [job_id for _, job_id in (*first, *second, *third)] == job_ids[::-1]
    claim = await shop.claimed()
    assert [job_id for _, job_id in await page(None, "running")] == [claim.job_id]
