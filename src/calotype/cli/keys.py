"""`calotype keys`: who may use the server. Works on the database directly, beside a running server or without one."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from sqlalchemy.exc import SQLAlchemyError

from calotype.accounts.keys import KeyInfo, KeyRing
from calotype.accounts.opening import open_accounts
from calotype.cli.expiry import Expiry
from calotype.cli.targets import target_options, target_rules
from calotype.settings import BUILT_IN_PLANS, Settings

_T = TypeVar("_T")
_KEY_START = re.compile(r"calo_([0-9A-Za-z]+)")
_COLUMNS = ("ID", "PLAN", "STATE", "CREATED", "EXPIRES", "NAME")


@click.group(short_help="Make, list and revoke API keys.")
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@click.option("--plan", required=True, help="Plan of the key: free, unlimited, or one of CALOTYPE_PLANS.")
@click.option("--name", help="Whom or what the key is for.")
@click.option("--expires", type=Expiry(), metavar="WHEN", help="30m, 12h, 90d, or a date. Unset: never.")
@target_options
@click.pass_obj
def create(
    load: Callable[..., Settings],
    plan: str,
    name: str | None,
    expires: datetime | None,
    allow: tuple[str, ...],
    deny: tuple[str, ...],
) -> None:
    """Make a key and print it, alone, on standard output. It is shown this once."""
    settings = load()
    if settings.plan(plan) is None:
        known = ", ".join(each.name for each in (*BUILT_IN_PLANS, *settings.plans))
        raise click.BadParameter(f"there is no plan {plan!r}; there are {known}.", param_hint="--plan")
    rules = target_rules(allow, deny)
    new = _run(settings, lambda ring: ring.create(plan, name=name, expires_at=expires, rules=rules))
    click.echo(new.text)
    click.echo(f"Key {new.key_id} on the plan {plan}. It is not shown again.", err=True)


@keys.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def list_(load: Callable[..., Settings], as_json: bool) -> None:
    """List every key ever made, without its secret."""
    infos = _run(load(), lambda ring: ring.list())
    now = datetime.now(UTC)
    if as_json:
        click.echo(json.dumps([_as_json(info, now) for info in infos], indent=2))
        return
    rows = [_COLUMNS, *(_row(info, now) for info in infos)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@keys.command()
@click.argument("key_id", metavar="ID")
@click.pass_obj
def revoke(load: Callable[..., Settings], key_id: str) -> None:
    """End a key. Running servers refuse it within 5 seconds.

    ID is what `list` shows; of a key that leaked, the key itself does.
    """
    if match := _KEY_START.match(key_id):
        key_id = match[1]
    if not _run(load(), lambda ring: ring.revoke(key_id)):
        raise click.ClickException(f"There is no key {key_id!r}; `calotype keys list` shows them.")
    click.echo(f"Key {key_id} is revoked.", err=True)


def _run(settings: Settings, work: Callable[[KeyRing], Awaitable[_T]]) -> _T:
    async def with_keys() -> _T:
        async with open_accounts(settings) as (_, ring):
            return await work(ring)

    try:
        return asyncio.run(with_keys())
    except (OSError, SQLAlchemyError) as error:
        raise click.ClickException(f"The keys can't be reached: {str(error).splitlines()[0]}") from error


def _row(info: KeyInfo, now: datetime) -> tuple[str, ...]:
    expires = info.expires_at.strftime("%Y-%m-%d %H:%M") if info.expires_at else "never"
    created = info.created_at.strftime("%Y-%m-%d %H:%M")
    return (info.key_id, info.plan, info.state(now), created, expires, info.name or "")


def _as_json(info: KeyInfo, now: datetime) -> dict[str, Any]:
    return {
        "id": info.key_id,
        "name": info.name,
        "plan": info.plan,
        "state": info.state(now),
        **info.rules.model_dump(mode="json"),
        "created_at": info.created_at.isoformat(),
        "expires_at": info.expires_at.isoformat() if info.expires_at else None,
        "revoked_at": info.revoked_at.isoformat() if info.revoked_at else None,
    }
