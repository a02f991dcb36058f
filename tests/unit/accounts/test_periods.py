"""Months of the calendar and of keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from calotype.accounts.periods import MonthlyReset, period_at


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("reset", "created", "now", "start", "end"),
    [
        ("calendar", "2030-01-15T10:00:00", "2030-02-28T23:59:59", "2030-02-01", "2030-03-01"),
        ("calendar", "2030-01-15T10:00:00", "2030-03-01T00:00:00", "2030-03-01", "2030-04-01"),
        ("calendar", "2030-01-15T10:00:00", "2030-12-31T00:00:00", "2030-12-01", "2031-01-01"),
        ("anniversary", "2030-01-15T10:00:00", "2030-02-15T09:59:59", "2030-01-15T10:00:00", "2030-02-15T10:00:00"),
        ("anniversary", "2030-01-15T10:00:00", "2030-02-15T10:00:00", "2030-02-15T10:00:00", "2030-03-15T10:00:00"),
        ("anniversary", "2030-01-31T00:00:00", "2030-02-28T00:00:00", "2030-02-28", "2030-03-31"),
        ("anniversary", "2030-01-31T00:00:00", "2030-03-30T00:00:00", "2030-02-28", "2030-03-31"),
        ("anniversary", "2028-02-29T00:00:00", "2030-02-28T12:00:00", "2030-02-28", "2030-03-29"),
        ("anniversary", "2030-12-15T00:00:00", "2031-01-01T00:00:00", "2030-12-15", "2031-01-15"),
    ],
)
def test_period(reset: MonthlyReset, created: str, now: str, start: str, end: str) -> None:
    period = period_at(moment(now), created_at=moment(created), reset=reset)
    assert period == (moment(start), moment(end))


@pytest.mark.parametrize("reset", ["calendar", "anniversary"])
def test_months_follow_each_other_without_a_gap(reset: MonthlyReset) -> None:
    created = moment("2030-01-31T13:14:15")
    now = created
    while now.year < 2034:
        period = period_at(now, created_at=created, reset=reset)
        assert period.start <= now < period.end
        assert period_at(period.end, created_at=created, reset=reset).start == period.end
        now += timedelta(days=9, hours=5)


def test_months_are_utc() -> None:
    eastern = datetime(2030, 2, 28, 20, tzinfo=timezone(timedelta(hours=-5)))  # March in UTC
    assert period_at(eastern, created_at=eastern, reset="calendar").start == moment("2030-03-01")
