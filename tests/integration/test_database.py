"""The database: its file, its transactions, its migrations."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from calotype.database import HEAD_REVISION, Database
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
    differences = await database.read(
        lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
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
    names = ("journal_mode", "synchronous", "foreign_keys")
    seen = await database.write(
        lambda connection: {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in names}
    )
    await database.close()
    assert seen == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


async def test_a_transaction_is_undone_by_an_error_and_serves_the_next(tmp_path: Path) -> None:
    database = await opened(tmp_path / "calotype.db")

    def delete_and_fail(connection: Connection) -> None:
        connection.execute(text("DELETE FROM alembic_version"))
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(delete_and_fail)
    version = text("SELECT version_num FROM alembic_version")
    assert await database.write(lambda connection: connection.execute(version).scalar()) == HEAD_REVISION
    await database.close()


async def test_transactions_of_one_process_take_turns(tmp_path: Path) -> None:
    database = await opened(tmp_path / "calotype.db")
    await database.write(lambda connection: connection.execute(text("CREATE TABLE counter AS SELECT 0 AS value")))

    def add_one(connection: Connection) -> None:
        value = connection.execute(text("SELECT value FROM counter")).scalar_one()
        connection.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})

    await asyncio.gather(*(database.write(add_one) for _ in range(200)))
    value = text("SELECT value FROM counter")
    assert await database.read(lambda connection: connection.execute(value).scalar()) == 200
    await database.close()


async def test_works_committed_together_fail_alone(tmp_path: Path) -> None:
    database = await opened(tmp_path / "calotype.db")
    await database.write(lambda connection: connection.execute(text("CREATE TABLE numbers (value INTEGER UNIQUE)")))

    def add(value: int) -> Callable[[Connection], int]:
        def work(connection: Connection) -> int:
            connection.execute(text("INSERT INTO numbers VALUES (:value)"), {"value": value})
            if value % 3 == 2:
                raise LookupError(value)
            return value

        return work

    answers = await asyncio.gather(
        *(database.write(add(value)) for value in [*range(30), *range(30)]), return_exceptions=True
    )
    kinds = [type(answer).__name__ for answer in answers]
    assert kinds[:30] == ["LookupError" if value % 3 == 2 else "int" for value in range(30)]
    assert kinds[30:] == ["LookupError" if value % 3 == 2 else "IntegrityError" for value in range(30)]
    kept = text("SELECT value FROM numbers ORDER BY value")
    stored = await database.read(lambda connection: list(connection.execute(kept).scalars()))
    assert stored == [value for value in range(30) if value % 3 != 2]
    await database.close()


async def test_a_commit_that_fails_is_an_error_for_everyone_in_it(tmp_path: Path) -> None:
    """A full disk, in effect: SQLite may use no more pages."""
    database = await opened(tmp_path / "calotype.db")
    await database.write(lambda connection: connection.execute(text("CREATE TABLE big (value BLOB)")))

    def limit(connection: Connection) -> None:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages + 2}"))

    await database.write(limit)

    def fill(connection: Connection) -> None:
        connection.execute(text("INSERT INTO big VALUES (zeroblob(1000000))"))

    answers = await asyncio.gather(*(database.write(fill) for _ in range(4)), return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["OperationalError"] * 4
    count = text("SELECT count(*) FROM big")
    assert await database.write(lambda connection: connection.execute(count).scalar()) == 0
    await database.close()
