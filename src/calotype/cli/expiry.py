"""The option types of moments and ages: `--expires`, `--grace`, `--failed-since`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_AGE = re.compile(r"(\d{1,6})([mhd])")
_AGE_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Expiry(click.ParamType[datetime]):
    """`30m`, `12h`, `90d` from now, or a date or time in ISO 8601, UTC without a zone."""

    name = "expiry"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = _moment(str(value), now := datetime.now(UTC))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither an age such as 30m, 12h or 90d nor a date such as 2027-01-31.", param, ctx)
        if moment <= now:
            self.fail(f"{value!r} lies in the past.", param, ctx)
        return moment


class Age(click.ParamType[timedelta]):
    """`30m`, `24h`, `7d`."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        match = _AGE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not an age such as 30m, 24h or 7d.", param, ctx)
        return _age(match)


class Since(click.ParamType[datetime]):
    """`30m`, `12h`, `7d` ago, or a date or time in ISO 8601, UTC without a zone."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return _moment(str(value), datetime.now(UTC), -1)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither an age such as 30m, 12h or 7d nor a date such as 2027-01-31.", param, ctx)


def _moment(text: str, now: datetime, direction: int = 1) -> datetime:
    if match := _AGE.fullmatch(text):
        return now + direction * _age(match)
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _age(match: re.Match[str]) -> timedelta:
    return timedelta(**{_AGE_UNITS[match[2]]: int(match[1])})
