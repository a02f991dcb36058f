"""The table of jobs: the queue and the truth about each job, as functions of a connection (see `accounts.ledger`).

A job is claimed under a lease, which its worker extends while it runs; what a dead worker has left is queued again when
the lease ends. Every change a worker makes names its claim (`Claim.token`), so that of two who believe they run a job
one is heard. The order is that of `rank`, then of arrival.

Why the queue is this table and not a library's beside it: docs/adr/0012-the-jobs-table-is-the-queue.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    func,
    insert,
    select,
    tuple_,
    update,
)

from calotype.database.clock import NOW, NowUs
from calotype.schema import FINAL, QUEUED, RUNNING, jobs

_SECOND_US = 1_000_000
_CLOCK = select(NOW)
_INSERT = insert(jobs)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be queued. `body` is the request as sent, without its key and what unknown fields hold."""

    job_id: str
    priority: int
    body: Mapping[str, Any]
    webhook: Mapping[str, Any] | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A job that a worker runs now."""

    job_id: str
    key_id: str
    attempts: int
    """This one included."""
    body: dict[str, Any]
    worker: str
    traceparent: str | None = None
    """Of the span that accepted it."""

    @property
    def token(self) -> ColumnElement[bool]:
        """True of the job's row for as long as this claim on it holds."""
        column = jobs.c
        return and_(
            column.id == self.job_id,
            column.status == RUNNING,
            column.worker == self.worker,
            column.attempts == self.attempts,
        )


@dataclass(frozen=True, slots=True)
class Overdue:
    """A job whose worker has not been heard of for its lease."""

    job_id: str
    account_id: str
    attempts: int
    is_cancel_requested: bool


def rank_of(priority: int, arrival_us: int, aging_s: float) -> int:
    """Where in the queue a job stands: lower first, so that an index reads it with the order of arrival.

    With aging, a job gains one priority for every `aging_s` seconds that it waits. As all jobs age alike, their order
    never changes, and the rank can be written down once: moment of arrival less priority, in units of time.
    """
    return arrival_us // 1000 - priority * round(aging_s * 1000) if aging_s else -priority


def enqueue(
    connection: Connection, key_id: str, account_id: str, new: Sequence[NewJob], *, aging_s: float, now_us: NowUs
) -> None:
    """Queue jobs, in their order. One moment is the arrival of all."""
    moment: int = connection.execute(_CLOCK, {"now_us": now_us(connection)}).scalar_one()
    rows = [
        {
            "id": job.job_id,
            "key_id": key_id,
            "account_id": account_id,
            "status": QUEUED,
            "priority": job.priority,
            "rank": rank_of(job.priority, moment, aging_s),
            "body": dict(job.body),
            "webhook": dict(job.webhook) if job.webhook else None,
            "created_us": moment,
            "due_us": moment,
            "attempts": 0,
            "is_cancel_requested": False,
            "traceparent": job.traceparent,
        }
        for job in new
    ]
    connection.execute(_INSERT, rows)


def claim(
    connection: Connection,
    worker: str,
    *,
    at_most: int,
    lease_s: float,
    now_us: NowUs,
    except_keys: Collection[str] = (),
) -> list[Claim]:
    """Take the next jobs, in their order; none of `except_keys`, which have as many running as they may."""
    time = {"now_us": now_us(connection)}
    column = jobs.c
    may = and_(column.status == QUEUED, column.due_us <= NOW)
    if except_keys:
        may &= column.key_id.not_in(except_keys)
    next_numbers = select(column.number).where(may).order_by(column.rank, column.number).limit(at_most)
    if connection.dialect.name == "postgresql":
        next_numbers = next_numbers.with_for_update(skip_locked=True)
    numbers = connection.execute(next_numbers, time).scalars().all()
    if not numbers:
        return []
    statement = (
        update(jobs)
        .where(column.number.in_(numbers))
        .values(
            status=RUNNING,
            attempts=column.attempts + 1,
            worker=worker,
            started_us=NOW,
            lease_us=NOW + round(lease_s * _SECOND_US),
        )
        .returning(
            *(column.rank, column.number, column.id, column.key_id, column.attempts, column.body, column.traceparent)
        )
    )
    rows = sorted(connection.execute(statement, time), key=lambda row: (row.rank, row.number))
    return [Claim(row.id, row.key_id, row.attempts, row.body, worker, row.traceparent) for row in rows]


def next_due_in_us(connection: Connection, now_us: NowUs, *, except_keys: Collection[str] = ()) -> int | None:
    """In how many microseconds the next queued job of other keys may be tried, negative if it might have been; None:
    none waits."""
    may = jobs.c.status == QUEUED
    if except_keys:
        may &= jobs.c.key_id.not_in(except_keys)
    query = select(func.min(jobs.c.due_us) - NOW).where(may)
    return connection.execute(query, {"now_us": now_us(connection)}).scalar()


def extend(connection: Connection, claims: Iterable[Claim], *, lease_s: float, now_us: NowUs) -> dict[Claim, bool]:
    """Keep a worker's claims for `lease_s` from now.

    Only those that it names: of a claim it may not know, when the answer to it was lost on its way.

    Returns:
        Of each claim that still holds, whether the job has become unwanted.
    """
    column = jobs.c
    by_try = {(claim.job_id, claim.worker, claim.attempts): claim for claim in claims}
    if not by_try:
        return {}
    a_try = (column.id, column.worker, column.attempts)
    statement = (
        update(jobs)
        .where(column.status == RUNNING, tuple_(*a_try).in_(list(by_try)))
        .values(lease_us=NOW + round(lease_s * _SECOND_US))
        .returning(*a_try, column.is_cancel_requested)
    )
    rows = connection.execute(statement, {"now_us": now_us(connection)})
    return {by_try[row.id, row.worker, row.attempts]: row.is_cancel_requested for row in rows}


def finish(
    connection: Connection,
    which: ColumnElement[bool],
    status: str,
    *,
    now_us: NowUs,
    result: Mapping[str, Any] | None = None,
    object_name: str | None = None,
    error: Mapping[str, Any] | None = None,
) -> Row[Any] | None:
    """Make a job final and return its row; None if `which`, a claim's token say, does not hold of it any more."""
    assert status in FINAL  # noqa: S101
    statement = (
        update(jobs)
        .where(which)
        .values(
            status=status,
            finished_us=NOW,
            body=None,
            worker=None,
            lease_us=None,
            result=result,
            error=error,
            object_name=object_name,
        )
    )
    return connection.execute(statement.returning(*jobs.c), {"now_us": now_us(connection)}).one_or_none()


def give_back(
    connection: Connection,
    which: ColumnElement[bool],
    *,
    after_s: float,
    now_us: NowUs,
    error: Mapping[str, Any] | None = None,
    is_counted: bool = True,
) -> bool:
    """Queue a running job again, to be tried after `after_s` seconds; False if `which` does not hold any more, or the
    job is unwanted.

    `is_counted`: the try was one of those that it has.
    """
    column = jobs.c
    statement = (
        update(jobs)
        .where(which, ~column.is_cancel_requested)
        .values(
            status=QUEUED,
            due_us=NOW + round(after_s * _SECOND_US),
            worker=None,
            lease_us=None,
            attempts=column.attempts - (0 if is_counted else 1),
            error=error,
        )
    )
    return connection.execute(statement, {"now_us": now_us(connection)}).rowcount > 0


def overdue(connection: Connection, *, at_most: int, now_us: NowUs) -> list[Overdue]:
    """Jobs whose lease has ended. On PostgreSQL they are locked until the transaction ends."""
    column = jobs.c
    query = (
        select(column.id, column.account_id, column.attempts, column.is_cancel_requested)
        .where(column.status == RUNNING, column.lease_us < NOW)
        .limit(at_most)
    )
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    return [Overdue(*row) for row in connection.execute(query, {"now_us": now_us(connection)})]


def is_running(job_id: str) -> ColumnElement[bool]:
    """True of the job's row while somebody runs it, whoever that is."""
    return and_(jobs.c.id == job_id, jobs.c.status == RUNNING)


def is_queued(job_id: str) -> ColumnElement[bool]:
    """True of the job's row while it waits."""
    return and_(jobs.c.id == job_id, jobs.c.status == QUEUED)


def request_cancel(connection: Connection, job_id: str) -> bool:
    """Mark a running job as unwanted; False if it does not run."""
    return connection.execute(update(jobs).where(is_running(job_id)).values(is_cancel_requested=True)).rowcount > 0
