"""PostgreSQL, by psycopg: a pool of connections.

Each question to it is a round trip, and most of what a capture waits for in the database is these. So transactions are
begun by us (one question where driver and SQLAlchemy would need two), work that is one statement does without, and a
connection from the pool is asked whether it still lives only if its socket gives reason to.
"""

from __future__ import annotations

import asyncio
import select
from typing import Any, cast

import psycopg
import structlog
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import create_async_engine

from calotype.database import NOTICE_CHANNEL, Hear, T, Work

_log = structlog.get_logger(__name__)

_CONNECTIONS = 8
_LISTEN_AGAIN_S = 1.0
# libpq's names; else a machine that vanishes without a word is noticed after the kernel's 2 hours, by who only listens.
_DEAD_AFTER_30_S = {
    "keepalives_idle": "10",  # seconds, as the next
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",  # ms that what was sent may stay unacknowledged
}
_READ_ONLY = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresEngine:
    """The pool, and one more connection to listen on."""

    def __init__(self, url: URL) -> None:
        url = url.set(query={**_DEAD_AFTER_30_S, **url.query})
        self._url = url
        self._listener: asyncio.Task[None] | None = None
        # AUTOCOMMIT: neither psycopg nor SQLAlchemy begins a transaction. What we begin, they do commit and roll back.
        self._engine = create_async_engine(
            url, pool_size=_CONNECTIONS, max_overflow=0, isolation_level="AUTOCOMMIT", pool_use_lifo=True
        )
        dialect: Any = self._engine.dialect

        def check(connection: Any, record: object, proxy: object) -> None:
            """Called when a connection is taken from the pool; SQLAlchemy connects anew if this raises."""
            if not _has_something_to_read(connection.driver_connection):
                return
            try:  # it may be a notice
                dialect.do_ping(connection)
            except dialect.loaded_dbapi.Error as error:
                raise DisconnectionError("the server has closed the connection") from error

        event.listen(self._engine.sync_engine, "checkout", check)

    async def open(self) -> None:
        try:
            async with self._engine.connect():
                pass
        except BaseException:
            await self._engine.dispose()
            raise

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        await self._engine.dispose()

    async def write(self, work: Work[T], *, autocommit: bool) -> T:
        return await self._run(work, None if autocommit else "BEGIN")

    async def read(self, work: Work[T], *, autocommit: bool) -> T:
        return await self._run(work, None if autocommit else _READ_ONLY)

    async def listen(self, hear: Hear) -> None:
        is_listening = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(hear, is_listening), name="database-listener")
        await is_listening.wait()

    async def _listen(self, hear: Hear, is_listening: asyncio.Event) -> None:
        dsn = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {NOTICE_CHANNEL}")
                    hear(None)
                    is_listening.set()
                    async for notice in connection.notifies():
                        hear(notice.payload)
            except psycopg.Error as error:
                _log.warning("database_listener_lost", error=str(error).strip())
            await asyncio.sleep(_LISTEN_AGAIN_S)

    async def _run(self, work: Work[T], begin: str | None) -> T:
        if begin is None:
            async with self._engine.connect() as connection:
                return await connection.run_sync(work)

        def run(connection: Connection) -> T:
            connection.exec_driver_sql(begin)
            return work(connection)

        async with self._engine.begin() as connection:
            return await connection.run_sync(run)


def _has_something_to_read(driver_connection: Any) -> bool:
    """Whether an idle connection's socket has bytes, or the end. A server that stops or dies closes it."""
    if driver_connection.closed:
        return True
    poll = select.poll()
    poll.register(cast("int", driver_connection.fileno()), select.POLLIN)
    return bool(poll.poll(0))
