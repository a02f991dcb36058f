"""What is asked of the table of jobs, as functions of a connection that change nothing (see `jobs.table`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from calotype.schema import QUEUED, jobs


def get(connection: Connection, job_id: str) -> Row[Any] | None:
    """A job's row."""
    return connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()


def queue_position(connection: Connection, row: Row[Any]) -> int:
    """The place in the queue of a job that waits: 1 is next."""
    column = jobs.c
    is_before = or_(column.rank < row.rank, and_(column.rank == row.rank, column.number < row.number))
    query = select(func.count()).select_from(jobs).where(column.status == QUEUED, is_before)
    return connection.execute(query).scalar_one() + 1


def listed(
    connection: Connection, account_id: str, *, status: str | None, before: int | None, at_most: int
) -> Sequence[Row[Any]]:
    """An account's jobs, newest first, without bodies; `before` is the number of the last one seen."""
    column = jobs.c
    query: Select[Any] = select(*(each for each in column if each.name != "body")).where(
        column.account_id == account_id
    )
    if status is not None:
        query = query.where(column.status == status)
    if before is not None:
        query = query.where(column.number < before)
    return connection.execute(query.order_by(column.number.desc()).limit(at_most)).all()
