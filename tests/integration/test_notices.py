"""What processes tell each other through the database: heard once it is true, by all who listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, text

from calotype.database import Database, notify


class Ear:
    """Keeps what it hears; `None` is that some may have been missed."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[str | None] = asyncio.Queue()

    def __call__(self, notice: str | None) -> None:
        self.heard.put_nowait(notice)

    async def next(self) -> str | None:
        async with asyncio.timeout(30):
            return await self.heard.get()


@pytest.fixture
async def other(database: Database, database_url: str) -> AsyncIterator[Database]:
    """Another process's."""
    if database.is_sqlite:
        yield database  # there is one process
        return
    other = Database(database_url)
    await other.open()
    yield other
    await other.close()


async def listening(database: Database) -> Ear:
    ear = Ear()
    await database.listen(ear)
    if not database.is_sqlite:
        assert await ear.next() is None  # before it listened
    return ear


async def test_a_notice_is_heard_by_who_tells_it_and_by_others(database: Database, other: Database) -> None:
    ears = [await listening(each) for each in dict.fromkeys((database, other))]
    await other.write(lambda connection: notify(connection, "one"))
    await database.write(lambda connection: notify(connection, "two"))
    for ear in ears:
        assert [await ear.next(), await ear.next()] == ["one", "two"]


async def test_what_has_not_happened_is_not_told(database: Database) -> None:
    ear = await listening(database)

    def fail(connection: Connection) -> None:
        notify(connection, "never")
        raise ValueError

    together = [database.write(lambda connection: notify(connection, "before")), database.write(fail)]
    answers = await asyncio.gather(*together, return_exceptions=True)
    assert isinstance(answers[1], ValueError)
    await database.write(lambda connection: notify(connection, "after"))
    assert [await ear.next(), await ear.next()] == ["before", "after"]


async def test_who_hears_can_see_it(database: Database, other: Database) -> None:
    """Not before the commit."""
    await database.write(lambda connection: connection.execute(text("CREATE TABLE seen (number INTEGER)")))
    ear = await listening(other)

    def work(connection: Connection) -> None:
        notify(connection, "look")
        connection.execute(text("INSERT INTO seen VALUES (1)"))

    for number in range(1, 21):
        await database.write(work)
        assert await ear.next() == "look"
        count = await other.read(lambda connection: connection.execute(text("SELECT count(*) FROM seen")).scalar())
        assert count == number


async def test_a_listener_whose_connection_is_cut_says_so_and_goes_on(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("a file has no connections to lose")
    ear = await listening(database)
    cut = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    assert await database.write(lambda connection: connection.execute(cut).scalar()) == 1
    assert await ear.next() is None
    await database.write(lambda connection: notify(connection, "again"))
    assert await ear.next() == "again"
