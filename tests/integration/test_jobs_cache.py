"""Jobs and captures share one result cache: everything real but the capture and the time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Row, func, select

from calotype.database import Database
from calotype.delivery.cached import ResultCache
from calotype.delivery.lanes import Lanes
from calotype.jobs.expiry import Expiry
from calotype.jobs.making import JobMaker
from calotype.schema import answers, ledger
from calotype.storage.directory import DirectoryStorage

from .job_shop import LEASE_S, START_US, Shop, insert_keys, principal
from .test_desk import Office

URL = "https://example.com/"


@dataclass
class Both:
    """Jobs, and a desk for captures, on one database, storage, clock and browser."""

    shop: Shop
    office: Office

    def wait_s(self, seconds: float) -> None:
        self.shop.wait_s(seconds)
        self.office.now_us = self.shop.time[0]

    @property
    def made(self) -> list[str]:
        return self.office.capturer.made

    async def capture(self, key_id: str = "key0", **body: Any) -> Any:
        return await self.office.ask(principal(key_id), **body)

    async def job(self, key_id: str = "key0", **body: Any) -> Row[Any]:
        [row] = await self.jobs(1, key_id, **body)
        return row

    async def jobs(self, number: int, key_id: str = "key0", **body: Any) -> list[Row[Any]]:
        """Queue them, and wait for their ends."""
        job_ids = await self.shop.accept(*[0] * number, caller=principal(key_id), body={"url": URL, **body})
        return await self.shop.until_final(*job_ids)

    async def picture(self, row: Row[Any]) -> bytes | None:
        return await self.shop.storage.get(row.object_name)

    async def states(self) -> dict[str, int]:
        """Of the ledger: what was charged, and why not."""

        def work(connection: Connection) -> dict[str, int]:
            how = func.coalesce(ledger.c.reason, ledger.c.state)
            return {row[0]: row[1] for row in connection.execute(select(how, func.count()).group_by(how))}

        return await self.shop.database.read(work)


@pytest.fixture
async def both(database: Database, tmp_path: Path) -> Any:
    await insert_keys(database, "key0", "key1")
    office = Office(database, tmp_path / "images")
    shop = Shop(database, tmp_path / "images")
    assert office.now_us == START_US
    cache = ResultCache(database, shop.storage, shop.clock)
    shop.maker = JobMaker(capturer=office.capturer, lanes=Lanes(queue=3, timeout_s=20), cache=cache)
    async with shop.running():
        yield Both(shop, office)
        await office.desk.stop()


async def test_a_job_is_answered_from_what_a_capture_or_a_job_has_kept(both: Both) -> None:
    first = await both.capture(cache={"ttl_s": 60})
    for _ in range(2):
        row = await both.job(cache={"ttl_s": 60}, fromat="png")
        assert (row.status, row.attempts) == ("done", 1)
        assert await both.picture(row) == first.result.image
        meta = row.result["meta"]
        assert (meta["cached"], meta["request_id"], meta["elapsed_ms"]) == (True, row.id, 0)
        assert [each["field"] for each in meta["warnings"]] == ["fromat"]
    assert both.made == [first.result.meta.request_id]
    assert await both.states() == {"settled": 1, "cache_hit": 2}
    standing = await both.office.desk.standing(principal())
    assert (standing.reserved, standing.settled) == (0, 1)


async def test_a_jobs_picture_answers_captures_and_jobs(both: Both) -> None:
    row = await both.job(cache={"ttl_s": 60}, fromat="png")
    assert not row.result["meta"]["cached"]
    hit = await both.capture(cache={"ttl_s": 60})
    assert hit.is_hit
    assert hit.result.meta.warnings == []  # those of the job's own request are its own
    assert hit.result.image == await both.picture(row)
    assert (await both.job(cache={"ttl_s": 60})).result["meta"]["cached"]
    assert both.made == [row.id]
    assert await both.states() == {"settled": 1, "cache_hit": 1}


async def test_of_many_alike_one_is_made(both: Both) -> None:
    rows = await both.jobs(20, cache={"ttl_s": 60})
    assert [row.result["meta"]["cached"] for row in rows] == [False] + [True] * 19
    assert both.made == [rows[0].id]
    assert len(both.shop.pictures()) == 21


async def test_a_job_has_the_rules_of_a_capture(both: Both) -> None:
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"cache": {"ttl_s": 60}, "render": {"timeout_ms": 5000}}, True),
        ({}, False),
        ({"cache": {"ttl_s": 0}}, False),
        ({"cache": {"ttl_s": 60, "key": "v2"}}, False),
        ({"cache": {"ttl_s": 60, "refresh": True}}, False),
        ({"cache": {"ttl_s": 10}}, False),
        ({"cache": {"ttl_s": 60}, "format": "png"}, False),
        ({"cache": {"ttl_s": 60}, "key_id": "key1"}, False),
    ]
    for number in range(len(cases)):
        await both.capture(url=f"{URL}{number}", cache={"ttl_s": 60})
    both.wait_s(20)
    for number, (body, hit) in enumerate(cases):
        row = await both.job(url=f"{URL}{number}", **body)
        assert (row.status, row.result["meta"]["cached"]) == ("done", hit), body
    assert len(both.made) == len(cases) * 2 - 1


async def test_a_refresh_replaces_what_is_kept_and_deletes_it(both: Both) -> None:
    await both.capture(cache={"ttl_s": 60})
    row = await both.job(cache={"ttl_s": 60, "refresh": True})
    assert (await both.capture(cache={"ttl_s": 60})).result.image == await both.picture(row) == b"picture 2"
    left = {row.object_name, f"{row.object_name}-cache"}
    await both.shop.until_row(row.id, lambda _: both.shop.pictures() == left)  # after the job's end, which was awaited


async def test_job_and_cache_forget_their_pictures_each_in_its_own_time(both: Both) -> None:
    shop = both.shop
    first = await both.job(cache={"ttl_s": 60})
    second = await both.job(cache={"ttl_s": 600})
    third = await both.job(cache={"ttl_s": 600, "key": "other"})
    both.wait_s(61)
    await both.office.upkeep.sweep()  # the cache forgets the first's copy
    assert await both.picture(first) == await both.picture(second) == b"picture 1"
    expiry = Expiry(database=shop.database, storage=shop.storage, retention_s=30, now_us=shop.clock)
    assert await expiry.expire() == 3
    assert shop.pictures() == {f"{third.object_name}-cache"}
    assert (await both.capture(cache={"ttl_s": 600, "key": "other"})).is_hit
    both.wait_s(600)
    await both.office.upkeep.sweep()
    assert shop.pictures() == set()


async def test_a_partial_picture_is_not_kept(both: Both) -> None:
    both.office.capturer.partial = True
    row = await both.job(cache={"ttl_s": 60})
    assert not (await both.job(cache={"ttl_s": 60})).result["meta"]["cached"]
    assert row.object_name in both.shop.pictures()
    assert not any(name.endswith("-cache") for name in both.shop.pictures())


async def test_a_kept_picture_that_is_gone_is_made_again(both: Both) -> None:
    await both.capture(cache={"ttl_s": 60})
    for path in both.shop.directory.rglob("*-cache"):
        path.unlink()
    row = await both.job(cache={"ttl_s": 60})
    assert await both.picture(row) == b"picture 2"
    assert (await both.job(cache={"ttl_s": 60})).result["meta"]["cached"]


async def test_a_cache_that_can_not_be_written_fails_no_job(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    real_put = DirectoryStorage.put

    async def put(self: DirectoryStorage, name: str, content: bytes, *, content_type: str = "") -> None:
        if name.endswith("-cache"):
            raise OSError("full")
        await real_put(self, name, content, content_type=content_type)

    monkeypatch.setattr(DirectoryStorage, "put", put)
    row = await both.job(cache={"ttl_s": 60})
    assert row.status == "done"
    assert both.shop.pictures() == {row.object_name}
    assert await both.states() == {"settled": 1}


async def test_a_capture_that_is_being_made_keeps_its_place(both: Both) -> None:
    """The job makes its own meanwhile, and leaves no picture behind in the cache's name."""
    began, may_end = asyncio.Event(), asyncio.Event()

    async def hold(request: Any) -> None:
        began.set()
        await may_end.wait()

    both.office.capturer.script = hold
    capturing = asyncio.create_task(both.capture(cache={"ttl_s": 60}))
    await began.wait()
    both.office.capturer.script = None
    row = await both.job(cache={"ttl_s": 60})
    assert (row.status, row.result["meta"]["cached"]) == ("done", False)
    await both.shop.until_row(row.id, lambda _: both.shop.pictures() == {row.object_name})
    may_end.set()
    assert not (await capturing).is_hit
    assert (await both.job(cache={"ttl_s": 60})).result["meta"]["cached"]
    claims = select(func.count()).select_from(answers).where(~answers.c.is_done)
    assert await both.shop.database.read(lambda connection: connection.execute(claims).scalar()) == 0


async def test_a_commit_that_nobody_has_heard_of_changes_nothing(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a job is written twice: it is charged once, and its pictures stay."""
    real_write_surely = Database.write_surely

    async def twice(self: Database, work: Any) -> Any:
        await real_write_surely(self, work)
        return await real_write_surely(self, work)

    monkeypatch.setattr(Database, "write_surely", twice)
    row = await both.job(cache={"ttl_s": 60})
    hit = await both.job(cache={"ttl_s": 60})
    assert (await both.capture(cache={"ttl_s": 60})).is_hit
    assert both.shop.pictures() == {row.object_name, f"{row.object_name}-cache", hit.object_name}
    assert await both.states() == {"settled": 1, "cache_hit": 1}


async def test_copies_of_tries_that_died_before_their_commit_are_deleted(both: Both) -> None:
    """When a later try is done, though it finds another's picture; and with a job that brings none, when it expires."""
    shop, body = both.shop, {"url": URL, "cache": {"ttl_s": 600}}
    await both.capture(**body)
    both.office.capturer.script = lambda _: asyncio.sleep(3_600)
    [cancelled] = await shop.accept(0, body={**body, "format": "png"})
    await shop.until_row(cancelled, lambda row: row.status == "running")
    [killed] = await shop.accept(0, body=body)
    await shop.claimed("one that is killed")
    for job_id in (cancelled, killed):
        for name in (f"{job_id}-1", f"{job_id}-1-cache"):
            await shop.storage.put(name, b"stored, then killed")
    await shop.desk.cancel(cancelled)
    shop.wait_s(LEASE_S + 1)
    assert await shop.reap() == [killed]
    [row] = await shop.until_final(killed)
    assert (row.status, row.result["meta"]["cached"]) == ("done", True)
    [kept] = [name for name in shop.pictures() if name.startswith("request-")]
    mine = {f"{cancelled}-1", f"{cancelled}-1-cache"}
    await shop.until_row(killed, lambda row: shop.pictures() == {kept, row.object_name, *mine})
    expiry = Expiry(database=shop.database, storage=shop.storage, retention_s=30, now_us=shop.clock)
    shop.wait_s(31)
    assert await expiry.expire() == 2
    assert shop.pictures() == {kept}
