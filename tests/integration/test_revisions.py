"""Which revision a database is of, and who may change that."""

from __future__ import annotations

import asyncio

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from calotype.database import HEAD_REVISION, Database, DatabaseUnusable, driver_url
from calotype.database.direct import snapshot
from calotype.database.soundness import problems_of_revision
from calotype.schema import metadata

OLDER = "0003"


def downgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "calotype:migrations")
    config.attributes["connection"] = connection
    command.downgrade(config, OLDER)


def revision(connection: Connection) -> str | None:
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def test_revisions_count_up_in_four_digits() -> None:
    """`is_older` compares them as texts."""
    config = Config()
    config.set_main_option("script_location", "calotype:migrations")
    newest_first = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert newest_first == [f"{number:04}" for number in range(len(newest_first), 0, -1)]


async def test_an_older_revision_is_brought_up_to_date_in_a_file_and_stops_a_program_on_postgresql(
    database: Database,
) -> None:
    await database.write(downgrade)
    if database.is_sqlite:
        await database.migrate()
        assert await database.read(revision) == HEAD_REVISION
    else:
        with pytest.raises(DatabaseUnusable, match=f"revision {OLDER}.*needs {HEAD_REVISION}.*`calotype db upgrade`"):
            await database.migrate()
        assert await database.read(revision) == OLDER
        assert await database.upgrade() == OLDER
        await database.migrate()


async def test_of_upgrades_at_once_one_does_it(database: Database, database_url: str) -> None:
    await database.write(downgrade)
    others = [Database(database_url) for _ in range(3)]
    for other in others:
        await other.open()
    before = await asyncio.gather(*(each.upgrade() for each in (database, *others)))
    for other in others:
        await other.close()
    assert sorted(str(each) for each in before) == [OLDER, *[HEAD_REVISION] * 3]


async def test_several_may_set_an_empty_database_up_at_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(4)]
    for database in databases:
        await database.open()
    await asyncio.gather(*(database.migrate() for database in databases))
    for database in databases:
        await database.ping()
        await database.close()
    with snapshot(driver_url(database_url)) as connection:
        assert problems_of_revision(connection) == []


@pytest.mark.parametrize("newer", ["9999", "af12b"])
async def test_a_newer_revision_stops_everything(database: Database, newer: str) -> None:
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = :newer"), {"newer": newer}))
    for bring in (database.migrate, database.upgrade):
        with pytest.raises(DatabaseUnusable, match="Install the newer calotype"):
            await bring()
    assert await database.read(revision) == newer


async def test_a_failed_upgrade_leaves_the_database_as_it_was(database: Database) -> None:
    await database.write(downgrade)
    # The last migrations add columns: this one is there already.
    await database.write(lambda c: c.execute(text("ALTER TABLE api_keys ADD COLUMN replaced_by VARCHAR(16)")))
    with pytest.raises(Exception, match="replaced_by"):
        await database.upgrade()
    assert await database.read(revision) == OLDER
    columns = await database.read(lambda c: {column["name"] for column in inspect(c).get_columns("api_keys")})
    assert "link_secret" not in columns


async def test_what_a_database_lacks_is_named(database: Database, database_url: str) -> None:
    await database.write(lambda c: c.execute(text("DROP TABLE answers")))
    await database.write(lambda c: c.execute(text("ALTER TABLE ledger DROP COLUMN reason")))
    with snapshot(driver_url(database_url)) as connection:
        [problem] = problems_of_revision(connection)
    assert "answers, ledger.reason" in problem.sentence


def test_no_table_refers_to_itself() -> None:
    """`database.copying` puts rows in table by table, in the order in which tables refer to each other."""
    assert [
        table.name for table in metadata.tables.values() for key in table.foreign_keys if key.references(table)
    ] == []
