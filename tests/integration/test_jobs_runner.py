"""The runner on both databases: jobs are run in order, once, and end whatever happens to them and to it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from calotype.accounts.keys import Principal
from calotype.database import Database
from calotype.database.clock import database_now_us
from calotype.errors import (
    CalotypeError,
    CaptureTimeout,
    JobFinished,
    Overloaded,
    PageCrashed,
    SelectorNotFound,
    ShuttingDown,
)
from calotype.jobs import table
from calotype.jobs.expiry import Expiry
from calotype.jobs.table import Claim
from calotype.settings import JobSettings, Plan

from .job_shop import LEASE_S, FakeMaker, Owners, Shop, job_counts, principal, until


class Gate:
    """A capture that lasts until it is let go on."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.open = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, claim: Claim) -> None:
        self.began.set()
        try:
            await self.open.wait()
        finally:
            self.left.set()


def failing(*errors: Exception) -> Callable[[Claim], Awaitable[None]]:
    """Each try raises the next error; after them, it succeeds."""
    left = list(errors)

    async def script(claim: Claim) -> None:
        if left:
            raise left.pop(0)

    return script


async def test_200_jobs_on_one_slot_run_in_exact_order(shop: Shop) -> None:
    dice = random.Random(11)
    priorities = [dice.choice([-(2**31), -5, -1, 0, 1, 7, 100, 2**31 - 1]) for _ in range(200)]
    job_ids = [job_id for start in range(0, 200, 20) for job_id in await shop.accept(*priorities[start : start + 20])]
    expected = sorted(range(200), key=lambda place: (-priorities[place], place))
    async with shop.running(concurrency=1):
        await shop.until_final(*job_ids)
    assert shop.maker.began == [job_ids[place] for place in expected]
    assert shop.maker.most_running == 1
    assert await shop.credits() == (0, 200)


async def test_a_job_that_is_done_has_its_picture_and_nothing_of_its_request(shop: Shop) -> None:
    async with shop.running():
        [job_id] = await shop.accept(0)
        [row] = await shop.until_final(job_id)
    assert (row.status, row.attempts, row.body, row.worker, row.error) == ("done", 1, None, None, None)
    assert row.result["content_type"] == "image/jpeg"
    image = await shop.storage.get(row.object_name)
    assert image is not None
    assert image.startswith(job_id.encode())
    assert shop.pictures() == {row.object_name}


async def test_a_job_that_comes_later_wakes_the_runner(shop: Shop) -> None:
    async with shop.running():
        for _ in range(3):
            await shop.until_final(*await shop.accept(0))


async def test_no_more_run_at_once_than_there_are_places(shop: Shop) -> None:
    gate = Gate()
    shop.maker.script = gate
    job_ids = await shop.accept(*[0] * 10)
    async with shop.running(concurrency=3):
        await until(lambda: shop.maker.running == 3)
        assert await shop.database.read(job_counts) == {"queued": 7, "running": 3}
        gate.open.set()
        await shop.until_final(*job_ids)
    assert shop.maker.most_running == 3


@pytest.mark.parametrize(
    ("errors", "attempts", "status"),
    [
        ([SelectorNotFound()], 1, "failed"),
        ([CaptureTimeout()], 2, "done"),
        ([CaptureTimeout(), PageCrashed()], 3, "done"),
        ([CaptureTimeout()] * 3, 3, "failed"),
        ([RuntimeError("a defect")] * 3, 3, "failed"),
        ([CaptureTimeout(), SelectorNotFound()], 2, "failed"),
    ],
)
async def test_tries(shop: Shop, errors: list[Exception], attempts: int, status: str) -> None:
    shop = shop.another(settings=JobSettings(lease_s=LEASE_S, retry_pause_s=0))
    shop.maker.script = failing(*errors)
    async with shop.running():
        [job_id] = await shop.accept(0)
        [row] = await shop.until_final(job_id)
    assert (row.status, row.attempts) == (status, attempts)
    if status == "failed":
        last = errors[-1]
        assert row.error["code"] == (last.code if isinstance(last, CalotypeError) else "internal_error")
        assert "a defect" not in row.error["message"]
    else:
        assert row.error is None
    assert await shop.credits() == (0, int(status == "done"))


async def test_each_pause_is_twice_the_one_before(shop: Shop) -> None:
    shop = shop.another(settings=JobSettings(lease_s=LEASE_S, retry_pause_s=2, max_attempts=5))
    shop.maker.script = failing(*[CaptureTimeout()] * 4)
    [job_id] = await shop.accept(0)
    async with shop.running() as runner:
        for pause_s in (2, 4, 8, 16):
            await until_idle(shop, runner, job_id)
            row = await shop.row(job_id)
            assert (row.status, row.due_us) == ("queued", shop.time[0] + pause_s * 1_000_000)
            assert row.error["code"] == "capture_timeout"
            shop.wait_s(pause_s)
            shop.bell.on_queued()
        [row] = await shop.until_final(job_id)
    assert (row.status, row.attempts) == ("done", 5)


async def until_idle(shop: Shop, runner: Any, job_id: str) -> None:
    """Until the job waits for its next try; nobody is told of that."""
    await shop.until_row(job_id, lambda row: row.error is not None and row.due_us > shop.time[0])
    await until(lambda: not runner.running)


async def test_a_long_pause_keeps_within_the_numbers(shop: Shop) -> None:
    shop = shop.another(settings=JobSettings(lease_s=LEASE_S, retry_pause_s=2, max_attempts=100))
    shop.maker.script = failing(CaptureTimeout())
    [job_id] = await shop.enqueue(0)
    for _ in range(98):
        claim = await shop.claimed()
        await shop.database.write(
            lambda connection, claim=claim: shop.endings.again(connection, claim.token, after_s=0)
        )
    async with shop.running() as runner:
        await until_idle(shop, runner, job_id)
    assert (await shop.row(job_id)).due_us == shop.time[0] + 3_600 * 1_000_000


@pytest.mark.parametrize("error", [Overloaded(), ShuttingDown()])
async def test_what_is_not_the_jobs_fault_is_no_try(shop: Shop, error: CalotypeError) -> None:
    shop.maker.script = failing(*[error] * 5)
    shop = shop.another(settings=JobSettings(max_attempts=1))
    async with shop.running() as runner:
        [job_id] = await shop.accept(0)
        for number in range(1, 6):
            await until(lambda: len(shop.maker.began) == number and not runner.running)  # noqa: B023
            shop.wait_s(1)
            shop.bell.on_queued()
        [row] = await shop.until_final(job_id)
    assert (row.status, row.attempts) == ("done", 1)


async def test_a_revoked_key_ends_its_jobs_at_no_cost(shop: Shop) -> None:
    [job_id] = await shop.accept(0)
    shop.owners.revoked.add("key0")
    async with shop.running():
        [row] = await shop.until_final(job_id)
    assert (row.status, row.error["code"], row.attempts) == ("failed", "api_key_invalid", 1)
    assert shop.maker.began == []
    assert await shop.credits() == (0, 0)


async def test_a_key_at_its_limit_lets_others_pass(shop: Shop) -> None:
    """Its second job takes no place, however slowly its plan becomes known."""
    gate = Gate()

    async def hold_key1(claim: Claim) -> None:
        if claim.key_id == "key1":
            await gate(claim)

    shop = shop.another(maker=FakeMaker(hold_key1), owners=Owners({"key1": Plan(name="pair", max_concurrency=1)}))
    held = await shop.accept(9, 9, 9, caller=principal("key1"))
    others = await shop.accept(0, 0, 0)
    async with shop.running(concurrency=2):
        await shop.until_final(*others)
        assert [await shop.status(job_id) for job_id in held] == ["running", "queued", "queued"]
        assert shop.maker.began.count(held[0]) == 1
        gate.open.set()
        await shop.until_final(*held)


async def test_cancelling_what_waits_is_at_once_and_free(shop: Shop) -> None:
    [job_id] = await shop.accept(0)
    seen = await shop.desk.cancel(job_id)
    assert (seen.row.status, seen.row.body) == ("cancelled", None)
    with pytest.raises(JobFinished):
        await shop.desk.cancel(job_id)
    assert await shop.credits() == (0, 0)
    assert await shop.claim() == []


async def test_cancelling_what_runs_stops_the_capture(shop: Shop) -> None:
    gate = Gate()
    shop.maker.script = gate
    async with shop.running():
        [job_id] = await shop.accept(0)
        await gate.began.wait()
        seen = await shop.desk.cancel(job_id)
        assert gate.left.is_set()
    assert seen.row.status == "cancelled"
    assert shop.pictures() == set()
    assert await shop.credits() == (0, 0)


async def test_cancelling_a_job_in_the_moment_in_which_it_is_claimed(shop: Shop) -> None:
    """The row is `running`, and the answer to the claim still on its way when the notice comes."""
    gate = Gate()
    shop.maker.script = gate
    owners = shop.owners
    cancelled: list[asyncio.Task[Any]] = []
    heard = asyncio.Event()

    def hear(notice: str | None) -> None:
        shop.bell.hear(notice)
        if notice == f"job-cancel {job_id}":
            heard.set()

    class SlowOwners(Owners):
        async def owner(self, key_id: str) -> Principal | None:
            if not cancelled:
                cancelled.append(asyncio.create_task(shop.desk.cancel(job_id)))
                await shop.until_row(job_id, lambda row: row.is_cancel_requested)
                await heard.wait()
            return await owners.owner(key_id)

    [job_id] = await shop.accept(0)
    await shop.database.listen(hear)
    slow = shop.another(owners=SlowOwners(), settings=JobSettings(lease_s=60))
    async with slow.running_with(shop.bell):
        await until(lambda: bool(cancelled))
        seen = await cancelled[0]
    assert seen.row.status == "cancelled"


async def test_a_cancel_whose_notice_was_missed_is_seen_all_the_same(shop: Shop) -> None:
    gate = Gate()
    shop.maker.script = gate
    async with shop.running():
        [job_id] = await shop.accept(0)
        await gate.began.wait()
        await shop.database.write(lambda connection: table.request_cancel(connection, job_id))  # and tell nobody
        shop.bell.hear(None)  # the connection on which notices come was lost and is there again
        [row] = await shop.until_final(job_id)
    assert row.status == "cancelled"


async def test_a_cancel_that_nobody_was_told_of_is_seen_when_leases_are_extended(shop: Shop) -> None:
    gate = Gate()
    shop = shop.another(maker=FakeMaker(gate), settings=JobSettings(lease_s=1))
    async with shop.running():
        [job_id] = await shop.accept(0)
        await gate.began.wait()
        await shop.database.write(lambda connection: table.request_cancel(connection, job_id))
        [row] = await shop.until_final(job_id)
    assert row.status == "cancelled"


async def test_cancelling_what_ends_just_then(shop: Shop) -> None:
    """The picture is made and paid for: it is too late."""
    gate = Gate()
    shop.maker.script = gate
    put = shop.storage.put
    storing, go_on = asyncio.Event(), asyncio.Event()

    async def slow_put(name: str, content: bytes, **options: str) -> None:
        storing.set()
        await go_on.wait()
        await put(name, content, **options)

    shop.storage.put = slow_put  # type: ignore[method-assign]
    gate.open.set()
    async with shop.running():
        [job_id] = await shop.accept(0)
        await storing.wait()
        cancelling = asyncio.create_task(shop.desk.cancel(job_id))
        await shop.until_row(job_id, lambda row: row.is_cancel_requested)
        go_on.set()
        with pytest.raises(JobFinished, match="done"):
            await cancelling
    row = await shop.row(job_id)
    assert shop.pictures() == {row.object_name}
    assert await shop.credits() == (0, 1)


async def test_a_worker_believed_dead_that_finishes_late_leaves_nothing(shop: Shop) -> None:
    slow, quick = Gate(), FakeMaker()
    late = shop.another(maker=FakeMaker(slow))
    [job_id] = await shop.accept(0)
    async with late.running() as late_runner:
        await slow.began.wait()
        keeper = late_runner._keeper
        assert keeper is not None
        keeper.cancel()  # it stands still, as a machine does that is suspended
        shop.wait_s(LEASE_S + 1)
        other = shop.another(maker=quick)
        async with other.running_with(late.bell):
            await shop.reap()
            [row] = await late.until_final(job_id)
            picture = await shop.storage.get(row.object_name)
            slow.open.set()
            await until(lambda: not late_runner.running)
    assert (row.status, row.attempts) == ("done", 2)
    assert await shop.row(job_id) == row
    assert shop.pictures() == {row.object_name}
    assert await shop.storage.get(row.object_name) == picture
    assert await shop.credits() == (0, 1)


async def test_a_claim_that_is_lost_is_not_carried_on(shop: Shop) -> None:
    gate = Gate()
    shop = shop.another(maker=FakeMaker(gate), settings=JobSettings(lease_s=1))
    async with shop.running():
        [job_id] = await shop.accept(0)
        await gate.began.wait()
        shop.wait_s(5)  # nobody has extended it
        await shop.reap()
        await gate.left.wait()
        gate.open.set()
        [row] = await shop.until_final(job_id)
    assert (row.status, row.attempts) == ("done", 2)


async def test_a_picture_that_a_dead_worker_has_stored_goes_when_the_job_is_done(shop: Shop) -> None:
    [job_id] = await shop.accept(0)
    claim = await shop.claimed("dead")
    await shop.storage.put(f"{job_id}-{claim.attempts}", b"stored, then killed")
    shop.wait_s(LEASE_S + 1)
    async with shop.running():
        [row] = await shop.until_final(job_id)
    assert row.attempts == 2
    assert shop.pictures() == {row.object_name}


async def test_expiry_deletes_rows_and_the_pictures_of_all_tries(shop: Shop) -> None:
    async with shop.running():
        done = await shop.accept(0, 0, 0)
        await shop.until_final(*done)
    [lost] = await shop.accept(0)
    for attempt in (1, 2, 3):
        await shop.claimed("dead")
        await shop.storage.put(f"{lost}-{attempt}", b"stored, then killed")
        shop.wait_s(LEASE_S + 1)
        await shop.reap()
    [young] = await shop.accept(0)
    assert len(shop.pictures()) == 6
    expiry = Expiry(database=shop.database, storage=shop.storage, retention_s=100, now_us=shop.clock)
    shop.wait_s(101)
    assert await expiry.expire() == 4
    assert await expiry.expire() == 0
    assert shop.pictures() == set()
    assert await shop.status(young) == "queued"


async def test_a_database_that_is_away_for_a_moment_costs_no_picture(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    shop.maker.script = gate
    write = shop.database.write
    failures = 2

    async def failing_write(work: Any, **kwargs: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise OperationalError("", {}, Exception("terminating connection due to administrator command"))
        return await write(work, **kwargs)

    async with shop.running():
        [job_id] = await shop.accept(0)
        await gate.began.wait()
        monkeypatch.setattr(shop.database, "write", failing_write)
        gate.open.set()
        [row] = await shop.until_final(job_id)
    assert (row.status, row.attempts) == ("done", 1)
    assert failures == 0


async def test_the_loops_outlive_whatever_the_database_raises(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's own error, say: SQLite's full disk is one."""
    monkeypatch.setattr("calotype.jobs.runner.BUSY_PAUSE_S", 0.01)
    write = shop.database.write
    left = 6

    async def failing_write(work: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise RuntimeError("not one that SQLAlchemy knows")
        return await write(work, **kwargs)

    [job_id] = await shop.accept(0)
    monkeypatch.setattr(shop.database, "write", failing_write)
    shop = shop.another(settings=JobSettings(lease_s=1))
    async with shop.running() as runner:
        [row] = await shop.until_final(job_id)
        assert runner._keeper is not None
        assert not runner._keeper.done()
    assert row.status == "done"


async def test_a_claim_whose_answer_was_lost_is_taken_up_though_its_worker_lives(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim is committed, and the connection cut before the answer: nobody runs the job."""
    gate = Gate()
    shop = shop.another(maker=FakeMaker(gate), settings=JobSettings(lease_s=1))
    write, is_lost = shop.database.write, False

    async def losing_write(work: Any, **kwargs: Any) -> Any:
        nonlocal is_lost
        answer = await write(work, **kwargs)
        if not is_lost and isinstance(answer, tuple) and answer[0] and isinstance(answer[0], list):
            is_lost = True
            raise OperationalError("", {}, Exception("server closed the connection unexpectedly"))
        return answer

    async with shop.running(concurrency=2):
        [held] = await shop.accept(0)
        await gate.began.wait()
        monkeypatch.setattr(shop.database, "write", losing_write)
        [lost] = await shop.accept(0)
        await shop.until_row(lost, lambda row: row.status == "running")
        assert await shop.database.read(job_counts) == {"queued": 0, "running": 2}
        for _ in range(3):  # the worker extends what it carries out, and that alone
            shop.wait_s(0.6)
            await shop.until_row(held, lambda row: row.lease_us == shop.time[0] + 1_000_000)
        await shop.until_row(lost, lambda row: row.attempts == 2)
        gate.open.set()
        rows = await shop.until_final(held, lost)
    assert [(row.status, row.attempts) for row in rows] == [("done", 1), ("done", 2)]


async def test_stopping_lets_what_runs_finish_in_the_grace_time(shop: Shop) -> None:
    gate = Gate()
    shop.maker.script = gate
    first, second = await shop.accept(0, 0)
    async with shop.running() as runner:
        await gate.began.wait()
        draining = asyncio.create_task(runner.drain(30))
        await asyncio.sleep(0)
        gate.open.set()
        await draining
    assert [await shop.status(job_id) for job_id in (first, second)] == ["done", "queued"]


async def test_stopping_gives_back_what_takes_longer_uncounted(shop: Shop) -> None:
    gate = Gate()
    shop.maker.script = gate
    job_ids = await shop.accept(0, 0)
    async with shop.running(concurrency=2) as runner:
        await until(lambda: shop.maker.running == 2)
        await runner.drain(0.01)
        assert runner.running == 0
    for job_id in job_ids:
        row = await shop.row(job_id)
        assert (row.status, row.attempts, row.worker, row.error) == ("queued", 0, None, None)
    assert await shop.credits() == (2, 0)
    other = shop.another(maker=FakeMaker())
    async with other.running_with(shop.bell):
        await shop.until_final(*job_ids)


async def test_stopping_in_the_moment_of_a_claim(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job that is being claimed has its grace time as well."""
    gate = Gate()
    shop.maker.script = gate
    [job_id] = await shop.accept(0)
    owning, go_on = asyncio.Event(), asyncio.Event()

    class SlowOwners(Owners):
        async def owner(self, key_id: str) -> Principal | None:
            owning.set()
            await go_on.wait()
            return await super().owner(key_id)

    async with shop.another(owners=SlowOwners()).running_with(shop.bell) as runner:
        await owning.wait()
        draining = asyncio.create_task(runner.drain(30))
        await asyncio.sleep(0)
        go_on.set()
        await gate.began.wait()
        gate.open.set()
        await draining
        assert await shop.status(job_id) == "done"


async def test_what_was_claimed_while_others_were_given_back_is_given_back_too(shop: Shop) -> None:
    first, second = await shop.accept(0, 0)
    owning, go_on, began = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def until_cancelled(claim: Claim) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            go_on.set()

    class SlowOwners(Owners):
        async def owner(self, key_id: str) -> Principal | None:
            if began.is_set():
                owning.set()
                await go_on.wait()
            return await super().owner(key_id)

    shop.maker.script = until_cancelled
    async with shop.another(owners=SlowOwners()).running_with(shop.bell, concurrency=2) as runner:
        await owning.wait()
        await runner.stop()
        assert runner.running == 0
    assert [await shop.status(job_id) for job_id in (first, second)] == ["queued", "queued"]


async def test_what_is_stopped_before_its_first_step_is_given_back(shop: Shop) -> None:
    [job_id] = await shop.accept(0)
    runner = shop.runner()
    claim, _ = await runner._claim()
    assert claim is not None
    runner._run(claim, principal())
    runner._running[claim].making.cancel()
    await runner._running[claim].carrying
    row = await shop.row(job_id)
    assert (row.status, row.attempts, shop.maker.began) == ("queued", 0, [])


@pytest.mark.parametrize("runners", [2, 4])
async def test_runners_on_one_database_share_the_jobs(shop: Shop, database_url: str, runners: int) -> None:
    """Each with connections, bell and storage of its own, on the databases' own clocks; each job is run once."""
    if database_url.startswith("sqlite"):
        pytest.skip("a SQLite file is for one process")
    databases = [Database(database_url) for _ in range(runners)]
    shops = [shop.another(database=database, maker=FakeMaker(short)) for database in databases]
    for database in databases:
        await database.open()
    ids: list[str] = []
    async with AsyncExitStack() as stack:
        for each in shops:
            each.endings._now_us = database_now_us
            await stack.enter_async_context(each.running(concurrency=2))
        for _ in range(20):
            ids += await shops[0].accept(*[0] * 10)
        await shops[0].until_final(*ids)
    for database in databases:
        await database.close()
    began = [job_id for each in shops for job_id in each.maker.began]
    assert sorted(began) == sorted(ids)
    assert all(each.maker.began for each in shops)
    assert await shop.credits() == (0, 200)


async def short(claim: Claim) -> None:
    await asyncio.sleep(0.001)
