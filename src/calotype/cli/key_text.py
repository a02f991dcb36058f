"""The option type of a whole API key, for commands that sign with it."""

from __future__ import annotations

from typing import Any

import click

from calotype.accounts.key_text import KeyText, read_key


class Key(click.ParamType[KeyText]):
    """`calo_<id>_<secret>`."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> KeyText:
        key = read_key(str(value).strip())
        if key is None:  # not repeated: it may be most of a key
            self.fail("that is no whole API key; `calotype keys create` prints them.", param, ctx)
        return key
