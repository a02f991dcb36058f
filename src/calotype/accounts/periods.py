"""The month that credits are counted by: the calendar's, or from each anniversary of a key's making. All in UTC."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime
from typing import Literal, NamedTuple

MonthlyReset = Literal["calendar", "anniversary"]


class Period(NamedTuple):
    """From `start` to just before `end`."""

    start: datetime
    end: datetime


def period_at(now: datetime, *, created_at: datetime, reset: MonthlyReset) -> Period:
    """Return the month that `now` lies in. A key made on the 31st starts its months on the last day of short ones."""
    now = now.astimezone(UTC)
    anchor = datetime(1970, 1, 1, tzinfo=UTC) if reset == "calendar" else created_at.astimezone(UTC)
    month = now.year * 12 + now.month - 1
    if now < _start(month, anchor):
        month -= 1
    return Period(_start(month, anchor), _start(month + 1, anchor))


def _start(month: int, anchor: datetime) -> datetime:
    year, index = divmod(month, 12)
    day = min(anchor.day, monthrange(year, index + 1)[1])
    return datetime(year, index + 1, day, anchor.hour, anchor.minute, anchor.second, tzinfo=UTC)
