"""The `calotype` command. Each subcommand is a module of its own, imported when it is used.

Errors on purpose become one message and a status here: 1, or 2 for wrong settings and usage.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calotype import __version__
from calotype.errors import CalotypeError

if TYPE_CHECKING:
    from calotype.settings import Settings

_SUBCOMMANDS = {
    "capture": "Make pictures of pages, with or without a server.",
    "db": "Bring the database up to date, check it, copy it.",
    "doctor": "Say what this machine lacks, and the settings in effect.",
    "keys": "Make, list, replace and revoke API keys.",
    "mcp": "Show pages to agents, over MCP.",
    "plans": "List the plans that keys can be on.",
    "serve": "Serve the HTTP API.",
    "sign": "Sign a link that shows a capture without the key.",
    "usage": "Say what a key has used of its plan.",
    "webhooks": "Show a key's webhook secret, send messages again.",
    "worker": "Run jobs for servers on the same PostgreSQL.",
}


class _Lazy(click.Group):
    """Subcommands by name; `--help` of the group imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUBCOMMANDS:
            return None
        command: click.Command = getattr(import_module(f"calotype.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_SUBCOMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand; an error of the table is one line and status 1."""
        try:
            return super().invoke(ctx)
        except CalotypeError as error:
            raise click.ClickException(_in_words(error)) from error


@click.group(cls=_Lazy)
@click.version_option(__version__, prog_name="calotype")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with settings; the environment wins over it.",
)
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """A website-screenshot API that anyone can run."""
    # A subcommand loads the settings itself: its options go on top of them.
    context.obj = partial(_load, config)


def _load(config: Path | None, **overrides: Any) -> Settings:
    from calotype.cli.configuration import read_settings  # pydantic is 150 ms that `--help` does without

    return read_settings(config, **overrides)


def _in_words(error: CalotypeError) -> str:
    details = [str(detail["message"]) for detail in error.details if detail.get("message") not in (None, error.message)]
    return "\n".join([error.message, *(f"  {message}" for message in details)])


LoadSettings = Callable[..., "Settings"]
"""What subcommands get as `click.pass_obj`: the settings, with overrides from the command line."""
