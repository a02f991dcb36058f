"""`calotype keys`: who may use the server. Works on the database directly, beside a running server or without one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import click

from calotype.accounts.described import KeyDescription, KeyDetails
from calotype.cli.accounts import moment, print_facts, print_json, print_table, run, usage_facts
from calotype.cli.expiry import Age, Expiry
from calotype.cli.targets import target_options, target_rules
from calotype.settings import BUILT_IN_PLANS, Settings

_COLUMNS = ("ID", "PLAN", "STATE", "CREATED", "EXPIRES", "NAME")
_EXPIRES_HELP = "30m, 12h, 90d, or a date."


@click.group(short_help="Make, list, replace and revoke API keys.")
def keys() -> None:
    """Make, list, replace and revoke API keys.

    ID is what `list` shows; where a whole key is given instead, its id is meant.
    """


@keys.command()
@click.option("--plan", required=True, help="Plan of the key: free, unlimited, or one of CALOTYPE_PLANS.")
@click.option("--name", help="Whom or what the key is for.")
@click.option("--expires", type=Expiry(), metavar="WHEN", help=f"{_EXPIRES_HELP} Unset: never.")
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
    made = run(settings, lambda accounts: accounts.create(plan, name=name, expires_at=expires, rules=rules))
    click.echo(made.text)
    click.echo(f"Key {made.key.id} on the plan {plan}. It is not shown again.", err=True)


@keys.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def list_(load: Callable[..., Settings], as_json: bool) -> None:
    """List every key ever made, without its secret."""
    described = run(load(), lambda accounts: accounts.list())
    if as_json:
        print_json(described)
    else:
        print_table([_COLUMNS, *map(_row, described)])


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_obj
def show(load: Callable[..., Settings], key_id: str, as_json: bool) -> None:
    """Show all that may be known of a key: plan, state, rules, dates, and this month's usage."""
    details = run(load(), lambda accounts: accounts.show(key_id))
    if as_json:
        print_json(details)
    else:
        print_facts(_facts(details))


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--grace", type=Age(), metavar="AGE", help="30m, 24h, 7d: so long the old key holds. Unset: not at all.")
@click.option("--expires", type=Expiry(), metavar="WHEN", help=f"{_EXPIRES_HELP} Unset: when the old key would have.")
@click.pass_obj
def rotate(load: Callable[..., Settings], key_id: str, grace: timedelta | None, expires: datetime | None) -> None:
    """Put a new key in the place of another and print it, alone, on standard output. It is shown this once.

    Plan, name, rules and this month's usage go on. Running servers refuse the old key within 5 seconds, or after the
    grace time.
    """
    replaced = run(load(), lambda accounts: accounts.rotate(key_id, grace=grace or timedelta(0), expires_at=expires))
    click.echo(replaced.text)
    old, new = replaced.old, replaced.key
    end = "is revoked" if old.state == "revoked" else f"ends {moment(old.expires_at)}"
    click.echo(f"Key {new.id} replaces {old.id}, which {end}. It is not shown again.", err=True)


@keys.command()
@click.argument("key_id", metavar="ID")
@click.pass_obj
def revoke(load: Callable[..., Settings], key_id: str) -> None:
    """End a key. Running servers refuse it within 5 seconds.

    ID is what `list` shows; of a key that leaked, the key itself does.
    """
    revoked = run(load(), lambda accounts: accounts.revoke(key_id))
    click.echo(f"Key {revoked.id} is revoked.", err=True)


def _row(key: KeyDescription) -> tuple[str, ...]:
    expires = key.expires_at.strftime("%Y-%m-%d %H:%M") if key.expires_at else "never"
    created = key.created_at.strftime("%Y-%m-%d %H:%M")
    return (key.id, key.plan, key.state, created, expires, key.name or "")


def _facts(key: KeyDetails) -> list[tuple[str, str]]:
    return [
        ("id", key.id),
        ("name", key.name or "-"),
        ("state", key.state),
        ("created", moment(key.created_at)),
        ("expires", moment(key.expires_at)),
        ("revoked", moment(key.revoked_at, "no")),
        ("replaced by", key.replaced_by or "-"),
        ("account", key.account_id if key.account_id != key.id else "its own"),
        ("allow", ", ".join(key.allow) or "-"),
        ("deny", ", ".join(key.deny) or "-"),
        *usage_facts(key.usage),
    ]
