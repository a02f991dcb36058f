"""Jobs on a real database with everything real but the capture and the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from calotype.accounts.keys import Principal, WebhookSigner
from calotype.accounts.ledger import Account
from calotype.accounts.limits import Standing
from calotype.capture.result import CaptureMeta, CaptureResult
from calotype.database import Database
from calotype.delivery.cached import ResultCache
from calotype.guard.policy import EgressPolicy
from calotype.jobs import reading, table
from calotype.jobs.bell import Bell
from calotype.jobs.closing import Closing
from calotype.jobs.desk import JobDesk, Wanted
from calotype.jobs.endings import Endings
from calotype.jobs.making import Made
from calotype.jobs.runner import Runner
from calotype.jobs.table import Claim
from calotype.schema import QUEUED, RUNNING, api_keys, jobs, key_usage, ledger
from calotype.settings import GuardSettings, JobSettings, Plan, TargetRules
from calotype.storage.directory import DirectoryStorage

MADE_AT = datetime(2030, 1, 1, tzinfo=UTC)
START_US = 1_900_000_000_000_000
SECOND_US = 1_000_000
LEASE_S = 10.0
BODY: Mapping[str, Any] = {"url": "https://example.com/", "cookies": "session=secret-of-the-caller"}
UNLIMITED = Plan(name="unlimited")

Script = Callable[[Claim], Awaitable[None]]


async def insert_keys(database: Database, *key_ids: str) -> None:
    rows = [
        {
            **{"id": key_id, "secret_hash": b"", "service": "screenshot", "plan": "free", "origin": "operator"},
            **{"allow": [], "deny": [], "created_at": MADE_AT},
        }
        for key_id in key_ids
    ]
    await database.write(lambda connection: connection.execute(insert(api_keys), rows))


def job_counts(connection: Connection) -> dict[str, int]:
    """How many jobs wait and run."""
    column = jobs.c
    query = select(column.status, func.count()).where(column.status.in_((QUEUED, RUNNING))).group_by(column.status)
    return {QUEUED: 0, RUNNING: 0, **{row[0]: row[1] for row in connection.execute(query)}}


async def until(happened: Callable[[], bool]) -> None:
    """Give way until something has happened in this process of which nobody is told."""
    while not happened():  # noqa: ASYNC110
        await asyncio.sleep(0)


@dataclass
class FakeMaker:
    """Makes a picture that says which job and which try it is of, after `script`."""

    script: Script | None = None
    began: list[str] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    async def make(self, claim: Claim, owner: Principal) -> Made:
        self.began.append(claim.job_id)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            if self.script is not None:
                await self.script(claim)
        finally:
            self.running -= 1
        image = f"{claim.job_id} {claim.worker} {claim.attempts}".encode()
        meta = CaptureMeta(
            request_id=claim.job_id,
            elapsed_ms=5,
            url="https://example.com/",
            final_url="https://example.com/",
            status_code=200,
            title="",
            width=1,
            height=1,
            bytes=len(image),
        )
        return Made(CaptureResult(image, "image/jpeg", meta))


@dataclass
class Owners:
    """Knows every key until it is revoked."""

    plans: dict[str, Plan] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)

    async def owner(self, key_id: str) -> Principal | None:
        await asyncio.sleep(0)  # the real one may ask the database
        if key_id in self.revoked:
            return None
        return principal(key_id, self.plans.get(key_id, UNLIMITED))


def principal(key_id: str = "key0", plan: Plan = UNLIMITED) -> Principal:
    return Principal(key_id, "tester", plan, TargetRules(), key_id, MADE_AT)


@dataclass
class Shop:
    """What a process has of the jobs, and shortcuts to the functions of the table; `another` is a second process."""

    database: Database
    directory: Path
    settings: JobSettings = field(default_factory=lambda: JobSettings(lease_s=LEASE_S, retry_pause_s=2.0))
    maker: Any = field(default_factory=FakeMaker)
    owners: Owners = field(default_factory=Owners)
    time: list[int] = field(default_factory=lambda: [START_US])
    """One clock for all processes, in microseconds."""
    names: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.storage = DirectoryStorage(self.directory)
        self.bell = Bell()
        self.endings = Endings(on_final=lambda connection, row: None, now_us=self.clock)
        self.desk = JobDesk(
            database=self.database,
            storage=self.storage,
            policy=EgressPolicy(GuardSettings()),
            signers=self.signer,
            account_of=self.account_of,
            endings=self.endings,
            bell=self.bell,
            aging_s=self.settings.aging_s,
            presigned_s=self.settings.presigned_s,
            now_us=self.clock,
        )

    def another(self, database: Database | None = None, **changed: Any) -> Shop:
        return replace(self, database=database or self.database, **changed)

    async def signer(self, key_id: str) -> WebhookSigner:
        raise AssertionError("no job of these tests has a webhook")

    def clock(self, _: Connection) -> int:
        return self.time[0]

    def wait_s(self, seconds: float) -> None:
        self.time[0] += round(seconds * SECOND_US)

    def account_of(self, caller: Principal) -> Account:
        now = datetime.fromtimestamp(self.time[0] / SECOND_US, UTC)
        return Account.at(now, "calendar", account_id=caller.account_id, since=MADE_AT, plan=caller.plan)

    def runner(self, concurrency: int = 1, bell: Bell | None = None) -> Runner:
        closing = Closing(
            database=self.database,
            storage=self.storage,
            cache=ResultCache(self.database, self.storage, self.clock),
            account_of=self.account_of,
            endings=self.endings,
            settings=self.settings,
        )
        return Runner(
            database=self.database,
            maker=self.maker,
            owners=self.owners,
            endings=self.endings,
            closing=closing,
            bell=bell or self.bell,
            settings=self.settings,
            concurrency=concurrency,
            now_us=self.clock,
        )

    @asynccontextmanager
    async def running(self, concurrency: int = 1) -> AsyncIterator[Runner]:
        await self.database.listen(self.bell.hear)
        async with self.running_with(self.bell, concurrency) as runner:
            yield runner

    @asynccontextmanager
    async def running_with(self, bell: Bell, concurrency: int = 1) -> AsyncIterator[Runner]:
        """With the bell of another shop, which listens already."""
        runner = self.runner(concurrency, bell)
        await runner.start()
        try:
            yield runner
        finally:
            await runner.stop()

    async def accept(
        self,
        *priorities: int,
        caller: Principal | None = None,
        body: Mapping[str, Any] = BODY,
        name: Any = None,
        note: Callable[[Standing], None] = lambda standing: None,
    ) -> list[str]:
        """Queue a job of each priority through the desk; return their ids."""
        wanted = [Wanted(dict(body), priority) for priority in priorities]
        accepted = await self.desk.accept(wanted, caller or principal(), name=name, note=note)
        return list(accepted.job_ids)

    async def enqueue(self, *priorities: int, key_id: str = "key0") -> list[str]:
        """Put jobs into the table, of which the ledger knows nothing."""
        new = [table.NewJob(f"job-{next(self.names)}", priority, dict(BODY)) for priority in priorities]
        await self.database.write(
            lambda connection: table.enqueue(
                connection, key_id, key_id, new, aging_s=self.settings.aging_s, now_us=self.clock
            )
        )
        return [job.job_id for job in new]

    async def claim(self, worker: str = "w1", at_most: int = 1, except_keys: Sequence[str] = ()) -> list[Claim]:
        return await self.database.write(
            lambda connection: table.claim(
                connection, worker, at_most=at_most, lease_s=LEASE_S, now_us=self.clock, except_keys=except_keys
            )
        )

    async def claimed(self, worker: str = "w1") -> Claim:
        [claim] = await self.claim(worker)
        return claim

    async def done(self, claim: Claim, object_name: str = "picture") -> bool:
        result = {"content_type": "image/jpeg", "meta": {}}
        account = self.account_of(principal(claim.key_id))
        return await self.database.write(
            lambda connection: self.endings.done(connection, claim, account, result, object_name)
        )

    async def reap(self) -> list[str]:
        return await self.database.write(
            lambda connection: self.endings.reap(connection, max_attempts=self.settings.max_attempts)
        )

    async def row(self, job_id: str) -> Row[Any]:
        row = await self.database.read(lambda connection: reading.get(connection, job_id))
        assert row is not None
        return row

    async def status(self, job_id: str) -> str:
        return str((await self.row(job_id)).status)

    async def until_row(self, job_id: str, has: Callable[[Row[Any]], bool]) -> None:
        while not has(await self.row(job_id)):  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def until_final(self, *job_ids: str) -> list[Row[Any]]:
        return [(await self.desk.wait(job_id, 30)).row for job_id in job_ids]

    async def credits(self, account_id: str = "key0") -> tuple[int, int]:
        """Reserved and settled: what the counters say, checked against the ledger's rows and the jobs."""

        def work(connection: Connection) -> tuple[int, int]:
            states = list(connection.execute(select(ledger.c.state).where(ledger.c.key_id == account_id)).scalars())
            by_job = list(connection.execute(select(jobs.c.status).where(jobs.c.account_id == account_id)).scalars())
            counted = connection.execute(
                select(key_usage.c.reserved, key_usage.c.settled).where(key_usage.c.key_id == account_id)
            ).one_or_none()
            reserved, settled = counted or (0, 0)
            assert (reserved, settled) == (states.count("reserved"), states.count("settled"))
            assert reserved == by_job.count("queued") + by_job.count("running")
            assert settled == by_job.count("done")
            return reserved, settled

        return await self.database.read(work)

    def pictures(self) -> set[str]:
        """Names of all objects in the storage."""
        return {path.name for path in self.directory.rglob("*") if path.is_file()}
