"""`calotype plans`: what keys may be granted. Plans come from the settings; there is no database to ask."""

from __future__ import annotations

from collections.abc import Callable

import click

from calotype.accounts.described import PlanDescription, all_plans
from calotype.cli.accounts import print_json, print_table
from calotype.settings import Settings


@click.group(short_help="List the plans that keys can be on.")
def plans() -> None:
    """List the plans that keys can be on."""


@plans.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def list_(load: Callable[..., Settings], as_json: bool) -> None:
    """List the plans: those built in, then those of CALOTYPE_PLANS."""
    described = all_plans(load())
    if as_json:
        print_json(described)
        return
    columns = [name.upper() for name in PlanDescription.model_fields]
    print_table([columns, *([_cell(value) for _, value in plan] for plan in described)])


def _cell(value: object) -> str:
    if value is None:
        return "unlimited"
    return f"{value:g}" if isinstance(value, float) else str(value)
