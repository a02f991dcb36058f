"""Forgets jobs and their webhooks' deliveries that have been kept long enough, and names their pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, and_, delete, select

from calotype.database import Database
from calotype.database.clock import NOW, NowUs
from calotype.schema import DONE, FINAL, jobs
from calotype.storage import Storage
from calotype.webhooks import table as deliveries

_log = structlog.get_logger(__name__)

_EVERY_S = 60.0
_AT_ONCE = 500
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Expired:
    """A job that has been kept long enough."""

    number: int
    job_id: str
    attempts: int
    is_done: bool

    @property
    def object_names(self) -> list[str]:
        """All that its tries may have stored, but for the cache's copy of a job that is done: that is the cache's."""
        names = [picture_name(self.job_id, attempt) for attempt in range(1, self.attempts + 1)]
        return names if self.is_done else names + [copy_name(name) for name in names]


def picture_name(job_id: str, attempt: int) -> str:
    """Of one try's picture: of two that believe they run a job, each writes its own.

    A number is given twice only to tries that did not get as far as a picture: others count.
    """
    return f"{job_id}-{attempt}"


def copy_name(object_name: str) -> str:
    """Of a picture's copy for the result cache, as job and cache forget theirs at different times."""
    return f"{object_name}-cache"


def expired_jobs(connection: Connection, *, retention_s: float, at_most: int, now_us: NowUs) -> list[Expired]:
    """Final jobs older than `retention_s`."""
    column = jobs.c
    ended = and_(column.status.in_(FINAL), column.finished_us < NOW - round(retention_s * _SECOND_US))
    query = select(column.number, column.id, column.attempts, column.status == DONE).where(ended).limit(at_most)
    return [Expired(*row) for row in connection.execute(query, {"now_us": now_us(connection)})]


def forget_jobs(connection: Connection, old: Collection[Expired]) -> None:
    """Delete what `expired_jobs` has given, whose pictures are gone."""
    connection.execute(delete(jobs).where(jobs.c.number.in_([each.number for each in old])))


class Expiry:
    """`start()`, `stop()`."""

    def __init__(self, *, database: Database, storage: Storage, retention_s: float, now_us: NowUs) -> None:
        self._database = database
        self._storage = storage
        self._retention_s = retention_s
        self._now_us = now_us
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="job-expirer")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def expire(self) -> int:
        """Forget a number of jobs and deliveries; return how many of the more.

        The pictures go first: who dies in between leaves rows, which name them, and not pictures that nobody knows.
        They are those of all tries, as a worker may have died between storing one and saying so.
        """
        old = await self._database.read(
            lambda connection: expired_jobs(
                connection, retention_s=self._retention_s, at_most=_AT_ONCE, now_us=self._now_us
            )
        )
        for job in old:
            for object_name in job.object_names:
                await self._storage.delete(object_name)

        def forget(connection: Connection) -> int:
            if old:
                forget_jobs(connection, old)
            return deliveries.expire(connection, older_than_s=self._retention_s, at_most=_AT_ONCE, now_us=self._now_us)

        return max(len(old), await self._database.write(forget))

    async def _run(self) -> None:
        while True:
            try:
                number = await self.expire()
            except Exception as error:  # whatever a driver raises
                _log.error("jobs_not_expired", exc_info=error)
                number = 0
            if number < _AT_ONCE:
                await asyncio.sleep(min(_EVERY_S, self._retention_s))
