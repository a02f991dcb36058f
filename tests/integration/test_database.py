"""The database: its file, its transactions, its migrations."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from calotype.database import HEAD_REVISION, Database, DatabaseUnusable
from calotype.schema import metadata


async def opened(path: Path) -> Database:
    database = Database(f"sqlite:///{path}")
    await database.open()
    await database.migrate()
    return database


def test_the_known_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "calotype:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD_REVISION]


async def test_migrations_give_the_tables_of_the_schema(tmp_path: Path) -> None:
    database = await opened(tmp_path / "calotype.db")
    async with database.transaction() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    await database.close()
    assert differences == []


async def test_several_processes_may_migrate_at_once(tmp_path: Path) -> None:
    databases = await asyncio.gather(*(opened(tmp_path / "calotype.db") for _ in range(4)))
    for database in databases:
        await database.ping()
        await database.close()


async def test_the_file_is_private_and_its_directory_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "calotype.db"
    database = await opened(path)
    await database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_sqlite_is_set_up_to_lose_nothing(tmp_path: Path) -> None:
    database = await opened(tmp_path / "calotype.db")
    async with database.transaction() as connection:
        seen = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    await database.close()
    assert seen == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


async def test_a_transaction_is_undone_by_an_error_and_serves_the_next(tmp_path: Path) -> None:
    database = await opened(tmp_path / "calotype.db")

    async def delete_and_fail() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("DELETE FROM alembic_version"))
            raise LookupError

    with pytest.raises(LookupError):
        await delete_and_fail()
    async with database.transaction() as connection:
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar() == HEAD_REVISION
    await database.close()


async def test_transactions_of_one_process_take_turns(tmp_path: Path) -> None:
    database = await opened(tmp_path / "calotype.db")
    async with database.transaction() as connection:
        await connection.execute(text("CREATE TABLE counter (value INTEGER)"))
        await connection.execute(text("INSERT INTO counter VALUES (0)"))

    async def add_one() -> None:
        async with database.transaction() as connection:
            value = (await connection.execute(text("SELECT value FROM counter"))).scalar_one()
            await asyncio.sleep(0)
            await connection.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})

    await asyncio.gather(*(add_one() for _ in range(30)))
    async with database.transaction() as connection:
        assert (await connection.execute(text("SELECT value FROM counter"))).scalar() == 30
    await database.close()


@pytest.mark.parametrize("url", ["postgresql://localhost/calotype", "mysql://localhost/x"])
def test_a_database_that_is_not_supported_yet_says_so(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match="CALOTYPE_DATABASE__URL"):
        Database(url)
