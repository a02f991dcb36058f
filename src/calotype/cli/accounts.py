"""The accounts, as the commands that work on the database directly open and print them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

import click
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from calotype.accounts.administration import Administration
from calotype.accounts.described import CreditUsage, KeyUsage, PlanDescription, RateUsage
from calotype.accounts.opening import open_administration
from calotype.settings import Settings

_T = TypeVar("_T")


def run(settings: Settings, work: Callable[[Administration], Awaitable[_T]]) -> _T:
    """Do what an operator does with keys, beside a running server or without one."""

    async def with_accounts() -> _T:
        async with open_administration(settings) as administration:
            return await work(administration)

    try:
        return asyncio.run(with_accounts())
    except (OSError, SQLAlchemyError) as error:
        raise click.ClickException(f"The keys can't be reached: {str(error).splitlines()[0]}") from error


def print_json(value: BaseModel | Sequence[BaseModel]) -> None:
    values = [value] if isinstance(value, BaseModel) else value
    plain = [each.model_dump(mode="json") for each in values]
    click.echo(json.dumps(plain[0] if isinstance(value, BaseModel) else plain, indent=2))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows, the first of them the columns' names, one under the other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print what is known of one thing, a name and a value on each line."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"{name.ljust(width)}  {value}".rstrip())


def usage_facts(usage: KeyUsage) -> list[tuple[str, str]]:
    return [
        ("plan", "not in the settings: the key is refused" if usage.plan is None else in_words(usage.plan)),
        ("credits", _credits(usage.credits)),
        ("rate", _rate(usage.rate)),
    ]


def in_words(plan: PlanDescription) -> str:
    """A plan in one line."""
    rate = "unlimited rate"
    if plan.requests_per_second is not None:
        rate = f"{plan.requests_per_second:g} per second, {plan.burst} at once"
    credits = "unlimited credits" if plan.monthly_credits is None else f"{plan.monthly_credits} credits a month"
    captures = "" if plan.max_concurrency is None else f", {plan.max_concurrency} captures at once"
    return f"{plan.name} ({credits}, {rate}{captures})"


def moment(value: datetime | None, none: str = "never") -> str:
    return none if value is None else f"{value:%Y-%m-%d %H:%M} UTC"


def _credits(credits: CreditUsage) -> str:
    left = "unlimited" if credits.remaining is None else str(credits.remaining)
    return f"{credits.used} used, {credits.reserved} reserved, {left} left; renewed {moment(credits.resets_at)}"


def _rate(rate: RateUsage) -> str:
    if rate.remaining is None:
        return "unlimited"
    wait = f", the next in {rate.retry_after_s:.1f} s" if rate.remaining == 0 else ""
    return f"{rate.remaining} may come now{wait}"
