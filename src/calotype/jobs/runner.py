"""Runs jobs: takes the next ones, keeps them alive, stores what they give, and ends them.

One loop claims jobs while there is a place free, woken by notices and by the next time at which one is due. A second
keeps the claims alive and takes up what dead workers have left. A process that is killed leaves claims, and nothing
else, behind.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Protocol

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from calotype.accounts.keys import Principal
from calotype.accounts.ledger import Account
from calotype.capture.result import CaptureResult
from calotype.database import Database
from calotype.database.clock import NowUs
from calotype.errors import ApiKeyInvalid, CalotypeError, InternalError, Overloaded, ShuttingDown
from calotype.jobs import table
from calotype.jobs.bell import Bell
from calotype.jobs.endings import Endings
from calotype.jobs.making import Maker
from calotype.jobs.table import Claim, Overdue
from calotype.settings import JobSettings
from calotype.storage import Storage

_log = structlog.get_logger(__name__)

_LOOK_AGAIN_S = 30.0  # a notice may get lost, and on SQLite other processes tell nothing
_BUSY_PAUSE_S = 1.0


class Owners(Protocol):
    """Knows for whom jobs are run; `accounts.keys.KeyRing` is the real one."""

    async def owner(self, key_id: str) -> Principal | None: ...


class Runner:
    """`start()`, `drain()` to take no more and end those that run, `stop()`."""

    def __init__(
        self,
        *,
        database: Database,
        storage: Storage,
        maker: Maker,
        owners: Owners,
        account_of: Callable[[Principal], Account],
        endings: Endings,
        bell: Bell,
        settings: JobSettings,
        concurrency: int,
        now_us: NowUs,
    ) -> None:
        self._database = database
        self._storage = storage
        self._maker = maker
        self._owners = owners
        self._account_of = account_of
        self._endings = endings
        self._settings = settings
        self._concurrency = concurrency
        self._now_us = now_us
        self._worker = secrets.token_hex(8)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._unwanted: set[str] = set()
        self._limited: dict[str, tuple[str, int]] = {}
        """Of each job here whose key may have only so many running: the key, and how many."""
        self._woken = asyncio.Event()
        self._is_draining = False
        self._taker: asyncio.Task[None] | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._errands: set[asyncio.Task[None]] = set()
        bell.on_queued = self._woken.set
        bell.on_cancel = self._cancel

    @property
    def is_ready(self) -> bool:
        """Whether its loops run. None ends but by a fault that nobody has foreseen."""
        return bool(self._loops) and not any(task.done() for task in self._loops)

    @property
    def running(self) -> int:
        return len(self._running)

    async def start(self) -> None:
        self._taker = asyncio.create_task(self._take(), name="job-taker")
        self._loops = [
            self._taker,
            asyncio.create_task(self._keep(), name="job-keeper"),
        ]

    async def drain(self, grace_s: float) -> None:
        """Take no more jobs, give those that run `grace_s` seconds, and queue the rest again."""
        self._is_draining = True
        self._woken.set()
        if self._taker is not None:
            await asyncio.gather(self._taker, return_exceptions=True)  # it may be claiming one
        running = set(self._running.values())
        if running:
            _, overdue = await asyncio.wait(running, timeout=grace_s)
            for task in overdue:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def stop(self) -> None:
        await self.drain(0)
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, *self._errands, return_exceptions=True)

    async def _take(self) -> None:
        while not self._is_draining:
            self._woken.clear()
            wait_s = _LOOK_AGAIN_S
            if len(self._running) < self._concurrency:
                try:
                    claim, wait_s = await self._claim()
                except SQLAlchemyError as error:
                    _log.error("jobs_not_taken", exc_info=error)
                    wait_s = _BUSY_PAUSE_S
                else:
                    if claim is not None:
                        self._run(claim)
                        continue
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _claim(self) -> tuple[Claim | None, float]:
        """The next job, or how long there is none."""
        full = [key_id for (key_id, most), number in Counter(self._limited.values()).items() if number >= most]

        def work(connection: Connection) -> tuple[list[Claim], int | None]:
            claims = table.claim(
                connection,
                self._worker,
                at_most=1,
                lease_s=self._settings.lease_s,
                now_us=self._now_us,
                except_keys=full,
            )
            return claims, None if claims else table.next_due_in_us(connection, self._now_us)

        claims, due_in_us = await self._database.write(work)
        if claims:
            return claims[0], 0
        if due_in_us is None or due_in_us <= 0:  # none waits, or only those of keys that are at their limit
            return None, _LOOK_AGAIN_S
        return None, min(_LOOK_AGAIN_S, due_in_us / 1_000_000)

    def _run(self, claim: Claim) -> None:
        task = asyncio.create_task(self._carry_out(claim), name=f"job-{claim.job_id}")
        self._running[claim.job_id] = task
        task.add_done_callback(lambda _: self._left(claim))

    def _left(self, claim: Claim) -> None:
        del self._running[claim.job_id]
        self._unwanted.discard(claim.job_id)
        self._limited.pop(claim.job_id, None)
        self._woken.set()

    async def _carry_out(self, claim: Claim) -> None:
        log = _log.bind(job_id=claim.job_id, attempt=claim.attempts)
        started = time.monotonic()
        try:
            outcome = await self._try(claim)
        except asyncio.CancelledError:
            outcome = await self._end_cancelled(claim)
        except Exception as error:
            log.error("job_not_ended", exc_info=error)  # its lease will end, and it be tried again
            return
        log.info("job_tried", outcome=outcome, elapsed_ms=round((time.monotonic() - started) * 1000))

    async def _try(self, claim: Claim) -> str:
        owner = await self._owners.owner(claim.key_id)
        if owner is None:
            return await self._end_failed(claim, ApiKeyInvalid("The job's API key was revoked."))
        if (most := owner.plan.max_concurrency) is not None:
            self._limited[claim.job_id] = (claim.key_id, most)
        try:
            result = await self._maker.make(claim, owner)
        except CalotypeError as error:
            return await self._end_failed(claim, error)
        except Exception as error:
            _log.error("job_failed_inside", exc_info=error, job_id=claim.job_id)
            return await self._end_failed(claim, InternalError())
        return await self._end_done(claim, owner, result)

    async def _end_done(self, claim: Claim, owner: Principal, result: CaptureResult) -> str:
        object_name = _object_name(claim.job_id, claim.attempts)
        content = {"content_type": result.content_type, "meta": result.meta.model_dump(mode="json")}
        account = self._account_of(owner)
        try:
            await self._storage.put(object_name, result.image, content_type=result.content_type)
        except OSError as error:
            _log.error("job_not_stored", exc_info=error, job_id=claim.job_id)
            return await self._end_failed(claim, InternalError())
        is_ours = await self._database.write_surely(
            lambda connection: self._endings.done(connection, claim, account, content, object_name)
        )
        if is_ours:
            await self._delete_pictures(claim.job_id, range(1, claim.attempts))
            return "done"
        await self._storage.delete(object_name)  # we were believed dead, and another has run it
        return "lost"

    async def _end_failed(self, claim: Claim, error: CalotypeError) -> str:
        if isinstance(error, ShuttingDown | Overloaded):  # not the job's fault
            await self._again(claim, after_s=_BUSY_PAUSE_S, is_counted=False)
            return "again"
        if error.spec.retryable and claim.attempts < self._settings.max_attempts:
            pause_s = self._settings.retry_pause_s * 2 ** (claim.attempts - 1)
            await self._again(claim, after_s=pause_s, error=error)
            return f"{error.code}, again"
        await self._database.write_surely(
            lambda connection: self._endings.failed(connection, claim.job_id, claim.token, error)
        )
        await self._delete_pictures(claim.job_id, range(1, claim.attempts + 1))
        return error.code

    async def _end_cancelled(self, claim: Claim) -> str:
        """Nobody wants it any more, or this process stops."""
        if claim.job_id in self._unwanted:
            outcome = "cancelled"
            is_ended = await self._database.write_surely(
                lambda connection: self._endings.cancelled(connection, claim.job_id, claim.token)
            )
        else:
            outcome = "again"
            is_ended = await self._again(claim, after_s=0, is_counted=False)
        if is_ended:
            await self._delete_pictures(claim.job_id, range(1, claim.attempts + 1))
        return outcome

    async def _again(
        self, claim: Claim, *, after_s: float, error: CalotypeError | None = None, is_counted: bool = True
    ) -> bool:
        return await self._database.write_surely(
            lambda connection: self._endings.again(
                connection, claim.token, after_s=after_s, error=error, is_counted=is_counted
            )
        )

    def _cancel(self, job_id: str | None) -> None:
        if job_id is None:
            self._spawn(self._look_for_cancelled())
        elif (task := self._running.get(job_id)) is not None and job_id not in self._unwanted:
            self._unwanted.add(job_id)
            task.cancel()

    async def _look_for_cancelled(self) -> None:
        for job_id in await self._database.read(lambda connection: table.cancel_requested(connection, self._worker)):
            self._cancel(job_id)

    async def _keep(self) -> None:
        while True:
            try:
                dead = await self._database.write(self._tend)
                for job in dead:
                    _log.warning("job_of_dead_worker", job_id=job.job_id, attempts=job.attempts)
                    await self._delete_pictures(job.job_id, range(1, job.attempts + 1))
            except (SQLAlchemyError, OSError) as error:
                _log.error("jobs_not_kept", exc_info=error)
            await asyncio.sleep(self._settings.lease_s / 3)

    async def _delete_pictures(self, job_id: str, attempts: Iterable[int]) -> None:
        """Of tries that were not the one: killed or cancelled between storing a picture and saying so."""
        for attempt in attempts:
            await self._storage.delete(_object_name(job_id, attempt))

    def _tend(self, connection: Connection) -> list[Overdue]:
        if self._running:
            table.extend(connection, self._worker, lease_s=self._settings.lease_s, now_us=self._now_us)
        return self._endings.reap(connection, max_attempts=self._settings.max_attempts)

    def _spawn(self, errand: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(errand, name="job-errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


def _object_name(job_id: str, attempt: int) -> str:
    """Of a try's picture: of two that believe they run a job, each writes its own."""
    return f"{job_id}-{attempt}"
