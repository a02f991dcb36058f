"""Forgets final jobs, their pictures and their webhooks' deliveries when they have been kept for long enough."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from calotype.database import Database
from calotype.database.clock import NowUs
from calotype.jobs import table
from calotype.jobs.table import Expired
from calotype.storage import Storage
from calotype.webhooks import table as deliveries

_log = structlog.get_logger(__name__)

_EVERY_S = 60.0
_AT_ONCE = 500


class Retention:
    """`start()` and `stop()`; `sweep()` does it now."""

    def __init__(self, database: Database, storage: Storage, *, retention_s: float, now_us: NowUs) -> None:
        self._database = database
        self._storage = storage
        self._retention_s = retention_s
        self._now_us = now_us
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="job-retention")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self) -> None:
        """Forget all that is due. Raises what database and storage raise; the next sweep goes on."""
        while True:
            gone, old_deliveries = await self._database.write(self._forget)
            for job in gone:
                if job.object_name is not None:
                    await self._storage.delete(job.object_name)
            if len(gone) < _AT_ONCE and old_deliveries < _AT_ONCE:
                return

    def _forget(self, connection: Connection) -> tuple[list[Expired], int]:
        kept_s, now_us = self._retention_s, self._now_us
        return (
            table.expire(connection, retention_s=kept_s, at_most=_AT_ONCE, now_us=now_us),
            deliveries.expire(connection, older_than_s=kept_s, at_most=_AT_ONCE, now_us=now_us),
        )

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except (SQLAlchemyError, OSError) as error:
                _log.error("jobs_not_expired", exc_info=error)
            await asyncio.sleep(min(_EVERY_S, self._retention_s))
