"""Both kinds of database, real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from calotype.database import Database
from tests.postgres import PostgresCluster, running_postgres

from .job_shop import Shop, insert_keys


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    with running_postgres() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/calotype.db"
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    return cluster.make_database()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Open, with its tables."""
    database = Database(database_url)
    await database.open()
    try:
        await database.migrate()
        yield database
    finally:
        await database.close()


@pytest.fixture
async def shop(database: Database, tmp_path: Path) -> Shop:
    """Jobs on this database, and three keys that are accounts."""
    await insert_keys(database, "key0", "key1", "key2")
    return Shop(database, tmp_path / "images")
