"""The runner between a database that fails at the worst moment and pictures that must not get lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from calotype.accounts.opening import open_accounts
from calotype.capture.result import CaptureMeta, CaptureResult
from calotype.database import Database, T, Work
from calotype.database.clock import database_now_us
from calotype.delivery.lanes import Lanes
from calotype.errors import PageCrashed
from calotype.guard.policy import EgressPolicy
from calotype.jobs import reading, table
from calotype.jobs.desk import JobDesk, Wanted
from calotype.jobs.endings import Endings
from calotype.jobs.opening import JobParts
from calotype.jobs.runner import Runner
from calotype.jobs.table import Claim, NewJob
from calotype.schema import ledger
from calotype.settings import DatabaseSettings, JobSettings, Settings
from calotype.storage import Storage, open_storage


class Picture:
    """A fixed picture, at the seam `PictureMaker`."""

    async def capture(self, request: object, *, request_id: str, rules: object = None) -> CaptureResult:
        meta = CaptureMeta(
            request_id=request_id,
            elapsed_ms=1,
            url=None,
            final_url=None,
            status_code=None,
            title="",
            width=1,
            height=1,
            bytes=3,
        )
        return CaptureResult(b"png", "image/png", meta)


class Breaking(Database):
    """A database whose connection breaks after the commit that ends a job, so that nobody knows of it."""

    broken = 0

    async def write(self, work: Work[T], *, autocommit: bool = False) -> T:
        result = await super().write(work, autocommit=autocommit)
        if not self.broken and "Closing.made" in getattr(work, "__qualname__", ""):
            self.broken += 1
            raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))
        return result


@asynccontextmanager
async def jobs(database_url: str, directory: Path) -> AsyncIterator[tuple[JobDesk, Runner, Any, Breaking, Storage]]:
    settings = Settings(
        data_dir=directory, database=DatabaseSettings(url=database_url), jobs=JobSettings(lease_s=1, concurrency=1)
    )
    async with open_accounts(settings) as (_, keys):
        caller = await keys.authenticate((await keys.create("free")).text)
        storage, breaking = open_storage(settings.storage_url), Breaking(database_url)
        await breaking.open()
        parts = JobParts(settings, breaking, storage, keys, EgressPolicy(settings.guard))
        runner = parts.runner(Picture(), Lanes(queue=9, timeout_s=9))
        async with parts.running(runner):
            yield parts.desk(), runner, caller, breaking, storage
        await breaking.close()


async def test_a_picture_whose_commit_nobody_heard_of_is_kept(database_url: str, tmp_path: Path) -> None:
    async with jobs(database_url, tmp_path) as (desk, runner, caller, breaking, storage):
        accepted = await desk.accept([Wanted({"html": "x"}, 0)], caller, name=None, note=lambda standing: None)
        seen = await desk.wait(accepted.job_ids[0], 30)
        await runner.drain(30)
    assert (seen.row.status, breaking.broken) == ("done", 1)
    assert await storage.get(seen.row.object_name) == b"png"

    def states(connection: Connection) -> list[str]:
        return list(connection.execute(select(ledger.c.state)).scalars())

    database = Database(database_url)
    await database.open()
    assert await database.read(states) == ["settled"]
    await database.close()


async def test_a_cancelled_job_is_not_tried_again(database_url: str, tmp_path: Path) -> None:
    """The request to stop comes as the try ends in an error that calls for another."""
    ended: list[str] = []
    endings = Endings(on_final=lambda connection, row: ended.append(row.status), now_us=database_now_us)
    settings = Settings(data_dir=tmp_path, database=DatabaseSettings(url=database_url))
    async with open_accounts(settings) as (database, keys):
        key_id = (await keys.create("free")).key_id

        def begin(connection: Connection) -> Claim:
            table.enqueue(
                connection, key_id, key_id, [NewJob("job", 0, {"html": "x"})], aging_s=0, now_us=database_now_us
            )
            [taken] = table.claim(connection, "worker", at_most=1, lease_s=60, now_us=database_now_us)
            return taken

        taken = await database.write(begin)
        assert await database.write(lambda connection: table.request_cancel(connection, "job"))
        assert await database.write(
            lambda connection: endings.again(connection, taken.token, after_s=0, error=PageCrashed())
        )
        row = await database.read(lambda connection: reading.get(connection, "job"))
    assert row is not None
    assert (row.status, row.error, ended) == ("cancelled", None, ["cancelled"])
