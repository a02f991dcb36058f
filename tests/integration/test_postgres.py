"""A PostgreSQL that goes away and comes back."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from calotype.database import Database
from tests.postgres import PostgresCluster, running_postgres

CALLERS = 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    """One of our own, as it is stopped."""
    with running_postgres() as cluster:
        yield cluster


async def opened(url: str) -> Database:
    database = Database(url)
    await database.open()
    await database.migrate()
    await database.write(lambda connection: connection.execute(text("CREATE TABLE numbers (value INTEGER)")))
    return database


def add(connection: Connection) -> None:
    connection.execute(text("INSERT INTO numbers VALUES (1)"))


def total(connection: Connection) -> int:
    return connection.execute(text("SELECT count(*) FROM numbers")).scalar_one()


async def all_connected(database: Database) -> None:
    """Have every connection of the pool opened, and idle again."""

    def sleep(connection: Connection) -> None:
        connection.execute(text("SELECT pg_sleep(0.2)"))

    await asyncio.gather(*(database.read(sleep) for _ in range(CALLERS)))


@pytest.mark.parametrize("at_once", [False, True], ids=["stopped", "crashed"])
@pytest.mark.parametrize("autocommit", [False, True], ids=["transaction", "autocommit"])
async def test_a_restart_between_two_works_is_not_noticed(
    cluster: PostgresCluster, *, at_once: bool, autocommit: bool
) -> None:
    database = await opened(cluster.make_database())
    await all_connected(database)
    cluster.stop(at_once=at_once)
    cluster.start()
    await asyncio.gather(*(database.write(add, autocommit=autocommit) for _ in range(CALLERS)))
    assert await database.read(total, autocommit=autocommit) == CALLERS
    await database.close()


async def test_connections_that_the_server_ended_are_replaced(cluster: PostgresCluster) -> None:
    url = cluster.make_database()
    database = await opened(url)
    await all_connected(database)
    with psycopg.connect(url, autocommit=True) as other:
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
        ended = other.execute(others + "datname = current_database()").fetchall()
    assert ended == [(True,)] * CALLERS
    await asyncio.gather(*(database.write(add) for _ in range(CALLERS)))
    assert await database.read(total) == CALLERS
    await database.close()


async def test_what_the_server_sends_unasked_is_no_reason_to_give_a_connection_up(cluster: PostgresCluster) -> None:
    url = cluster.make_database()
    database = await opened(url)
    backend = text("SELECT pg_backend_pid()")
    await database.write(lambda connection: connection.execute(text("LISTEN bell")), autocommit=True)
    before = await database.read(lambda connection: connection.execute(backend).scalar())
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("NOTIFY bell")
    assert await database.read(lambda connection: connection.execute(backend).scalar()) == before
    await database.close()


async def test_a_work_in_the_middle_of_a_restart_is_an_error_and_not_done_twice(cluster: PostgresCluster) -> None:
    """Whether its one statement was done can't be known, so nobody does it again."""
    database = await opened(cluster.make_database())
    tries = 0

    def add_slowly(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        connection.execute(text("INSERT INTO numbers SELECT 1 FROM pg_sleep(60)"))

    working = asyncio.create_task(database.write(add_slowly, autocommit=True))
    busy = text("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'")
    while not await database.read(lambda connection: connection.execute(busy).scalar()):
        pass  # until the statement runs
    await asyncio.to_thread(cluster.stop, at_once=True)
    with pytest.raises(DBAPIError):
        await working
    with pytest.raises(DBAPIError):  # there is none
        await database.write(add)
    await asyncio.to_thread(cluster.start)
    await database.write(add)
    assert (tries, await database.read(total)) == (1, 1)
    await database.close()


async def test_a_work_of_several_statements_is_undone_as_a_whole(cluster: PostgresCluster) -> None:
    database = await opened(cluster.make_database())

    def add_and_fail(connection: Connection) -> None:
        add(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(add_and_fail)
    assert await database.read(total) == 0
    with suppress(LookupError):
        await database.write(add_and_fail, autocommit=True)
    assert await database.read(total) == 1  # each statement by itself
    await database.close()


async def test_reading_is_of_one_state_and_changes_nothing(cluster: PostgresCluster) -> None:
    url = cluster.make_database()
    database = await opened(url)

    def read_twice(connection: Connection) -> tuple[int, int]:
        before = total(connection)
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("INSERT INTO numbers VALUES (1)")
        return before, total(connection)

    assert await database.read(read_twice) == (0, 0)
    assert await database.read(read_twice, autocommit=True) == (1, 2)
    with pytest.raises(DBAPIError, match="read-only"):
        await database.read(add)
    await database.close()


@pytest.mark.parametrize(
    ("query", "expected"), [("", (10, 5, 3, 30_000)), ("?keepalives_idle=60&tcp_user_timeout=0", (60, 5, 3, 0))]
)
async def test_a_link_that_is_dead_is_noticed_in_half_a_minute(
    query: str, expected: tuple[int, ...], cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the listener, which never sends anything itself, and on the pool's, unless the operator wants it otherwise."""
    connections: list[psycopg.AsyncConnection[Any]] = []
    real_connect = psycopg.AsyncConnection.connect

    async def connect(*args: Any, **kwargs: Any) -> Any:
        connections.append(await real_connect(*args, **kwargs))
        return connections[-1]

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect)
    database = Database(cluster.make_database() + query)
    await database.open()
    await database.listen(lambda notice: None)
    assert len(connections) == 2
    for connection in connections:
        with socket.socket(fileno=os.dup(connection.fileno())) as link:
            assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            assert tuple(link.getsockopt(socket.IPPROTO_TCP, option) for option in options) == expected
    await database.close()
