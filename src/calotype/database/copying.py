"""Copies a whole database into an empty one, of the same kind or the other: every table of the schema, row for row.

The caller opens both, the source as a `snapshot` and the target as a `transaction`, so that it is all or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.base import Executable

from calotype.database import DatabaseUnusable, require_head, revision_of, upgrade
from calotype.errors import CalotypeError
from calotype.schema import metadata

_BATCH_ROWS = 1_000


class CopyFailed(CalotypeError):
    """Nothing was copied; the message says why."""


def copy(
    source: Connection, target: Connection, *, begun: Callable[[str], None] = lambda table: None
) -> dict[str, int]:
    """Make the target's tables, fill them from the source, and count again; return the rows of each table.

    Args:
        begun: called with the name of each table before it is copied.

    Raises:
        CopyFailed, DatabaseUnusable: the target has rows, either is of another revision, or a row does not fit. The
            transaction on the target must be undone.
    """
    require_head(revision_of(source))
    _require_no_rows(target)  # before locks are taken that a running server would wait for
    try:
        upgrade(target)
    except DatabaseUnusable as error:
        raise CopyFailed(f"The target: {error.message}") from error
    if target.dialect.name == "postgresql":
        names = ", ".join(_quoted(target, table) for table in metadata.sorted_tables)
        target.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
    _require_no_rows(target)
    return {table.name: _copy_table(source, target, table, begun) for table in metadata.sorted_tables}


def _require_no_rows(target: Connection) -> None:
    there = set(inspect(target).get_table_names())
    for table in metadata.sorted_tables:
        if table.name in there and target.execute(select(literal(1)).select_from(table).limit(1)).first():
            raise CopyFailed(
                f"The target is not empty: there are rows in its table {table.name}. "
                "Name a new database, one that no server has been started on."
            )


def _copy_table(source: Connection, target: Connection, table: Table, begun: Callable[[str], None]) -> int:
    begun(table.name)
    names = [f"new_{column.name}" for column in table.columns]
    rows = select(*(_as_read(column) for column in table.columns)).execution_options(yield_per=_BATCH_ROWS)
    values = {column.name: _as_written(column, name, target) for column, name in zip(table.columns, names, strict=True)}
    statement = insert(table).values(values)
    for batch in source.execute(rows).partitions():
        _execute(target, table, statement, [dict(zip(names, row, strict=True)) for row in batch])
    if target.dialect.name == "postgresql":
        _set_sequences(target, table)
    count = select(func.count()).select_from(table)
    there, here = source.execute(count).scalar_one(), target.execute(count).scalar_one()
    if there != here:
        raise CopyFailed(f"Of {there} rows of {table.name}, {here} are in the target. Nothing was copied.")
    return here


def _as_read(column: Column[Any]) -> ColumnElement[Any]:
    # JSON as it was written: as values, NULL and JSON's null would be the same, and 1.0 and 1.00.
    return cast(column, Text).label(column.name) if isinstance(column.type, JSON) else column


def _as_written(column: Column[Any], name: str, target: Connection) -> ColumnElement[Any]:
    if not isinstance(column.type, JSON):
        return bindparam(name, type_=column.type)
    # For SQLite JSON is a text, and a cast to it would make a number of it.
    given = bindparam(name, type_=Text())
    return cast(given, column.type) if target.dialect.name == "postgresql" else given


def _execute(target: Connection, table: Table, statement: Executable, rows: list[dict[str, object]]) -> None:
    try:
        target.execute(statement, rows)
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0]
        raise CopyFailed(
            f"A row of {table.name} can't be put into the target: {reason}. Nothing was copied."
        ) from error


def _set_sequences(target: Connection, table: Table) -> None:
    """Have columns that count up by themselves go on after the rows copied, which brought their numbers along."""
    sequence_of = text("SELECT pg_get_serial_sequence(:table, :column)")
    for column in table.columns:
        names = {"table": _quoted(target, table), "column": column.name}
        sequence = target.execute(sequence_of, names).scalar()
        if sequence is not None:
            newest = target.execute(select(func.max(column))).scalar()
            next_value = {"sequence": sequence, "next": max(1, (newest or 0) + 1)}
            target.execute(text("SELECT setval(CAST(:sequence AS regclass), :next, false)"), next_value)


def _quoted(connection: Connection, table: Table) -> str:
    return connection.dialect.identifier_preparer.format_table(table)
