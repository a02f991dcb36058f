"""The database: a SQLite file, or PostgreSQL by its URL, and bringing its tables up to date.

What is done in it is a plain function of a SQLAlchemy connection, which `write` or `read` runs in a transaction of its
own: the same function on both. It must not wait for anything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import Connection, String, bindparam, func, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError

from calotype.errors import CalotypeError

HEAD_REVISION = "0008"
"""The newest migration. A database that is there already is not worth importing Alembic for (100 ms at each start)."""

_AWAY_PAUSES_S = (0.1, 0.5, 1.0, 2.0, 4.0)  # a PostgreSQL that is restarted is back by then
_MIGRATION_LOCK = 0xCA107  # any number; the same for every calotype
_UPGRADE = "Run `calotype db upgrade`."
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}

_log = structlog.get_logger(__name__)

NOTICE_CHANNEL = "calotype"
_NOTICES = "calotype_notices"
_NOTIFY = select(func.pg_notify(NOTICE_CHANNEL, bindparam("notice", type_=String)))

T = TypeVar("T")
Work = Callable[[Connection], T]
Hear = Callable[[str | None], None]
"""Takes a notice; None: some may have been missed, so look for yourself."""


class DatabaseUnusable(CalotypeError):
    """The database is one that this installation can't use; the message names the fix."""


class Engine(Protocol):
    """One kind of database; `SqliteEngine` and `PostgresEngine` are the real ones."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def write(self, work: Work[T], *, autocommit: bool) -> T: ...

    async def read(self, work: Work[T], *, autocommit: bool) -> T: ...

    async def listen(self, hear: Hear) -> None: ...


def notify(connection: Connection, notice: str) -> None:
    """Tell everybody who listens, once the transaction is committed. On PostgreSQL these are all processes on the
    database, on SQLite those in this one. A notice has 7,999 bytes at most."""
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY, {"notice": notice})
    else:
        connection.info.setdefault(_NOTICES, []).append(notice)


def taken_notices(connection: Connection) -> list[str]:
    """What `notify` has noted on a connection that tells nobody by itself, and forget it."""
    return connection.info.pop(_NOTICES, [])


class Database:
    """`await open()`, then `write` and `read`, then `await close()`."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            DatabaseUnusable: the URL is wrong, or its driver is not installed.
        """
        parsed = driver_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._engine = _engine(parsed)

    async def open(self) -> None:
        """Connect. A SQLite file that is not there is made, readable by its owner alone.

        Raises:
            OSError, SQLAlchemyError: there is no getting at the database; nothing is left open.
        """
        await self._engine.open()

    async def close(self) -> None:
        """Finish what has been begun, and disconnect. Safe to call twice."""
        await self._engine.close()

    async def write(self, work: Work[T], *, autocommit: bool = False) -> T:
        """Run the work in a transaction: committed when this returns, undone if the work raises.

        On SQLite it holds the write lock from its start, so that what it has read can't change before it writes. When
        this is cancelled, the work has happened as a whole or not at all.

        Args:
            autocommit: each statement of the work is whole by itself. PostgreSQL is spared the transaction around
                them, and two round trips; on SQLite nothing changes.
        """
        return await self._engine.write(work, autocommit=autocommit)

    async def read(self, work: Work[T], *, autocommit: bool = False) -> T:
        """Run work that only reads, on one state of the database. On SQLite it waits for no writer.

        Args:
            autocommit: each statement may see a state of its own, as for `write`.
        """
        return await self._engine.read(work, autocommit=autocommit)

    async def listen(self, hear: Hear) -> None:
        """Call `hear` with every notice from now on, until this is closed. Once for a database."""
        await self._engine.listen(hear)

    async def write_surely(self, work: Work[T]) -> T:
        """As `write`, tried again for some seconds while the database is away.

        The connection may have broken when the work was done already, so doing it twice must do no harm.
        """
        for pause_s in _AWAY_PAUSES_S:
            try:
                return await self.write(work)
            except (OperationalError, InterfaceError) as error:
                _log.warning("database_away", error=str(error.orig))
                await asyncio.sleep(pause_s)
        return await self.write(work)

    async def ping(self) -> None:
        """Ask the database something. Any exception means that it is not there."""
        await self.read(_version, autocommit=True)

    async def migrate(self) -> None:
        """Bring the tables to `HEAD_REVISION` if that is nobody's decision: in a SQLite file, and where there are none.

        All of it or nothing; of several processes that try, one does it.

        Raises:
            DatabaseUnusable: a newer calotype has been here, or an older one in PostgreSQL, which its other servers
                may be using.
        """
        if await self.read(revision_of) != HEAD_REVISION:
            await self.write(upgrade if self.is_sqlite else _set_up)

    async def upgrade(self) -> str | None:
        """Bring the tables to `HEAD_REVISION`, all of it or nothing; return the revision from before, None for none.

        Raises:
            DatabaseUnusable: a newer calotype has been here.
        """
        return await self.write(upgrade)


def _engine(url: URL) -> Engine:
    # Each is imported for its own kind only: asyncio's half of SQLAlchemy and the driver take time.
    if url.get_backend_name() == "sqlite":
        from calotype.database.sqlite import SqliteEngine

        return SqliteEngine(url)
    from calotype.database.postgres import PostgresEngine

    return PostgresEngine(url)


def driver_url(url: str, *, name: str = "CALOTYPE_DATABASE__URL") -> URL:
    """Read a database's URL.

    Args:
        name: what the operator knows it by.

    Raises:
        DatabaseUnusable: it is wrong, or its driver is not installed.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUnusable(
            f"{name} is not a database URL; write sqlite:///path/to/file.db or postgresql://host/name."
        ) from error
    backend, _, driver = parsed.drivername.partition("+")
    if backend not in _DRIVERS or (driver and parsed.drivername != _DRIVERS[backend]):
        raise DatabaseUnusable(
            f"{name}: calotype has no {parsed.drivername}; write sqlite:///path/to/file.db or postgresql://host/name."
        )
    if backend == "sqlite" and (not parsed.database or parsed.database == ":memory:" or parsed.query):
        raise DatabaseUnusable(f"{name}: SQLite needs a file, and no parameters: sqlite:///path/to/file.db.")
    if backend != "sqlite" and find_spec("psycopg") is None:
        raise DatabaseUnusable(
            f"{name} names PostgreSQL, but its driver is not installed: pip install 'psycopg[binary]'."
        )
    if backend != "sqlite":  # a database without an encoding, as made where there is no locale, has none to offer
        parsed = parsed.update_query_dict({"client_encoding": "utf8"})
    return parsed.set(drivername=_DRIVERS[backend])


def _version(connection: Connection) -> str | None:
    # Not `SELECT 1`: SQLite answers that without a look at its file.
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def revision_of(connection: Connection) -> str | None:
    """The newest migration that was applied; None: there are no tables."""
    return _version(connection) if inspect(connection).has_table("alembic_version") else None


def require_head(revision: str | None) -> None:
    """
    Raises:
        DatabaseUnusable: it is another revision than this version needs.
    """
    if reason := why_unfit(revision):
        raise DatabaseUnusable(" ".join(reason))


def why_unfit(revision: str | None) -> tuple[str, str] | None:
    """Why this version can't run on a database of the revision, and what to do about it; None if it can."""
    if revision == HEAD_REVISION:
        return None
    if revision is None:
        return "The database has no tables yet.", _UPGRADE
    if is_older(revision):
        return f"The database is of revision {revision}, and this version of calotype needs {HEAD_REVISION}.", _UPGRADE
    return (
        f"The database is of revision {revision}, newer than what this version of calotype knows ({HEAD_REVISION}).",
        "Install the newer calotype that was here.",
    )


def is_older(revision: str) -> bool:
    """Revisions are numbers of four digits."""
    return revision.isdecimal() and revision < HEAD_REVISION


def upgrade(connection: Connection) -> str | None:
    """`Database.upgrade`, in a transaction that writes."""
    if connection.dialect.name == "postgresql":  # on SQLite the transaction is a lock
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
    before = revision_of(connection)
    if before == HEAD_REVISION:
        return before  # another process was first
    if before is not None and not is_older(before):
        require_head(before)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "calotype:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return before


def _set_up(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
    if revision_of(connection) is None:
        upgrade(connection)
    require_head(revision_of(connection))
