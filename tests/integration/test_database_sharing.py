"""Real SQLite files: shared between processes, interrupted, not ours, and left behind."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from calotype.database import Database, DatabaseUnusable
from calotype.schema import api_keys, metadata

_START_AT_ONCE = """
import asyncio, sys
from calotype.accounts.keys import KeyRing
from calotype.accounts.pepper import load_pepper
from calotype.database import Database
from calotype.settings import Settings
from datetime import UTC, datetime
from pathlib import Path

async def main():
    settings = Settings(data_dir=Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    database = Database(settings.database_url)
    await database.open()
    await database.migrate()
    ring = KeyRing(database, pepper=load_pepper(settings), plans=settings.plan, clock=lambda: datetime.now(UTC))
    key = await ring.ensure_first("unlimited", "first start")
    print(load_pepper(settings).decode(), key.text if key else "-")
    await database.close()

asyncio.run(main())
"""

_ROW = {
    "id": "abcdefgh",
    "secret_hash": b"hash",
    "service": "screenshot",
    "plan": "free",
    "allow": [],
    "deny": [],
    "origin": "operator",
    "created_at": datetime(2027, 1, 2, tzinfo=UTC),
}


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


async def _migrated(path: Path) -> Database:
    database = Database(_url(path))
    await database.open()
    await database.migrate()
    return database


async def test_the_file_and_its_directory_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "calotype.db"
    database = await _migrated(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    await database.close()
    assert [each.name for each in path.parent.iterdir()] == ["calotype.db"]


async def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    database = await _migrated(tmp_path / "calotype.db")
    await database.migrate()
    await database.ping()
    await database.close()


def test_a_database_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from calotype.database import Database\n"
        "async def main():\n"
        "    database = Database(sys.argv[1])\n"
        "    await database.open(); await database.migrate(); await database.close()\n"
        "asyncio.run(main()); print('alembic' in sys.modules)"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", program, _url(tmp_path / "calotype.db")],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        for _ in range(2)
    ]
    assert [answer.stdout.strip() for answer in answers] == ["True", "False"]
    assert [answer.stderr for answer in answers] == ["", ""]


async def test_a_database_of_a_newer_calotype_is_refused(tmp_path: Path) -> None:
    database = await _migrated(tmp_path / "calotype.db")
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    await database.write(lambda connection: connection.execute(newer))
    with pytest.raises(DatabaseUnusable, match="newer"):
        await database.migrate()
    await database.close()


def test_servers_that_start_at_once_agree_on_tables_pepper_and_first_key(tmp_path: Path) -> None:
    for turn in range(3):
        data_dir = tmp_path / str(turn)
        arguments = [sys.executable, "-W", "error", "-c", _START_AT_ONCE, str(data_dir)]
        starts = [
            subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        for start in starts:
            assert start.stdout is not None
            assert start.stdout.readline() == "ready\n"
        for start in starts:
            assert start.stdin is not None
            start.stdin.write("\n")
            start.stdin.flush()
        answers = [start.communicate(timeout=60) for start in starts]
        assert [stderr for _, stderr in answers] == ["", "", ""]
        peppers, first_keys = zip(*[stdout.split() for stdout, _ in answers], strict=True)
        assert len(set(peppers)) == 1
        assert sorted(key != "-" for key in first_keys) == [False, False, True]


async def test_concurrent_transactions_of_two_openings_lose_no_update(tmp_path: Path) -> None:
    openings = [await _migrated(tmp_path / "calotype.db") for _ in range(2)]
    await openings[0].write(lambda connection: connection.execute(text("CREATE TABLE counter AS SELECT 0 AS value")))

    def count(connection: Connection) -> None:
        value = connection.execute(text("SELECT value FROM counter")).scalar_one()
        connection.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})

    await asyncio.gather(*(openings[turn % 2].write(count) for turn in range(60)))
    value = text("SELECT value FROM counter")
    assert await openings[0].read(lambda connection: connection.execute(value).scalar_one()) == 60
    for database in openings:
        await database.close()


async def test_reading_does_not_wait_for_a_writer_elsewhere(tmp_path: Path) -> None:
    database = await _migrated(tmp_path / "calotype.db")
    with closing(sqlite3.connect(tmp_path / "calotype.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        count = select(func.count()).select_from(api_keys)
        async with asyncio.timeout(5):
            assert await database.read(lambda connection: connection.execute(count).scalar_one()) == 0
        await database.migrate()
        writer.execute("ROLLBACK")
    await database.close()


async def test_cancelled_transactions_leave_the_database_working(tmp_path: Path) -> None:
    database = await _migrated(tmp_path / "calotype.db")

    await database.write(lambda connection: connection.execute(text("CREATE TABLE pairs (one, other)")))

    def write(connection: Connection) -> None:
        connection.execute(text("INSERT INTO pairs VALUES (1, NULL)"))
        connection.execute(text("UPDATE pairs SET other = 1"))

    for turns in range(0, 200, 4):
        writing = asyncio.create_task(database.write(write))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    half = text("SELECT count(*) FROM pairs WHERE other IS NULL")
    async with asyncio.timeout(5):
        assert await database.write(lambda connection: connection.execute(half).scalar()) == 0
    await database.close()


async def test_a_ping_notices_that_there_are_no_tables(tmp_path: Path) -> None:
    database = Database(_url(tmp_path / "calotype.db"))
    await database.open()
    with pytest.raises(SQLAlchemyError):
        await database.ping()
    await database.close()


async def test_a_file_that_is_no_database_fails_and_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "calotype.db"
    path.write_bytes(b"no database at all " * 100)
    before = set(threading.enumerate())
    with pytest.raises(SQLAlchemyError, match="not a database"):
        await Database(_url(path)).open()
    assert {each for each in threading.enumerate() if "database" in each.name} <= before


async def test_a_file_made_by_somebody_else_becomes_durable_too(tmp_path: Path) -> None:
    path = tmp_path / "calotype.db"
    path.touch(0o640)
    database = await _migrated(path)
    mode = text("PRAGMA journal_mode")
    assert await database.write(lambda connection: connection.execute(mode).scalar()) == "wal"
    await database.write(lambda connection: connection.execute(insert(api_keys).values(_ROW)))
    await database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_what_is_committed_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "calotype.db"
    program = (
        "import asyncio, os, signal, sys; from sqlalchemy import text; from calotype.database import Database\n"
        "async def main():\n"
        "    database = Database(sys.argv[1]); await database.open(); await database.migrate()\n"
        "    await database.write(lambda connection: connection.execute(text('CREATE TABLE kept (id)')))\n"
        "    def lose(connection):\n"
        "        connection.execute(text('CREATE TABLE lost (id)'))\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    await database.write(lose)\n"
        "asyncio.run(main())"
    )
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, _url(path)], capture_output=True, check=False, timeout=30
    )
    database = await _migrated(path)
    tables = text("SELECT name FROM sqlite_master WHERE type = 'table'")
    names = await database.read(lambda connection: list(connection.execute(tables).scalars()))
    await database.close()
    assert set(names) == {"alembic_version", *metadata.tables, "kept"}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("hunter2", "not a database URL"),
        ("mysql://me:hunter2@host/name", "no mysql"),
        ("sqlite+pysqlite:///x.db", r"no sqlite\+pysqlite"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:////tmp/x.db?mode=ro", "no parameters"),
    ],
)
def test_a_url_that_can_not_be_used_says_so_by_the_name_of_the_setting(url: str, message: str) -> None:
    with pytest.raises(DatabaseUnusable, match=message) as caught:
        Database(url)
    assert "CALOTYPE_DATABASE__URL" in caught.value.message
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_without_its_driver_says_what_to_install(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as if it were not installed
    with pytest.raises(DatabaseUnusable, match=r"pip install 'psycopg\[binary\]'"):
        Database(f"{scheme}://me:hunter2@127.0.0.1/calotype")


async def test_a_directory_that_can_not_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        await Database(_url(tmp_path / "file" / "calotype.db")).open()
