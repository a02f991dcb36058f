"""Rows of whatever the schema's tables take, for databases to be compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import JSON, Column, Connection, Table, Text, UniqueConstraint, cast, delete, insert, null, select
from sqlalchemy import types as sql

from calotype.schema import UtcDateTime, metadata

Rows = Mapping[str, Sequence[Mapping[str, Any]]]

_TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\0")  # PostgreSQL's texts have no NUL
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_JSON_CONTAINER = st.lists(_JSON, max_size=3) | st.dictionaries(st.text(max_size=5), _JSON, max_size=3)


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """Up to four rows for each table, that may be together."""
    drawn: dict[str, list[dict[str, Any]]] = {}
    for table in metadata.sorted_tables:
        drawn[table.name] = []
        strategy = _row(table, drawn)
        if strategy is not None:
            unique = tuple(_unique_by(columns) for columns in _unique_columns(table))
            drawn[table.name] = draw(st.lists(strategy, max_size=4, unique_by=unique))
    return drawn


def fill(connection: Connection, content: Rows) -> None:
    for table in metadata.sorted_tables:
        for row in content[table.name]:
            connection.execute(insert(table).values(row))


def clear(connection: Connection) -> None:
    for table in reversed(metadata.sorted_tables):
        connection.execute(delete(table))


def everything(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, in the order of their keys; JSON both as values and as it is written."""
    return {table.name: sorted(_read(connection, table), key=repr) for table in metadata.sorted_tables}


def _read(connection: Connection, table: Table) -> list[tuple[Any, ...]]:
    written = [cast(column, Text) for column in table.columns if isinstance(column.type, JSON)]
    return [tuple(row) for row in connection.execute(select(*table.columns, *written))]


def _row(table: Table, drawn: Rows) -> st.SearchStrategy[dict[str, Any]] | None:
    columns: dict[str, st.SearchStrategy[Any]] = {}
    for column in table.columns:
        value = _value(column, drawn)
        if value is None:
            return None  # it refers to a table that has no rows
        is_json = isinstance(column.type, JSON)
        columns[column.name] = (value | st.just(null() if is_json else None)) if column.nullable else value
    return st.fixed_dictionaries(columns)


def _value(column: Column[Any], drawn: Rows) -> st.SearchStrategy[Any] | None:
    for key in column.foreign_keys:
        parents = [row[key.column.name] for row in drawn[key.column.table.name]]
        return st.sampled_from(parents) if parents else None
    match column.type:
        case UtcDateTime():
            return st.datetimes(timezones=st.just(UTC))
        case JSON():
            return _JSON_CONTAINER | st.just(JSON.NULL)
        case sql.Boolean():
            return st.booleans()
        case sql.BigInteger():
            return st.integers(-(2**63), 2**63 - 2)  # there is a next one
        case sql.Integer():
            return st.integers(-(2**31), 2**31 - 1)
        case sql.LargeBinary():
            return st.binary(max_size=column.type.length)
        case sql.String():
            return st.text(_TEXT, max_size=column.type.length)
    raise AssertionError(f"no values for {column} of the type {column.type!r}")


def _unique_columns(table: Table) -> list[tuple[str, ...]]:
    constraints = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    return [
        tuple(table.primary_key.columns.keys()),
        *(tuple(constraint.columns.keys()) for constraint in constraints),
    ]


def _unique_by(columns: tuple[str, ...]) -> Any:
    return lambda row: tuple(row[name] for name in columns)
