"""The connection to the database, transactions, and bringing its tables up to date.

SQLite is one file with one connection, through which everything goes in turn: with eight, p99 was 181 ms instead of 33
(design, section 2). Other databases come by URL.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from calotype.errors import CalotypeError

HEAD_REVISION = "0001"
"""The newest migration. A database that is there already is not worth importing Alembic for (100 ms at each start)."""

_DRIVERS = {"sqlite": "sqlite+aiosqlite"}
_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a credit that was counted stays counted, whatever the power does
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",  # ms; the command line writes to a running server's file
)


class DatabaseUnusable(CalotypeError):
    """The URL is of a database that this version can't use; the message names the fix."""


class Database:
    """`await open()`, then `transaction()`, then `await close()`."""

    def __init__(self, url: str) -> None:
        self._url = _driver_url(url)
        self._engine: AsyncEngine | None = None

    @property
    def engine(self) -> AsyncEngine:
        assert self._engine is not None, "the database is not open"  # noqa: S101
        return self._engine

    async def open(self) -> None:
        """Make the engine, and for SQLite the file, readable by its owner alone. Connects at first use."""
        if self._is_sqlite:
            _make_private_file(Path(self._url.database or ""))
            self._engine = create_async_engine(self._url, pool_size=1, max_overflow=0)
            event.listen(self._engine.sync_engine, "connect", _configure_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)
        else:  # pragma: no cover - no driver is installed yet
            self._engine = create_async_engine(self._url, pool_pre_ping=True)

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection]:
        """A connection in a transaction: committed at the end of the block, rolled back on an error.

        On SQLite it holds the write lock from its start, so that what it has read can't change before it writes.
        """
        async with self.engine.begin() as connection:
            yield connection

    async def ping(self) -> None:
        """Ask the database something. Any exception means that it is not there."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def migrate(self) -> None:
        """Bring the tables to `HEAD_REVISION`; of several processes that try at once, one does it."""
        async with self.transaction() as connection:
            await connection.run_sync(_upgrade)

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"


def _driver_url(url: str) -> URL:
    parsed = make_url(url)
    driver = _DRIVERS.get(parsed.get_backend_name())
    if driver is None:
        raise DatabaseUnusable(
            f"CALOTYPE_DATABASE__URL: {parsed.get_backend_name()} is not supported yet; use sqlite:///path/to/file.db."
        )
    return parsed.set(drivername=driver)


def _make_private_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _configure_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own; `_begin_sqlite` does
    cursor = connection.cursor()
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(connection: Connection) -> None:
    if _revision(connection) == HEAD_REVISION:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "calotype:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
