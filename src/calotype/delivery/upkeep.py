"""Keeps alive what this server's captures hold in the database, and sweeps back what dead servers have left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from sqlalchemy import Connection

from calotype.accounts import ledger
from calotype.database import Database
from calotype.database.clock import NowUs
from calotype.delivery import answers
from calotype.storage import Storage

_log = structlog.get_logger(__name__)
_EXPIRE_AT_ONCE = 200
_STORAGE_EVERY_S = 3_600.0


class Upkeep:
    """`start()`, `hold` and `release`, `stop()`."""

    def __init__(self, database: Database, storage: Storage, *, lease_s: float, now_us: NowUs) -> None:
        self.lease_s = lease_s
        self._database = database
        self._storage = storage
        self._now_us = now_us
        self._held: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Sweep now, and from time to time."""
        await self.sweep()
        self._tasks = [
            asyncio.create_task(self._run(), name="desk-upkeep"),
            asyncio.create_task(self._run_storage(), name="storage-upkeep"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self, request_id: str) -> None:
        """Extend the request's reservation and claims, if it has any, until `release`."""
        self._held.add(request_id)

    def release(self, request_id: str) -> None:
        self._held.discard(request_id)

    async def extend(self) -> None:
        held = list(self._held)

        def work(connection: Connection) -> None:
            ledger.extend(connection, held, lease_s=self.lease_s, now_us=self._now_us)
            answers.extend(connection, held, lease_s=self.lease_s, now_us=self._now_us)

        if held:
            await self._database.write(work)

    async def sweep(self) -> None:
        def work(connection: Connection) -> tuple[int, list[str]]:
            swept = ledger.sweep(connection, now_us=self._now_us)
            return swept, answers.expire(connection, now_us=self._now_us, at_most=_EXPIRE_AT_ONCE)

        swept, object_names = await self._database.write(work)
        if swept:
            _log.warning("reservations_swept", number=swept)
        await self.delete(object_names)

    async def delete(self, object_names: Iterable[str]) -> None:
        """Delete pictures that no row names."""
        for object_name in object_names:
            try:
                await self._storage.delete(object_name)
            except OSError as error:
                _log.warning("picture_not_deleted", object_name=object_name, error=repr(error))

    async def sweep_storage(self) -> None:
        """Delete what was being written when its writer died."""
        try:
            number = await self._storage.sweep()
        except OSError as error:
            _log.warning("storage_not_swept", error=repr(error))
        else:
            if number:
                _log.warning("drafts_swept", number=number)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.lease_s / 3)
            try:
                await self.extend()
                await self.sweep()
            except Exception as error:
                _log.error("desk_upkeep_failed", exc_info=error)

    async def _run_storage(self) -> None:
        while True:  # a task of its own: it reads every directory
            await self.sweep_storage()
            await asyncio.sleep(_STORAGE_EVERY_S)
