"""The connection to the database, transactions, and bringing its tables up to date.

SQLite is one file with one connection, through which everything goes in turn: with eight, p99 was 181 ms instead of 33
(design, section 2). So a block of `transaction()` or `reading()` must not open a second one inside. Other databases
come by URL.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from calotype.errors import CalotypeError

HEAD_REVISION = "0001"
"""The newest migration. A database that is there already is not worth importing Alembic for (100 ms at each start)."""

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_SQLITE_PRAGMAS = (
    "PRAGMA busy_timeout=10000",  # ms; the command line writes to a running server's file
    "PRAGMA journal_mode=WAL",  # kept in the file; here for one that somebody else made
    "PRAGMA synchronous=FULL",  # a credit that was counted stays counted, whatever the power does
    "PRAGMA foreign_keys=ON",
)
_WRITES = "calotype_writes"
"""Execution option of a connection whose transaction takes SQLite's write lock at its start."""


class DatabaseUnusable(CalotypeError):
    """The database is one that this installation can't use; the message names the fix."""


class Database:
    """`await open()`, then `transaction()` and `reading()`, then `await close()`."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            DatabaseUnusable: the URL is wrong, or its driver is not installed.
        """
        self._url = _driver_url(url)
        self._engine: AsyncEngine | None = None

    @property
    def engine(self) -> AsyncEngine:
        assert self._engine is not None, "the database is not open"  # noqa: S101
        return self._engine

    async def open(self) -> None:
        """Connect. A SQLite file that is not there is made, readable by its owner alone.

        Raises:
            OSError, SQLAlchemyError: there is no getting at the database; nothing is left open.
        """
        is_sqlite = self._url.get_backend_name() == "sqlite"
        engine = await _sqlite_engine(self._url) if is_sqlite else create_async_engine(self._url, pool_pre_ping=True)
        try:
            async with engine.connect():
                self._engine = engine
        except BaseException:
            await engine.dispose()
            raise

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection]:
        """A connection in a transaction: committed at the end of the block, rolled back on an error.

        On SQLite it holds the write lock from its start, so that what it has read can't change before it writes.
        """
        async with self.engine.connect() as connection:
            await connection.execution_options(**{_WRITES: True})
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A connection that sees one state of the database, and on SQLite waits for no writer of another process."""
        async with self.engine.connect() as connection, connection.begin():
            yield connection

    async def ping(self) -> None:
        """Ask the database something. Any exception means that it is not there."""
        async with self.reading() as connection:
            # Not `SELECT 1`: SQLite answers that without a look at its file.
            await connection.execute(text("SELECT version_num FROM alembic_version"))

    async def migrate(self) -> None:
        """Bring the tables to `HEAD_REVISION`, all of it or nothing; of several processes that try, one does it.

        Raises:
            DatabaseUnusable: a newer calotype has been here.
        """
        async with self.reading() as connection:
            if await connection.run_sync(_revision) == HEAD_REVISION:
                return
        # On PostgreSQL this needs a lock besides (pg_advisory_xact_lock); on SQLite a transaction is one.
        async with self.transaction() as connection:
            await connection.run_sync(_upgrade)


def _driver_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUnusable(
            "CALOTYPE_DATABASE__URL is not a database URL; write sqlite:///path/to/file.db or postgresql://host/name."
        ) from error
    backend, _, driver = parsed.drivername.partition("+")
    if backend not in _DRIVERS or (driver and parsed.drivername != _DRIVERS[backend]):
        raise DatabaseUnusable(
            f"CALOTYPE_DATABASE__URL: calotype has no {parsed.drivername}; "
            "write sqlite:///path/to/file.db or postgresql://host/name."
        )
    if backend == "sqlite" and (not parsed.database or parsed.database == ":memory:" or parsed.query):
        raise DatabaseUnusable(
            "CALOTYPE_DATABASE__URL: SQLite needs a file, and no parameters: sqlite:///path/to/file.db."
        )
    if backend != "sqlite" and find_spec("psycopg") is None:
        raise DatabaseUnusable(
            "CALOTYPE_DATABASE__URL names PostgreSQL, but its driver is not installed: pip install 'psycopg[binary]'."
        )
    return parsed.set(drivername=_DRIVERS[backend])


async def _sqlite_engine(url: URL) -> AsyncEngine:
    path = await asyncio.to_thread(_make_private_file, url.database or "")

    async def connect() -> aiosqlite.Connection:
        connecting = asyncio.create_task(_connect(path), name="database-connect")
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            await (await connecting).close()  # aiosqlite 0.22, cancelled itself, drops the connection without closing
            raise

    engine = create_async_engine(url, async_creator=connect, pool_size=1, max_overflow=0)
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


async def _connect(path: Path) -> aiosqlite.Connection:
    # `isolation_level=None`: the driver begins no transactions of its own; `_begin_sqlite` does.
    return await aiosqlite.connect(path, isolation_level=None)


def _configure_sqlite(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _make_private_file(name: str) -> Path:
    """Make an empty database in WAL mode, whole from the moment it exists; of several makers at once the first wins.

    Of processes that switch one new file to WAL at the same time, some get `database is locked` at once, whatever the
    busy timeout: 5 of 240 with SQLite 3.40, four at a time, 2026-11-23.
    """
    path = Path(name).expanduser()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        return path
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    os.close(descriptor)
    try:
        with closing(sqlite3.connect(draft)) as connection:
            connection.execute("PRAGMA journal_mode=WAL").close()
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
    return path


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    if _revision(connection) == HEAD_REVISION:
        return  # another process was first
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "calotype:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseUnusable(
            f"The database can't be brought up to date: {error}. Is it of a newer calotype?"
        ) from error
