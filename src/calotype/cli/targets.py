"""`--allow` and `--deny`, as the commands that have them read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from calotype.guard.rules import ParsedRules
from calotype.settings import TargetRules

_F = TypeVar("_F", bound=Callable[..., object])


def target_options(command: _F) -> _F:
    """Give a command the two options; `target_rules` reads them."""
    deny = click.option(
        "--deny", multiple=True, metavar="TARGET", help="Network, host or host:port not to visit although public."
    )
    allow = click.option(
        "--allow", multiple=True, metavar="TARGET", help="Network, host or host:port to visit although private."
    )
    return allow(deny(command))


def target_rules(allow: tuple[str, ...], deny: tuple[str, ...]) -> TargetRules:
    """
    Raises:
        click.UsageError: names the option and the entry that can't be read.
    """
    rules = TargetRules(allow=allow, deny=deny)
    try:
        ParsedRules.parse(rules, spell=lambda field: f"--{field}")
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return rules
