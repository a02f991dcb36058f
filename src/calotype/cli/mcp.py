"""`calotype mcp`: pages for agents, over the Model Context Protocol on standard input and output."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from importlib.util import find_spec

import click

from calotype.cli.capturing.engines import at_server, here
from calotype.cli.targets import target_options, target_rules
from calotype.settings import Settings
from calotype.telemetry import configure_logging


@click.command(short_help="Show pages to agents, over MCP.")
@click.option("--server", metavar="URL", help="Let this server capture; its key is in CALOTYPE_KEY.")
@target_options
@click.pass_obj
def mcp(load: Callable[..., Settings], server: str | None, allow: tuple[str, ...], deny: tuple[str, ...]) -> None:
    """Serve tools for agents on standard input and output, until the input ends. Logs go to standard error."""
    if find_spec("mcp") is None:
        raise click.ClickException("This needs the MCP SDK: pip install 'calotype[mcp]'.")
    from calotype.cli.agents.server import serve  # the SDK is an extra

    settings = load()
    configure_logging(settings.log)
    if server and (allow or deny):
        raise click.UsageError("--allow and --deny are for captures of this machine; a server has its own rules.")
    rules = target_rules(allow, deny)

    async def run() -> None:
        async with at_server(server, None) if server else here(settings, rules) as engine:
            await serve(engine)

    # The SDK reads the input in a thread that nothing can interrupt: Ctrl-C ends the process as SIGTERM does, and the
    # browser's keeper cleans up behind it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        asyncio.run(run())
    except ValueError as error:
        raise click.UsageError(str(error)) from error
