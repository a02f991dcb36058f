"""One connection and one transaction, without threads or an event loop.

For commands that look at a whole database, or at two of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, RootTransaction
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from calotype.database import DatabaseUnusable
from calotype.database.sqlite import make_private_file

_SHARED = ("busy_timeout=10000",)  # ms
_WRITING = ("synchronous=FULL", "foreign_keys=ON")
_ALONE = (
    "busy_timeout=1000",  # ms: a command ends meanwhile; a server has its file open for as long as it lives
    # Before the first look into a file in WAL mode, this asks for a lock that nobody gets who is not the only one.
    "locking_mode=EXCLUSIVE",
)
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
        engine = _sqlite(path, "BEGIN EXCLUSIVE", *_ALONE) if alone else _sqlite(path, "BEGIN", *_SHARED)
        with engine.connect() as connection, _begun(connection, path):
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
        engine = _sqlite(make_private_file(sqlite_path(url)), "BEGIN IMMEDIATE", *_SHARED, *_WRITING)
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


def _sqlite(path: Path, begin: str, *pragmas: str) -> Engine:
    def connect() -> sqlite3.Connection:
        # `isolation_level=None`: the driver begins no transactions of its own.
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}").close()
        except BaseException:
            connection.close()
            raise
        return connection

    def begin_ours(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    event.listen(engine, "begin", begin_ours)
    return engine


def _postgres(url: URL) -> Engine:
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(_CONNECT_TIMEOUT_S)})
    return create_engine(url, poolclass=NullPool)


def _begun(connection: Connection, path: Path) -> RootTransaction:
    try:
        return connection.begin()
    except OperationalError as error:
        driver_error = cast("sqlite3.OperationalError", error.orig)
        if driver_error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        raise DatabaseUnusable(f"{path} is in use. Stop the server that has it open, and try again.") from error
