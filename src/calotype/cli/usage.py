"""`calotype usage`: what a key has used of its plan."""

from __future__ import annotations

from collections.abc import Callable

import click

from calotype.cli.accounts import print_facts, print_json, run, usage_facts
from calotype.settings import Settings


@click.command(short_help="Say what a key has used of its plan.")
@click.option("--key", "key_id", metavar="ID", required=True, help="The key's id, or the key.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_obj
def usage(load: Callable[..., Settings], key_id: str, as_json: bool) -> None:
    """Say what a key has used of its plan this month, what is left, and when it is renewed."""
    told = run(load(), lambda accounts: accounts.usage(key_id))
    if as_json:
        print_json(told)
    else:
        print_facts([("key", f"{told.key_id} {told.key_name or ''}"), *usage_facts(told)])
