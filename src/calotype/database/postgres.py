"""PostgreSQL, by psycopg."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from calotype.database import T, Work

_CONNECTIONS = 8


class PostgresEngine:
    """A pool of connections."""

    def __init__(self, url: URL) -> None:
        self._engine = create_async_engine(url, pool_size=_CONNECTIONS, max_overflow=0, pool_pre_ping=True)

    async def open(self) -> None:
        try:
            async with self._engine.connect():
                pass
        except BaseException:
            await self._engine.dispose()
            raise

    async def close(self) -> None:
        await self._engine.dispose()

    async def write(self, work: Work[T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def read(self, work: Work[T]) -> T:
        def unchanging(connection: Connection) -> T:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return work(connection)

        async with self._engine.connect() as connection:
            return await connection.run_sync(unchanging)
