"""Who may capture now, and who pays: a credit is reserved when a capture is admitted, settled when its picture is
delivered, given back when there is none.

One row per request, and its state changes in the same transaction as the counters of its key: a crash between any two
steps charges nobody twice and loses no credit. A reservation holds for its lease; what nobody extends is swept back.
These are functions of a connection, for transactions that do more besides. Locks are taken in one order, a request's
row before its key's, so that PostgreSQL finds no deadlock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from calotype.accounts import statements
from calotype.accounts.limits import Limits, Standing
from calotype.accounts.periods import MonthlyReset, Period, period_at
from calotype.database.clock import NowUs
from calotype.errors import InternalError, LimitError, QuotaReached, RateLimited
from calotype.schema import LEASE_ENDED, REFUNDED, RESERVED, SETTLED, key_usage
from calotype.settings import Plan

_SECOND_US = 1_000_000
_TRIES = 5
_NO_LIMIT = 2**62  # more than any counter gets to, and a sum with it still fits 64 bits
_NEVER_US = 2**61  # a lease that outlives everything


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


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays: a key, or all keys that replaced each other by rotation."""

    id: str
    """Of the first of those keys."""
    limits: Limits
    period: Period

    @classmethod
    def at(cls, now: datetime, reset: MonthlyReset, *, account_id: str, since: datetime, plan: Plan) -> Account:
        """The account in the month that it is. `since` is when its first key was made."""
        return cls(account_id, Limits.of(plan), period_at(now, created_at=since, reset=reset))


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to a request for a credit."""

    standing: Standing
    refusal: LimitError | None
    """`QuotaReached` or `RateLimited`; nothing was counted then."""


def admit(connection: Connection, account: Account, request_id: str, *, lease_s: float, now_us: NowUs) -> Admission:
    """Count a request and reserve its credit, if the rate and the month's credits allow it.

    On PostgreSQL each statement may be a transaction of its own.
    """
    return _admit(connection, account, [request_id], round(lease_s * _SECOND_US), now_us)


def admit_jobs(connection: Connection, account: Account, job_ids: Sequence[str], *, now_us: NowUs) -> Admission:
    """Count one request, and reserve a credit for each job until that is final: for all of them or for none."""
    return _admit(connection, account, job_ids, _NEVER_US, now_us)


def _admit(
    connection: Connection, account: Account, request_ids: Sequence[str], lease_us: int, now_us: NowUs
) -> Admission:
    for _ in range(_TRIES):
        counted = _count(connection, account, request_ids, lease_us, now_us(connection))
        if counted is not None:
            return Admission(_standing(account, counted), None)
        standing = standing_of(connection, account, now_us)
        left = standing.credits_remaining
        if left is not None and left < len(request_ids):
            return Admission(standing, _quota_reached(standing, left, len(request_ids)))
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
    state = connection.execute(statements.STATE, {"the_request": request_id}).scalar()
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
    state = connection.execute(statements.STATE, {"the_request": request_id}).scalar()
    return state == SETTLED


def extend(connection: Connection, request_ids: Collection[str], *, lease_s: float, now_us: NowUs) -> None:
    """Keep reservations from being swept for `lease_s` from now."""
    values = {"the_requests": list(request_ids), "lease": round(lease_s * _SECOND_US), "now_us": now_us(connection)}
    connection.execute(statements.EXTEND, values)


def sweep(connection: Connection, *, now_us: NowUs) -> int:
    """Give back the reservations whose lease has ended; return how many."""
    swept = connection.execute(statements.SWEEP, {"now_us": now_us(connection)}).all()
    for reservation, count in sorted(Counter(_Reservation(*row) for row in swept).items()):
        _change(connection, reservation, reserved=-count)
    return len(swept)


def standing_of(connection: Connection, account: Account, now_us: NowUs) -> Standing:
    """Where the key stands now."""
    values = {"the_key": account.id, "now_us": now_us(connection)}
    row = connection.execute(statements.STANDING, values).one_or_none()
    if row is not None:
        return _standing(account, _Counts(*row))
    moment: int = connection.execute(statements.CLOCK, values).scalar_one()
    return Standing(account.limits, moment, 0, 0, 0, account.period.end)


def _count(
    connection: Connection, account: Account, request_ids: Sequence[str], lease_us: int, now_us: int | None
) -> _Counts | None:
    """Add to the key's counters and make the requests' rows, if it may be."""
    limits = account.limits
    values: dict[str, Any] = {
        "the_key": account.id,
        "month": account.period.start,
        "interval": limits.interval_us or 0,
        "tolerance": _NO_LIMIT if limits.interval_us is None else limits.tolerance_us,
        "most_credits": _most_credits(limits),
        "how_many": len(request_ids),
        "now_us": now_us,
    }
    if connection.dialect.name == "postgresql" and len(request_ids) == 1:
        values |= {"the_request": request_ids[0], "lease": lease_us}
        row = connection.execute(statements.COUNT_AND_ENTER, values).one_or_none()
        return None if row is None else _Counts(*row)
    row = connection.execute(statements.COUNT, values).one_or_none()
    if row is None:
        return None
    counts = _Counts(*row)
    entry = {
        "key_id": account.id,
        "period_start": counts.period_start,
        "state": RESERVED,
        "created_us": counts.now_us,
        "lease_us": counts.now_us + lease_us,
    }
    connection.execute(statements.ENTER, [{**entry, "request_id": request_id} for request_id in request_ids])
    return counts


def _most_credits(limits: Limits) -> int:
    return _NO_LIMIT if limits.credits is None else limits.credits


def _open(connection: Connection, account: Account) -> None:
    """Make the key's row, if nobody has."""
    row = {
        "key_id": account.id,
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


def _quota_reached(standing: Standing, left: int, wanted: int) -> QuotaReached:
    when = f"{standing.resets_at:%Y-%m-%d %H:%M} UTC"
    used_up = "The plan's credits are used up." if not left else f"{wanted} credits are needed, and {left} are left."
    return QuotaReached(f"{used_up} They are renewed at {when}.")


def _rate_limited(standing: Standing) -> RateLimited:
    return RateLimited(
        "The plan's requests per second are used up. Wait as long as Retry-After says.",
        retry_after_s=standing.retry_after_s,
    )


def _move(
    connection: Connection, request_id: str, state: str, reason: str | None, *, before: str = RESERVED
) -> _Reservation | None:
    """Change the state of a request's row, if it is in the state `before`."""
    values = {"the_request": request_id, "before": before, "after": state, "why": reason}
    row = connection.execute(statements.MOVE, values).one_or_none()
    return None if row is None else _Reservation(*row)


def _change(connection: Connection, of: _Reservation, *, reserved: int = 0, settled: int = 0) -> None:
    """Add to the key's counters, if they still count that month."""
    values = {"the_key": of.key_id, "month": of.period_start, "more_reserved": reserved, "more_settled": settled}
    connection.execute(statements.CHANGE, values)


def _charge_late(connection: Connection, account: Account, request_id: str) -> bool:
    """Charge for a request whose reservation was swept back, in the month that it is now."""
    if _move(connection, request_id, SETTLED, None, before=REFUNDED) is None:
        return True  # another call was first
    values = {"the_key": account.id, "most_credits": _most_credits(account.limits)}
    period_start = connection.execute(statements.CHARGE_LATE, values).scalar()
    if period_start is None:
        _move(connection, request_id, REFUNDED, LEASE_ENDED, before=SETTLED)
        return False
    connection.execute(statements.ENTER_LATE, {"the_request": request_id, "month": period_start})
    return True
