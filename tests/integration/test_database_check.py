"""What `calotype db check` finds in a database, and that it finds nothing in one that servers are changing."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import insert, text, update

from calotype.accounts import ledger as credit
from calotype.accounts.audit import keys_without_origin, miscounted_accounts
from calotype.accounts.ledger import Account
from calotype.accounts.limits import Limits
from calotype.accounts.periods import Period
from calotype.database import Database, driver_url
from calotype.database.clock import database_now_us
from calotype.database.direct import snapshot, transaction
from calotype.database.soundness import problems_of_file
from calotype.schema import api_keys, key_usage

JANUARY = Period(datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 2, 1, tzinfo=UTC))
FEBRUARY = Period(datetime(2030, 2, 1, tzinfo=UTC), datetime(2030, 3, 1, tzinfo=UTC))
UNLIMITED = Limits(None, 1, None)
KEYS = ["first", "second", "third"]
DOCS = Path(__file__).parents[2] / "docs" / "database.md"


async def make_keys(database: Database) -> None:
    rows = [
        {
            **{"id": key, "secret_hash": b"", "service": "screenshot", "plan": "free", "origin": "operator"},
            **{"allow": [], "deny": [], "created_at": JANUARY.start},
        }
        for key in KEYS
    ]
    await database.write(lambda connection: connection.execute(insert(api_keys), rows))


async def capture(database: Database, account: Account, request_id: str, *, ends: str = "settled") -> None:
    """Admit a capture and end it."""
    now_us = database_now_us
    await database.write(lambda c: credit.admit(c, account, request_id, lease_s=30, now_us=now_us))
    if ends == "settled":
        await database.write(lambda c: credit.settle(c, account, request_id))
    elif ends == "refunded":
        await database.write(lambda c: credit.refund(c, request_id, "page_crashed"))


async def use_keys(database: Database) -> None:
    """Some of everything, over two months; the third key is not used."""
    await make_keys(database)
    for month in (JANUARY, FEBRUARY):
        for key in KEYS[:2]:
            for number, ends in enumerate(["settled", "settled", "refunded", "reserved"]):
                account = Account(key, UNLIMITED, month)
                await capture(database, account, f"{key}-{month.start:%m}-{number}", ends=ends)


def miscounted(url: str) -> list[str]:
    with snapshot(driver_url(url)) as connection:
        return miscounted_accounts(connection)


async def test_counters_that_the_ledger_explains_are_well(database: Database, database_url: str) -> None:
    await use_keys(database)
    assert miscounted(database_url) == []


@pytest.mark.parametrize("column", ["reserved", "settled"])
@pytest.mark.parametrize("change", [1, -1])
async def test_counters_that_differ_are_found_and_the_documented_statement_mends_them(
    database: Database, database_url: str, column: str, change: int
) -> None:
    await use_keys(database)
    counter = key_usage.c[column]
    wrong = update(key_usage).where(key_usage.c.key_id == "second").values({column: counter + change})
    await database.write(lambda connection: connection.execute(wrong))
    assert miscounted(database_url) == ["second"]
    statement = re.search(r"```sql\n(UPDATE key_usage.*?)```", DOCS.read_text(), re.DOTALL)
    assert statement is not None
    with transaction(driver_url(database_url)) as connection:
        connection.execute(text(statement[1].strip().rstrip(";")))
    assert miscounted(database_url) == []


async def test_counters_without_a_ledger_are_found(database: Database, database_url: str) -> None:
    await make_keys(database)
    row = {"key_id": "third", "arrival_us": 0, "period_start": JANUARY.start, "reserved": 0, "settled": 1}
    await database.write(lambda connection: connection.execute(insert(key_usage).values(row)))
    assert miscounted(database_url) == ["third"]


async def test_keys_of_an_account_that_is_not_there_are_found(database: Database, database_url: str) -> None:
    await make_keys(database)
    for column, key in (("account_id", "first"), ("replaced_by", "second")):
        lost = update(api_keys).where(api_keys.c.id == key).values({column: "nobody"})
        await database.write(lambda connection, lost=lost: connection.execute(lost))
    linked = update(api_keys).where(api_keys.c.id == "third").values(account_id="first")
    await database.write(lambda connection: connection.execute(linked))
    with snapshot(driver_url(database_url)) as connection:
        assert keys_without_origin(connection) == ["first", "second"]


async def test_a_database_that_servers_change_meanwhile_is_well(database: Database, database_url: str) -> None:
    await make_keys(database)
    numbers = count()
    is_enough = asyncio.Event()

    async def capture_on() -> None:
        while not is_enough.is_set():
            number = next(numbers)
            account = Account(KEYS[number % 3], UNLIMITED, JANUARY)
            await capture(database, account, str(number), ends=["settled", "refunded", "reserved"][number // 3 % 3])

    writers = [asyncio.create_task(capture_on()) for _ in range(4)]
    found: list[list[str]] = []
    while next(numbers) < 600:
        found.append(await asyncio.to_thread(miscounted, database_url))
    is_enough.set()
    await asyncio.gather(*writers)
    assert len(found) > 1
    assert found == [[]] * len(found)


async def test_a_file_s_rows_of_keys_that_are_gone_are_found(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calotype.db"
    database = Database(url)
    await database.open()
    await database.migrate()
    await use_keys(database)
    await database.close()
    with closing(sqlite3.connect(tmp_path / "calotype.db")) as connection:  # which has foreign keys off
        connection.execute("DELETE FROM api_keys WHERE id = 'first'")
        connection.commit()
    with snapshot(driver_url(url)) as connection:
        [problem] = problems_of_file(connection)
    assert "key_usage, ledger" in problem.sentence


async def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "calotype.db"
    database = Database(f"sqlite:///{path}")
    await database.open()
    await database.migrate()
    await use_keys(database)
    pages = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_ledger_key_id_period_start'"
    page: int = await database.read(lambda connection: connection.execute(text(pages)).scalar_one())
    size: int = await database.read(lambda connection: connection.execute(text("PRAGMA page_size")).scalar_one())
    await database.close()
    content = bytearray(path.read_bytes())
    content[page * size - 64 : page * size] = bytes(64)  # the end of a page, where its cells are
    path.write_bytes(content)
    with snapshot(driver_url(f"sqlite:///{path}")) as connection:
        [problem] = problems_of_file(connection)
    assert "damaged" in problem.sentence
