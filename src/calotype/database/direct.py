"""One connection and one transaction, without threads or an event loop.

For commands that look at a whole database, or at two of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from calotype.database import DatabaseUnusable
from calotype.database.sqlite import make_private_file

_BUSY_MS = 10_000
_BUSY_ALONE_MS = 1_000  # a command ends meanwhile; a server holds its file for as long as it lives
_CONNECT_TIMEOUT_S = 10


@contextmanager
def snapshot(url: URL, *, alone: bool = False) -> Generator[Connection]:
    """Read one state of a database that is there, whatever is written to it meanwhile.

    Args:
        alone: nobody else may have a SQLite file open, now or before the end of the block. PostgreSQL: no effect.

    Raises:
        DatabaseUnusable: there is no such file, or somebody else has it open.
        SQLAlchemyError: there is no getting at the database.
    """
    if url.get_backend_name() == "sqlite":
        path = sqlite_path(url)
        if not path.is_file():
            raise DatabaseUnusable(f"There is no database at {path}.")
        begin = "BEGIN EXCLUSIVE" if alone else "BEGIN"
        with _sqlite(path, begin, alone=alone).connect() as connection:
            try:
                transaction = connection.begin()
            except Exception as error:
                if alone and _is_busy(error):
                    raise DatabaseUnusable(
                        f"{path} is in use. Stop the server that has it open, and try again."
                    ) from error
                raise
            with transaction:
                yield connection
        return
    with _postgres(url).connect() as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")  # others end before the year 9999 does
            yield connection


@contextmanager
def transaction(url: URL) -> Generator[Connection]:
    """Write to a database, all or nothing. A SQLite file that is not there is made.

    Raises:
        OSError, SQLAlchemyError: there is no getting at the database.
    """
    if url.get_backend_name() == "sqlite":
        engine = _sqlite(make_private_file(sqlite_path(url)), "BEGIN IMMEDIATE")
        with engine.begin() as connection:
            yield connection
        return
    with _postgres(url).begin() as connection:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        yield connection


def sqlite_path(url: URL) -> Path:
    return Path(url.database or "").expanduser().absolute()


def shown(url: URL) -> str:
    """The URL without what may be secret in it."""
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


def _sqlite(path: Path, begin: str, *, alone: bool = False) -> Engine:
    def connect() -> sqlite3.Connection:
        # `isolation_level=None`: the driver begins no transactions of its own.
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)
        connection.execute(f"PRAGMA busy_timeout={_BUSY_ALONE_MS if alone else _BUSY_MS}").close()
        connection.execute("PRAGMA synchronous=FULL").close()
        connection.execute("PRAGMA foreign_keys=ON").close()
        if alone:  # before the first look into a file in WAL mode, this asks for a lock that an open one has
            connection.execute("PRAGMA locking_mode=EXCLUSIVE").close()
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    def begin_ours(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "begin", begin_ours)
    return engine


def _postgres(url: URL) -> Engine:
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(_CONNECT_TIMEOUT_S)})
    return create_engine(url, poolclass=NullPool)


def _is_busy(error: Exception) -> bool:
    driver_error: Any = getattr(error, "orig", None)
    return getattr(driver_error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
