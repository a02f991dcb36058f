"""A database is copied into an empty one: all of it, equal, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Column, Identity, Integer, MetaData, Table, insert, inspect, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from calotype.database import Database, DatabaseUnusable, driver_url, upgrade
from calotype.database import copying as copying_module
from calotype.database.copying import CopyFailed, copy
from calotype.database.direct import snapshot, transaction
from calotype.schema import api_keys, ledger
from tests.integration.rows import Rows, clear, everything, fill, rows
from tests.postgres import PostgresCluster

MakeDatabase = Callable[[str], URL]
"""An empty one of a kind."""

KINDS = ["sqlite", "postgresql"]
KEY = {
    **{"id": "key", "secret_hash": b"", "service": "screenshot", "plan": "free", "origin": "operator"},
    **{"allow": [], "deny": [], "created_at": datetime(2030, 1, 1, tzinfo=UTC)},
}


@pytest.fixture
def make_database(tmp_path: Path, request: pytest.FixtureRequest) -> MakeDatabase:
    def make(kind: str) -> URL:
        if kind == "sqlite":
            return driver_url(f"sqlite:///{tmp_path}/{len(list(tmp_path.iterdir()))}.db")
        cluster: PostgresCluster = request.getfixturevalue("postgres")
        return driver_url(cluster.make_database())

    return make


def with_tables(url: URL) -> URL:
    with transaction(url) as connection:
        upgrade(connection)
    return url


def with_rows(url: URL, number: int = 3) -> URL:
    with transaction(with_tables(url)) as connection:
        connection.execute(insert(api_keys).values(KEY))
        connection.execute(insert(ledger), [entry(each) for each in range(number)])
    return url


def entry(number: int) -> dict[str, object]:
    return {
        **{"request_id": f"request-{number}", "key_id": "key", "period_start": datetime(2030, 1, 1, tzinfo=UTC)},
        **{"state": "settled", "created_us": number, "lease_us": number},
    }


def copied(source_url: URL, target_url: URL, begun: Callable[[str], None] = lambda table: None) -> dict[str, int]:
    with snapshot(source_url, alone=True) as source, transaction(target_url) as target:
        return copy(source, target, begun=begun)


def tables(url: URL) -> list[str]:
    with snapshot(url) as connection:
        return inspect(connection).get_table_names()


def content(url: URL) -> dict[str, list[tuple[object, ...]]]:
    with snapshot(url) as connection:
        return everything(connection)


@pytest.fixture
def pair(source_kind: str, target_kind: str, make_database: MakeDatabase) -> tuple[URL, URL]:
    return with_tables(make_database(source_kind)), with_tables(make_database(target_kind))


@pytest.mark.parametrize("source_kind", KINDS)
@pytest.mark.parametrize("target_kind", KINDS)
@hypothesis_settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a failure smaller would take minutes
)
@given(drawn=rows())
def test_every_row_is_equal_after_the_copy(pair: tuple[URL, URL], drawn: Rows) -> None:
    source_url, target_url = pair
    for url in pair:
        with transaction(url) as connection:
            clear(connection)
    with transaction(source_url) as connection:
        fill(connection, drawn)
    counts = copied(source_url, target_url)
    assert counts == {name: len(given_rows) for name, given_rows in drawn.items()}
    assert content(target_url) == content(source_url)


def test_moments_are_equal_wherever_the_database_is(make_database: MakeDatabase) -> None:
    """What is the last day in UTC is after the last day in Auckland, which Python has no date for."""
    source, there, back = with_rows(make_database("sqlite")), make_database("postgresql"), make_database("sqlite")
    with transaction(there) as connection:
        connection.execute(text(f"ALTER DATABASE {there.database} SET timezone TO 'Pacific/Auckland'"))
    with transaction(source) as connection:
        connection.execute(api_keys.update().values(expires_at=datetime.max.replace(tzinfo=UTC)))
    copied(source, there)
    copied(there, back)
    assert content(back) == content(there) == content(source)


def test_postgresql_that_was_set_up_without_an_encoding_keeps_every_text(
    make_database: MakeDatabase, postgres: PostgresCluster
) -> None:
    """As on a machine without a locale."""
    source, back, url = with_rows(make_database("sqlite")), make_database("sqlite"), postgres.make_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE without_encoding ENCODING 'SQL_ASCII' TEMPLATE template0")
    there = driver_url(url).set(database="without_encoding")
    with transaction(source) as connection:
        connection.execute(api_keys.update().values(name="Zoë 写真"))
    copied(source, there)
    copied(there, back)
    assert content(back) == content(there) == content(source)


@pytest.mark.parametrize("target_kind", KINDS)
def test_an_empty_database_gets_the_tables_and_every_batch(target_kind: str, make_database: MakeDatabase) -> None:
    source, target = with_rows(make_database("sqlite"), 2_500), make_database(target_kind)
    assert copied(source, target)["ledger"] == 2_500
    assert content(target) == content(source)


@pytest.mark.parametrize("target_kind", KINDS)
def test_a_target_with_rows_is_refused_and_stays_as_it_is(target_kind: str, make_database: MakeDatabase) -> None:
    source, target = with_rows(make_database("sqlite")), with_rows(make_database(target_kind), 1)
    before = content(target)
    with pytest.raises(CopyFailed, match=r"not empty.*api_keys"):
        copied(source, target)
    assert content(target) == before


@pytest.mark.parametrize("target_kind", KINDS)
def test_a_target_of_an_older_revision_without_rows_is_brought_up_to_date(
    target_kind: str, make_database: MakeDatabase
) -> None:
    from tests.integration.test_revisions import downgrade

    source, target = with_rows(make_database("sqlite")), with_tables(make_database(target_kind))
    with transaction(target) as connection:
        downgrade(connection)
    copied(source, target)
    assert content(target) == content(source)


@pytest.mark.parametrize(("which", "revision"), [("source", "0003"), ("source", "9999"), ("target", "9999")])
def test_another_revision_is_refused(which: str, revision: str, make_database: MakeDatabase) -> None:
    source, target = with_rows(make_database("sqlite")), with_tables(make_database("postgresql"))
    with transaction(source if which == "source" else target) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    with pytest.raises((CopyFailed, DatabaseUnusable), match=f"revision {revision}"):
        copied(source, target)
    with snapshot(target) as connection:
        assert not any(everything(connection).values())


def test_a_row_that_does_not_fit_is_named_and_nothing_is_copied(make_database: MakeDatabase) -> None:
    source, target = with_rows(make_database("sqlite")), make_database("postgresql")
    with transaction(source) as connection:
        connection.execute(api_keys.update().values(name="a\0b"))
    with pytest.raises(CopyFailed, match=r"row of api_keys.*NUL.*Nothing was copied"):
        copied(source, target)
    assert tables(target) == []


async def test_a_file_that_a_server_has_open_is_refused_however_idle_it_is(make_database: MakeDatabase) -> None:
    source, target = with_rows(make_database("sqlite")), make_database("postgresql")
    server = Database(source.set(drivername="sqlite").render_as_string())
    await server.open()
    with pytest.raises(DatabaseUnusable, match="in use"):
        copied(source, target)
    await server.close()
    assert tables(target) == []
    copied(source, target)


def test_nobody_gets_at_a_file_while_it_is_copied(make_database: MakeDatabase) -> None:
    source, target = with_rows(make_database("sqlite")), make_database("sqlite")
    refused: list[str] = []

    def read(table: str) -> None:
        if table == "ledger":
            with pytest.raises(DatabaseUnusable, match="in use"), snapshot(source, alone=True):
                pass
            refused.append(table)

    copied(source, target, read)
    assert refused == ["ledger"]
    assert content(target) == content(source)


def test_what_is_written_to_postgresql_during_the_copy_is_not_in_it(make_database: MakeDatabase) -> None:
    source, target = with_rows(make_database("postgresql")), make_database("sqlite")
    before = content(source)

    def write(table: str) -> None:
        with transaction(source) as connection:
            for number in {"api_keys": (10, 11), "ledger": (12,)}.get(table, ()):
                connection.execute(insert(ledger).values(entry(number)))

    assert copied(source, target, write)["ledger"] == 3
    assert content(target) == before
    assert len(content(source)["ledger"]) == 6


def test_a_server_on_the_target_gets_nothing_in_before_the_copy_is_whole(make_database: MakeDatabase) -> None:
    source, target = with_rows(make_database("sqlite")), with_tables(make_database("postgresql"))

    def write(table: str) -> None:
        if table == "ledger":
            first_key = insert(api_keys).values({**KEY, "id": "first", "origin": "first_start"})
            with transaction(target) as connection:
                connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
                with pytest.raises(DBAPIError, match="lock timeout"):
                    connection.execute(first_key)

    copied(source, target, write)
    assert content(target) == content(source)


@pytest.mark.parametrize("source_kind", KINDS)
def test_columns_that_count_up_go_on_after_the_copied_rows(
    source_kind: str, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = MetaData()
    numbered = Table(
        "numbered", more, Column("number", Integer, Identity(), primary_key=True), Column("value", Integer)
    )
    empty = Table("numbered_empty", more, Column("number", Integer, Identity(), primary_key=True))
    source, target = with_tables(make_database(source_kind)), with_tables(make_database("postgresql"))
    for url in (source, target):
        with transaction(url) as connection:
            more.create_all(connection)
    with transaction(source) as connection:
        connection.execute(insert(numbered), [{"number": number, "value": 0} for number in (1, 2, 41)])
    monkeypatch.setattr(copying_module, "metadata", more)
    assert copied(source, target) == {"numbered": 3, "numbered_empty": 0}
    with transaction(target) as connection:
        connection.execute(insert(numbered).values(value=1))
        assert connection.execute(select(numbered.c.number).where(numbered.c.value == 1)).scalar() == 42
        assert connection.execute(insert(empty).returning(empty.c.number)).scalar() == 1


def test_a_source_that_is_not_there_is_named_and_no_target_is_made(make_database: MakeDatabase) -> None:
    target = make_database("sqlite")
    with pytest.raises(DatabaseUnusable, match="There is no database at"):
        copied(driver_url("sqlite:////nowhere/calotype.db"), target)
    assert not Path(str(target.database)).exists()
