"""`calotype worker`: runs jobs, beside servers on the same PostgreSQL and storage, and serves nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import click
import structlog
import uvloop
from sqlalchemy.exc import SQLAlchemyError

from calotype.app import open_worker
from calotype.browser.process import BrowserStartFailed
from calotype.cli.serve import end_soon, one_line
from calotype.errors import CalotypeError
from calotype.settings import Settings
from calotype.telemetry import configure_logging

_log = structlog.get_logger(__name__)


@click.command(short_help="Run jobs for servers on the same PostgreSQL.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the pepper lives.")
@click.option("--concurrency", type=click.IntRange(1, 256), help="Jobs at once.  [default: CALOTYPE_BROWSER__PAGES]")
@click.pass_obj
def worker(load: Callable[..., Settings], data_dir: Path | None, concurrency: int | None) -> None:
    """Run jobs until SIGTERM or Ctrl-C; those that then run get CALOTYPE_SERVER__SHUTDOWN_GRACE_S to finish.

    Any number of workers, on any number of machines, share the jobs of one PostgreSQL. They need the same
    CALOTYPE_DATABASE__URL, CALOTYPE_STORAGE__URL, CALOTYPE_KEYS__PEPPER and CALOTYPE_PLANS as the servers.
    """
    overrides: dict[str, object] = {}
    if data_dir is not None:
        overrides["data_dir"] = data_dir
    if concurrency is not None:
        overrides["jobs"] = {"concurrency": concurrency}
    settings = load(**overrides)
    if settings.database_url.startswith("sqlite"):
        raise click.ClickException(
            "A SQLite database is for one process, and `calotype serve` runs its jobs itself. "
            "Set CALOTYPE_DATABASE__URL to a PostgreSQL to share jobs among workers."
        )
    configure_logging(settings.log)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(settings))
    except (CalotypeError, BrowserStartFailed, SQLAlchemyError, OSError) as error:
        raise click.ClickException(one_line(error)) from error


async def _work(settings: Settings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with open_worker(settings) as runner:
        _log.info("worker_started")
        click.echo("calotype runs jobs")
        await stopping.wait()
        _log.info("worker_stopping")
        await runner.drain(settings.server.shutdown_grace_s)
        end_soon()
    _log.info("worker_stopped")
