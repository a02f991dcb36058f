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
from functools import partial
from typing import NamedTuple, Protocol

import structlog
from sqlalchemy import Connection

from calotype.accounts.keys import Principal
from calotype.database import Database
from calotype.database.clock import NowUs
from calotype.errors import ApiKeyInvalid, CalotypeError, InternalError
from calotype.jobs import table
from calotype.jobs.bell import Bell
from calotype.jobs.closing import BUSY_PAUSE_S, Closing
from calotype.jobs.endings import Endings
from calotype.jobs.making import Made, Maker
from calotype.jobs.table import Claim
from calotype.settings import JobSettings
from calotype.telemetry import Telemetry
from calotype.telemetry.traces import Span, logged

_log = structlog.get_logger(__name__)

_KINDS = {"done": "done", "lost": "lost", "again": "again", "cancelled or again": "stopped"}
_LOOK_AGAIN_S = 30.0  # a notice may get lost, and on SQLite other processes tell nothing


class Owners(Protocol):
    """Knows for whom jobs are run; `accounts.keys.KeyRing` is the real one."""

    async def owner(self, key_id: str) -> Principal | None: ...


class _Run(NamedTuple):
    making: asyncio.Task[Made]
    carrying: asyncio.Task[None]


class Runner:
    """`start()`, `drain()` to take no more and end those that run, `stop()`."""

    def __init__(
        self,
        *,
        database: Database,
        maker: Maker,
        owners: Owners,
        endings: Endings,
        closing: Closing,
        bell: Bell,
        settings: JobSettings,
        concurrency: int,
        now_us: NowUs,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._database = database
        self._maker = maker
        self._owners = owners
        self._endings = endings
        self._closing = closing
        self._settings = settings
        self.concurrency = concurrency
        self._now_us = now_us
        self._telemetry = telemetry or Telemetry()
        self._worker = secrets.token_hex(8)
        self._running: dict[Claim, _Run] = {}
        self._limited: dict[Claim, tuple[str, int]] = {}
        """Of each job here whose key may have only so many running: the key, and how many."""
        self._cancelled_early: set[str] = set()
        """Jobs that were cancelled while this process may have been claiming them."""
        self._woken = asyncio.Event()
        self._looked = asyncio.Event()
        """Set when there is reason to look at the claims at once."""
        self._is_draining = False
        self._taker: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        bell.on_queued = self._woken.set
        bell.on_cancel = self._cancel

    @property
    def is_ready(self) -> bool:
        """Whether its loops run. None ends but by a fault that nobody has foreseen."""
        return all(task is not None and not task.done() for task in (self._taker, self._keeper))

    @property
    def running(self) -> int:
        return len(self._running)

    async def start(self) -> None:
        self._taker = asyncio.create_task(self._take(), name="job-taker")
        self._keeper = asyncio.create_task(self._keep(), name="job-keeper")

    async def drain(self, grace_s: float) -> None:
        """Take no more jobs, give those that run `grace_s` seconds, and queue the rest again."""
        end = time.monotonic() + grace_s
        self._is_draining = True
        self._woken.set()
        if self._taker is not None:  # it may have got one more by now
            await asyncio.wait({self._taker}, timeout=grace_s)
        if self._running:
            carrying = {run.carrying for run in self._running.values()}
            await asyncio.wait(carrying, timeout=max(0, end - time.monotonic()))
            await self._give_back()

    async def stop(self) -> None:
        await self.drain(0)
        loops = [task for task in (self._taker, self._keeper) if task is not None]
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await self._give_back()  # what was being claimed all the while

    async def _give_back(self) -> None:
        for run in self._running.values():
            run.making.cancel()
        if carrying := {run.carrying for run in self._running.values()}:
            await asyncio.wait(carrying)

    async def _take(self) -> None:
        while not self._is_draining:
            self._woken.clear()
            wait_s = _LOOK_AGAIN_S
            if len(self._running) < self.concurrency:
                try:
                    claim, wait_s = await self._claim()
                    if claim is not None:
                        self._run(claim, await self._owners.owner(claim.key_id))
                        continue
                except Exception as error:  # whatever a driver raises; a claim that was got is left to its lease
                    _log.error("jobs_not_taken", exc_info=error)
                    wait_s = BUSY_PAUSE_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _claim(self) -> tuple[Claim | None, float]:
        """The next job, or how long there is none."""
        full = [key_id for (key_id, most), number in Counter(self._limited.values()).items() if number >= most]
        self._cancelled_early.clear()

        def work(connection: Connection) -> tuple[list[Claim], int | None]:
            claims = table.claim(
                connection,
                self._worker,
                at_most=1,
                lease_s=self._settings.lease_s,
                now_us=self._now_us,
                except_keys=full,
            )
            return claims, None if claims else table.next_due_in_us(connection, self._now_us, except_keys=full)

        claims, due_in_us = await self._database.write(work)
        if claims:
            return claims[0], 0
        if due_in_us is None:
            return None, _LOOK_AGAIN_S
        if due_in_us <= 0:  # somebody else was about to take it, and may fail to
            return None, BUSY_PAUSE_S
        return None, min(_LOOK_AGAIN_S, due_in_us / 1_000_000)

    def _run(self, claim: Claim, owner: Principal | None) -> None:
        if owner is not None and (most := owner.plan.max_concurrency) is not None:
            self._limited[claim] = (claim.key_id, most)
        told = {"calotype.job.id": claim.job_id, "calotype.job.attempt": claim.attempts}
        with self._telemetry.traces.job(claim.traceparent, told) as span, logged(span):  # both tasks begin within it
            making = asyncio.create_task(self._make(claim, owner), name=f"job-making-{claim.job_id}")
            carrying = asyncio.create_task(self._carry_out(claim, owner, making, span), name=f"job-{claim.job_id}")
        self._running[claim] = _Run(making, carrying)
        carrying.add_done_callback(lambda _: span.end())
        carrying.add_done_callback(lambda _: self._left(claim))
        if claim.job_id in self._cancelled_early:
            self._cancel(claim.job_id)

    def _left(self, claim: Claim) -> None:
        del self._running[claim]
        self._limited.pop(claim, None)
        self._woken.set()

    async def _make(self, claim: Claim, owner: Principal | None) -> Made:
        if owner is None:
            raise ApiKeyInvalid("The job's API key was revoked.")
        return await self._maker.make(claim, owner)

    async def _carry_out(self, claim: Claim, owner: Principal | None, making: asyncio.Task[Made], span: Span) -> None:
        """Wait for the picture, which alone can be cancelled: what then has to be written is written."""
        log = _log.bind(job_id=claim.job_id, attempt=claim.attempts)
        started = time.monotonic()
        await asyncio.wait({making})
        try:
            outcome = await self._end(claim, owner, making)
        except Exception as error:
            log.error("job_not_ended", exc_info=error)  # its lease will end, and it be tried again
            return
        log.info("job_tried", outcome=outcome, elapsed_ms=round((time.monotonic() - started) * 1000))
        self._count(outcome, making, span)

    async def _end(self, claim: Claim, owner: Principal | None, making: asyncio.Task[Made]) -> str:
        if making.cancelled():
            return await self._closing.stopped(claim)
        error = making.exception()
        if error is None and owner is not None:
            return await self._closing.made(claim, owner, making.result())
        if isinstance(error, CalotypeError):
            return await self._closing.failed(claim, error)
        _log.error("job_failed_inside", exc_info=error, job_id=claim.job_id)
        return await self._closing.failed(claim, InternalError())

    def _count(self, outcome: str, making: asyncio.Task[Made], span: Span) -> None:
        kind = _KINDS.get(outcome) or ("again" if outcome.endswith(", again") else "failed")
        self._telemetry.metrics.job_tries.labels(kind).inc()
        span.set({"calotype.outcome": outcome})
        if kind == "failed":
            span.fail(outcome)
        elif kind == "done" and making.result().is_hit:
            self._telemetry.metrics.captures.labels("job", "cached").inc()

    def _cancel(self, job_id: str | None) -> None:
        if job_id is None:
            self._looked.set()
            return
        self._cancelled_early.add(job_id)
        for claim, run in self._running.items():
            if claim.job_id == job_id:
                run.making.cancel()

    async def _keep(self) -> None:
        while True:
            self._looked.clear()
            claims = list(self._running)
            try:
                held, dead = await self._database.write(partial(self._tend, claims))
            except Exception as error:  # whatever a driver raises
                _log.error("jobs_not_kept", exc_info=error)
            else:
                for claim in claims:
                    is_unwanted = held.get(claim, True)  # of one that holds no more: another runs it
                    if is_unwanted and claim in self._running:
                        self._running[claim].making.cancel()
                if dead:
                    _log.warning("jobs_of_dead_workers", number=len(dead), job_ids=dead)
            try:
                async with asyncio.timeout(self._settings.lease_s / 3):
                    await self._looked.wait()
            except TimeoutError:
                pass

    def _tend(self, claims: list[Claim], connection: Connection) -> tuple[dict[Claim, bool], list[str]]:
        held = table.extend(connection, claims, lease_s=self._settings.lease_s, now_us=self._now_us)
        return held, self._endings.reap(connection, max_attempts=self._settings.max_attempts)
