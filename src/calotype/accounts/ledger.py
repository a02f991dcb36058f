"""Who may capture now, and who pays: a credit is reserved when a capture is admitted, settled when its picture is
delivered, given back when there is none.

One row per request, and its state changes in the same transaction as the counters of its key: a crash between any two
steps charges nobody twice and loses no credit. A reservation holds for its lease; what nobody extends is swept back.
These are functions of a connection, for transactions that do more besides. Locks are taken in one order, a request's
row before its key's, so that PostgreSQL finds no deadlock.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    case,
    cast,
    extract,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from calotype.accounts.limits import Limits, Standing
from calotype.accounts.periods import Period
from calotype.errors import InternalError, LimitError, QuotaReached, RateLimited
from calotype.schema import LEASE_ENDED, REFUNDED, RESERVED, SETTLED, key_usage, ledger

_TRIES = 5


class _Counts(NamedTuple):
    """A key's row, and the time."""

    arrival_us: int
    period_start: datetime
    reserved: int
    settled: int
    now_us: int


class _Reservation(NamedTuple):
    key_id: str
    period_start: datetime


NowUs = Callable[[Connection], ColumnElement[int]]
"""The time in microseconds since 1970, as an expression of the database."""


def database_now_us(connection: Connection) -> ColumnElement[int]:
    """The clock that all machines of a deployment share: the database's own. For a file, the machine's."""
    if connection.dialect.name == "postgresql":
        return cast(extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)
    return literal(time.time_ns() // 1_000, BigInteger)


@dataclass(frozen=True, slots=True)
class Account:
    """A key as the ledger sees it."""

    key_id: str
    limits: Limits
    period: Period


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to a request for a credit."""

    standing: Standing
    refusal: LimitError | None
    """`QuotaReached` or `RateLimited`; nothing was counted then."""


def admit(connection: Connection, account: Account, request_id: str, *, lease_s: float, now_us: NowUs) -> Admission:
    """Count a request and reserve its credit, if the rate and the month's credits allow it."""
    for _ in range(_TRIES):
        if (counted := _count(connection, account, now_us(connection))) is not None:
            row = {
                "request_id": request_id,
                "key_id": account.key_id,
                "period_start": counted.period_start,
                "state": RESERVED,
                "created_us": counted.now_us,
                "lease_us": counted.now_us + round(lease_s * 1_000_000),
            }
            connection.execute(insert(ledger).values(row))
            return Admission(_standing(account, counted), None)
        standing = standing_of(connection, account, now_us)
        if standing.credits_remaining == 0:
            when = f"{standing.resets_at:%Y-%m-%d %H:%M} UTC"
            return Admission(standing, QuotaReached(f"The plan's credits are used up. They are renewed at {when}."))
        if standing.requests_remaining == 0:
            return Admission(standing, _rate_limited(standing))
        # Somebody gave back what was missing, between the two statements; or this is the key's first request.
        _open(connection, account)
    raise InternalError


def settle(connection: Connection, account: Account, request_id: str) -> bool:
    """Charge for a delivered picture, once however often it is called.

    False: the reservation had been swept back, and the credit is not there any more. Do not deliver.
    """
    moved = _move(connection, request_id, SETTLED, None)
    if moved is not None:
        _change(connection, moved, reserved=-1, settled=1)
        return True
    state = connection.execute(select(ledger.c.state).where(ledger.c.request_id == request_id)).scalar()
    if state != REFUNDED:
        return state == SETTLED
    return _charge_late(connection, account, request_id)


def refund(connection: Connection, request_id: str, reason: str) -> bool:
    """Give a reserved credit back; False if it was not reserved any more."""
    moved = _move(connection, request_id, REFUNDED, reason)
    if moved is not None:
        _change(connection, moved, reserved=-1)
    return moved is not None


def is_settled(connection: Connection, request_id: str) -> bool:
    state = connection.execute(select(ledger.c.state).where(ledger.c.request_id == request_id)).scalar()
    return state == SETTLED


def extend(connection: Connection, request_ids: Collection[str], *, lease_s: float, now_us: NowUs) -> None:
    """Keep reservations from being swept for `lease_s` from now."""
    until = now_us(connection) + round(lease_s * 1_000_000)
    held = ledger.c.request_id.in_(request_ids) & (ledger.c.state == RESERVED)
    connection.execute(update(ledger).where(held).values(lease_us=until))


def sweep(connection: Connection, *, now_us: NowUs) -> int:
    """Give back the reservations whose lease has ended; return how many."""
    ended = (ledger.c.state == RESERVED) & (ledger.c.lease_us < now_us(connection))
    statement = update(ledger).where(ended).values(state=REFUNDED, reason=LEASE_ENDED)
    swept = connection.execute(statement.returning(ledger.c.key_id, ledger.c.period_start)).all()
    for (key_id, period_start), count in sorted(Counter((row.key_id, row.period_start) for row in swept).items()):
        of_it = (key_usage.c.key_id == key_id) & (key_usage.c.period_start == period_start)
        connection.execute(update(key_usage).where(of_it).values(reserved=key_usage.c.reserved - count))
    return len(swept)


def standing_of(connection: Connection, account: Account, now_us: NowUs) -> Standing:
    """Where the key stands now."""
    now = now_us(connection).label("now_us")
    usage = key_usage.c
    query = select(usage.arrival_us, usage.period_start, usage.reserved, usage.settled, now)
    row = connection.execute(query.where(usage.key_id == account.key_id)).one_or_none()
    if row is not None:
        return _standing(account, _Counts(*row))
    moment: int = connection.execute(select(now)).scalar_one()
    return Standing(account.limits, moment, 0, 0, 0, account.period.end)


def _count(connection: Connection, account: Account, now: ColumnElement[int]) -> _Counts | None:
    """Add one to the key's row if it may be; one statement, so that it holds for any number of callers at once."""
    usage, limits, start = key_usage.c, account.limits, account.period.start
    is_this_month = usage.period_start >= start
    reserved, settled = (case((is_this_month, column), else_=0) for column in (usage.reserved, usage.settled))
    interval_us = limits.interval_us or 0
    is_in_rate = true() if limits.interval_us is None else usage.arrival_us - now <= limits.tolerance_us
    is_in_credits = true() if limits.credits is None else reserved + settled < limits.credits
    statement = (
        update(key_usage)
        .where(usage.key_id == account.key_id, is_in_rate, is_in_credits)
        .values(
            arrival_us=case((usage.arrival_us > now, usage.arrival_us), else_=now) + interval_us,
            period_start=case((is_this_month, usage.period_start), else_=start),
            reserved=reserved + 1,
            settled=settled,
        )
        .returning(usage.arrival_us, usage.period_start, usage.reserved, usage.settled, now.label("now_us"))
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else _Counts(*row)


def _open(connection: Connection, account: Account) -> None:
    """Make the key's row, if nobody has."""
    row = {
        "key_id": account.key_id,
        "arrival_us": 0,
        "period_start": account.period.start,
        "reserved": 0,
        "settled": 0,
    }
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    connection.execute(upsert(key_usage).values(row).on_conflict_do_nothing())


def _standing(account: Account, counts: _Counts) -> Standing:
    is_this_month = counts.period_start >= account.period.start
    reserved, settled = (counts.reserved, counts.settled) if is_this_month else (0, 0)
    return Standing(account.limits, counts.now_us, counts.arrival_us, reserved, settled, account.period.end)


def _rate_limited(standing: Standing) -> RateLimited:
    return RateLimited(
        "The plan's requests per second are used up. Wait as long as Retry-After says.",
        retry_after_s=standing.retry_after_s,
    )


def _move(
    connection: Connection, request_id: str, state: str, reason: str | None, *, before: str = RESERVED
) -> _Reservation | None:
    """Change the state of a request's row, if it is in the state `before`."""
    is_it = (ledger.c.request_id == request_id) & (ledger.c.state == before)
    statement = update(ledger).where(is_it).values(state=state, reason=reason)
    row = connection.execute(statement.returning(ledger.c.key_id, ledger.c.period_start)).one_or_none()
    return None if row is None else _Reservation(*row)


def _change(connection: Connection, of: _Reservation, *, reserved: int = 0, settled: int = 0) -> None:
    """Add to the key's counters, if they still count that month."""
    usage = key_usage.c
    is_it = (usage.key_id == of.key_id) & (usage.period_start == of.period_start)
    values = {"reserved": usage.reserved + reserved, "settled": usage.settled + settled}
    connection.execute(update(key_usage).where(is_it).values(values))


def _charge_late(connection: Connection, account: Account, request_id: str) -> bool:
    """Charge for a request whose reservation was swept back, in the month that it is now."""
    if _move(connection, request_id, SETTLED, None, before=REFUNDED) is None:
        return True  # another call was first
    usage, limits = key_usage.c, account.limits
    is_free = true() if limits.credits is None else usage.reserved + usage.settled < limits.credits
    statement = update(key_usage).where(usage.key_id == account.key_id, is_free).values(settled=usage.settled + 1)
    period_start = connection.execute(statement.returning(usage.period_start)).scalar()
    if period_start is None:
        _move(connection, request_id, REFUNDED, LEASE_ENDED, before=SETTLED)
        return False
    of_it = update(ledger).where(ledger.c.request_id == request_id)
    connection.execute(of_it.values(period_start=period_start))
    return True
