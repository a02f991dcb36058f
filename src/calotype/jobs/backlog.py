"""What waits in the database, for `/metrics`: counted by index, and not again for some seconds, however many ask."""

from __future__ import annotations

import asyncio
import time

import structlog
from sqlalchemy import Connection, func, select

from calotype.database import Database
from calotype.database.clock import NOW, NowUs
from calotype.schema import PENDING, QUEUED, RUNNING, jobs, webhook_deliveries
from calotype.telemetry.figures import Backlog

_log = structlog.get_logger(__name__)

_HOLDS_S = 5.0
_ANSWER_TIMEOUT_S = 2.0


def backlog_of(connection: Connection, now_us: NowUs) -> Backlog:
    """Count what is not final: rows that end are the many, and no index entry of theirs is read."""
    column = jobs.c
    queued, first = connection.execute(
        select(func.count(), func.min(column.number)).where(column.status == QUEUED)
    ).one()
    age_us = select(NOW - column.created_us).where(column.number == first)
    oldest_us = connection.execute(age_us, {"now_us": now_us(connection)}).scalar() if queued else 0
    running = connection.execute(select(func.count()).where(column.status == RUNNING)).scalar_one()
    rows = webhook_deliveries.c
    pending = connection.execute(select(func.count()).where(rows.status == PENDING)).scalar_one()
    return Backlog(queued, running, max(0, oldest_us or 0) / 1_000_000, pending)


class BacklogWatch:
    """`look()` whenever the backlog is wanted."""

    def __init__(self, database: Database, now_us: NowUs, *, holds_s: float = _HOLDS_S) -> None:
        self._database = database
        self._now_us = now_us
        self._holds_s = holds_s
        self._latest: Backlog | None = None
        self._looked_s = float("-inf")
        self._lock = asyncio.Lock()

    async def look(self) -> Backlog | None:
        """The backlog, as of a few seconds ago at most; None: the database does not say."""
        async with self._lock:
            if time.monotonic() - self._looked_s > self._holds_s:
                self._latest = await self._read()
                self._looked_s = time.monotonic()
            return self._latest

    async def _read(self) -> Backlog | None:
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                return await self._database.read(lambda connection: backlog_of(connection, self._now_us))
        except Exception as error:  # whatever a driver raises
            _log.warning("backlog_unknown", error=repr(error))
            return None
