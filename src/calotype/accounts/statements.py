"""The ledger's statements, each built once: building one takes longer than running it.

What varies is a parameter. Its name may be that of no column, as SQLAlchemy would set that column to it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    String,
    bindparam,
    case,
    insert,
    literal_column,
    select,
    update,
)

from calotype.database.clock import NOW
from calotype.schema import LEASE_ENDED, REFUNDED, RESERVED, UtcDateTime, key_usage, ledger

_usage = key_usage.c
_the_key = bindparam("the_key", type_=String)
_the_request = bindparam("the_request", type_=String)
_month = bindparam("month", type_=UtcDateTime)  # the start of the one that it is, or that a reservation counts for
_lease_us = bindparam("lease", type_=BigInteger)
_most_credits = bindparam("most_credits", type_=BigInteger)
_how_many = bindparam("how_many", type_=Integer)

_is_the_key = _usage.key_id == _the_key
_is_the_request = ledger.c.request_id == _the_request

STANDING = select(_usage.arrival_us, _usage.period_start, _usage.reserved, _usage.settled, NOW.label("now_us")).where(
    _is_the_key
)
CLOCK = select(NOW)
STATE = select(ledger.c.state).where(_is_the_request)


def _this_month(column: ColumnElement[int]) -> ColumnElement[int]:
    return case((_usage.period_start >= _month, column), else_=literal_column("0", Integer))


COUNT = (
    update(key_usage)
    .where(
        _is_the_key,
        _usage.arrival_us - NOW <= bindparam("tolerance", type_=BigInteger),
        _this_month(_usage.reserved) + _this_month(_usage.settled) + _how_many <= _most_credits,
    )
    .values(
        arrival_us=case((_usage.arrival_us > NOW, _usage.arrival_us), else_=NOW)
        + bindparam("interval", type_=BigInteger),
        period_start=case((_usage.period_start >= _month, _usage.period_start), else_=_month),
        reserved=_this_month(_usage.reserved) + _how_many,
        settled=_this_month(_usage.settled),
    )
    .returning(_usage.arrival_us, _usage.period_start, _usage.reserved, _usage.settled, NOW.label("now_us"))
)
"""Add one request and its credits to the key's row if it may be: one statement, so that it holds for any number of
callers at once."""

ENTER = insert(ledger)

_counted = COUNT.cte("counted")
_entered = (
    insert(ledger)
    .from_select(
        ["request_id", "key_id", "period_start", "state", "created_us", "lease_us"],
        select(
            _the_request,
            _the_key,
            _counted.c.period_start,
            literal_column(f"'{RESERVED}'", String),
            _counted.c.now_us,
            _counted.c.now_us + _lease_us,
        ),
        include_defaults=False,
    )
    .cte("entered")
)
COUNT_AND_ENTER = select(_counted).add_cte(_entered)
"""`COUNT` and `ENTER` of one row in one, for PostgreSQL, which is asked over a network."""

MOVE = (
    update(ledger)
    .where(_is_the_request, ledger.c.state == bindparam("before", type_=String))
    .values(state=bindparam("after", type_=String), reason=bindparam("why", type_=String))
    .returning(ledger.c.key_id, ledger.c.period_start)
)
"""Change the state of a request's row, if it is in the state `before`."""

CHANGE = (
    update(key_usage)
    .where(_is_the_key, _usage.period_start == _month)
    .values(
        reserved=_usage.reserved + bindparam("more_reserved", type_=Integer),
        settled=_usage.settled + bindparam("more_settled", type_=Integer),
    )
)
"""Add to the key's counters, if they still count that month."""

CHARGE_LATE = (
    update(key_usage)
    .where(_is_the_key, _usage.reserved + _usage.settled < _most_credits)
    .values(settled=_usage.settled + literal_column("1", Integer))
    .returning(_usage.period_start)
)
ENTER_LATE = update(ledger).where(_is_the_request).values(period_start=_month)

SWEEP = (
    update(ledger)
    .where(ledger.c.state == RESERVED, ledger.c.lease_us < NOW)
    .values(state=REFUNDED, reason=LEASE_ENDED)
    .returning(ledger.c.key_id, ledger.c.period_start)
)
EXTEND = (
    update(ledger)
    .where(ledger.c.request_id.in_(bindparam("the_requests", type_=String, expanding=True)), ledger.c.state == RESERVED)
    .values(lease_us=NOW + _lease_us)
)
