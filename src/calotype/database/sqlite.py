"""SQLite: one file, one thread that writes and one that reads.

Writers of one file wait for each other, so all writing goes through one connection in one thread, and whatever waits
there is committed together: one sync of the disk for many callers, each in a savepoint of its own. Against a connection
per caller, and against one shared by turns on the event loop, see ADR 7.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from calotype.database import Hear, T, Work, taken_notices

_PRAGMAS = (
    "PRAGMA busy_timeout=10000",  # ms; the command line writes to a running server's file
    "PRAGMA journal_mode=WAL",  # kept in the file; here for one that somebody else made
    "PRAGMA synchronous=FULL",  # a credit that was counted stays counted, whatever the power does
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # some builds' default: what a job's request carried is overwritten when it is forgotten
)
_TOGETHER = 64
"""Works in one transaction at most: the first of them waits for the last."""


@dataclass(eq=False)
class _Order(Generic[T]):
    """Work, and who waits for it."""

    work: Work[T]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T]
    hear: Hear | None = None

    def answer(self, result: T | None, error: BaseException | None, notices: Sequence[str] = ()) -> None:
        """Called in the thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            if self.hear is not None:
                for notice in notices:
                    self.loop.call_soon_threadsafe(self.hear, notice)
            self.loop.call_soon_threadsafe(_settle, self.future, result, error)


class SqliteEngine:
    """The file's two threads."""

    def __init__(self, url: URL) -> None:
        self._path = Path(url.database or "")
        self._writer: _Thread | None = None
        self._reader: _Thread | None = None
        self._hear: Hear | None = None

    async def open(self) -> None:
        path = await asyncio.to_thread(make_private_file, self._path)
        engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)
        event.listen(engine, "begin", _begin)
        self._writer = _Thread("database-writer", engine, _write_together, writes=True)
        self._reader = _Thread("database-reader", engine, _read_each, writes=False)
        try:
            await self.read(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").all())
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        threads = [thread for thread in (self._reader, self._writer) if thread]
        self._reader = self._writer = None
        for thread in threads:  # the writer last: closing the last connection puts the log into the file
            await asyncio.to_thread(thread.stop)

    async def write(self, work: Work[T], *, autocommit: bool = False) -> T:
        assert self._writer is not None, "the database is not open"  # noqa: S101
        return await self._writer.do(work, self._hear)

    async def read(self, work: Work[T], *, autocommit: bool = False) -> T:
        assert self._reader is not None, "the database is not open"  # noqa: S101
        return await self._reader.do(work)

    async def listen(self, hear: Hear) -> None:
        self._hear = hear


class _Thread:
    """A connection and the thread that alone uses it."""

    def __init__(
        self, name: str, engine: Engine, serve: Callable[[Connection, list[_Order[Any]]], None], *, writes: bool
    ) -> None:
        self._orders: queue.SimpleQueue[_Order[Any] | None] = queue.SimpleQueue()
        self._serve = serve
        # A daemon: a program that fails before `close()` must be able to end.
        self._thread = threading.Thread(target=self._run, args=(engine, writes), name=name, daemon=True)
        self._thread.start()

    async def do(self, work: Work[T], hear: Hear | None = None) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._orders.put(_Order(work, loop, future, hear))
        return await future

    def stop(self) -> None:
        self._orders.put(None)
        self._thread.join()

    def _run(self, engine: Engine, writes: bool) -> None:
        connection: Connection | None = None
        is_last = False
        while not is_last:
            orders = [self._orders.get()]
            while len(orders) < _TOGETHER and orders[-1] is not None and not self._orders.empty():
                orders.append(self._orders.get())
            is_last = orders[-1] is None
            wanted = [order for order in orders if order is not None and not order.future.cancelled()]
            try:
                if connection is None:
                    connection = engine.connect().execution_options(calotype_writes=writes)
                if wanted:
                    self._serve(connection, wanted)
            except BaseException as error:  # of the transaction itself: nothing of it has happened
                for order in wanted:
                    order.answer(None, error)
        if connection is not None:
            connection.close()


def _write_together(connection: Connection, orders: list[_Order[Any]]) -> None:
    answers: list[tuple[Any, BaseException | None, list[str]]] = []
    driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    with connection.begin():
        for order in orders:
            # SQLAlchemy's own savepoints take three quarters of an admission's time.
            driver.execute("SAVEPOINT work").close()
            try:
                answers.append((order.work(connection), None, taken_notices(connection)))
            except Exception as error:
                if not driver.in_transaction:
                    raise  # SQLite has undone everything: the disk is full, say
                driver.execute("ROLLBACK TO work").close()
                taken_notices(connection)  # it has not happened
                answers.append((None, error, []))
            driver.execute("RELEASE work").close()
    for order, answer in zip(orders, answers, strict=True):
        order.answer(*answer)


def _read_each(connection: Connection, orders: list[_Order[Any]]) -> None:
    for order in orders:
        try:
            with connection.begin():
                result = order.work(connection)
        except Exception as error:
            order.answer(None, error)
        else:
            order.answer(result, None)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _connect(path: Path) -> sqlite3.Connection:
    # `isolation_level=None`: the driver begins no transactions of its own; `_begin` does.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma).close()
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("calotype_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def make_private_file(path: Path) -> Path:
    """Make an empty database in WAL mode, whole from the moment it exists; of several makers at once the first wins.

    Of processes that switch one new file to WAL at the same time, some get `database is locked` at once, whatever the
    busy timeout: 5 of 240 with SQLite 3.40, four at a time, 2026-11-23.
    """
    path = path.expanduser()
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
