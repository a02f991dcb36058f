"""Whether a database fits this version of calotype and is whole. Only looks."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, inspect

from calotype.database import revision_of, why_unfit
from calotype.schema import metadata

_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """Something is wrong, in one sentence, and how it is mended, in another."""

    sentence: str
    fix: str


def problems_of_revision(connection: Connection) -> list[Problem]:
    """Why this version can't run on it. Empty: the tables are what the schema says."""
    if reason := why_unfit(revision_of(connection)):
        return [Problem(*reason)]
    there = inspect(connection)
    names = set(there.get_table_names())
    lacking = [table.name for table in metadata.sorted_tables if table.name not in names]
    for table in metadata.sorted_tables:
        if table.name in names:
            columns = {column["name"] for column in there.get_columns(table.name)}
            lacking += [f"{table.name}.{column.name}" for column in table.columns if column.name not in columns]
    return [Problem(f"The database lacks {_listed(lacking)}.", "Restore a backup.")] if lacking else []


def problems_of_file(connection: Connection) -> list[Problem]:
    """What SQLite finds wrong in its file."""
    found: list[Problem] = []
    damage = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check").all()]
    if damage != ["ok"]:
        found.append(Problem(f"The file is damaged: {_listed(damage)}.", "Restore a backup."))
    strays = sorted({str(row[0]) for row in connection.exec_driver_sql("PRAGMA foreign_key_check").all()})
    if strays:
        found.append(Problem(f"There are rows of keys that do not exist, in {_listed(strays)}.", "Restore a backup."))
    return found


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more
