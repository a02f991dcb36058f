"""`calotype worker`: runs jobs, beside servers on the same PostgreSQL and storage; serves its own state, or nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import click
import structlog
import uvloop
from sqlalchemy.exc import SQLAlchemyError

from calotype.app import open_worker
from calotype.browser.process import BrowserStartFailed
from calotype.cli.probes import answering_probes
from calotype.cli.serve import end_soon, listen, one_line, url_of
from calotype.errors import CalotypeError
from calotype.http.in_flight import InFlight
from calotype.settings import Settings
from calotype.telemetry import configure_logging

_log = structlog.get_logger(__name__)


@click.command(short_help="Run jobs for servers on the same PostgreSQL.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the pepper lives.")
@click.option("--concurrency", type=click.IntRange(1, 256), help="Jobs at once.  [default: CALOTYPE_BROWSER__PAGES]")
@click.option("--metrics-host", help="Address of --metrics-port.  [default: 127.0.0.1]")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Serve /healthz, /readyz and /metrics here; 0 takes a free port.  [default: serve nothing]",
)
@click.pass_obj
def worker(load: Callable[..., Settings], data_dir: Path | None, concurrency: int | None, **probes: object) -> None:
    """Run jobs until SIGTERM or Ctrl-C; those that then run get CALOTYPE_SERVER__SHUTDOWN_GRACE_S to finish.

    Any number of workers, on any number of machines, share the jobs of one PostgreSQL. They need the same
    CALOTYPE_DATABASE__URL, CALOTYPE_STORAGE__URL, CALOTYPE_KEYS__PEPPER and CALOTYPE_PLANS as the servers.
    """
    overrides: dict[str, object] = {}
    if given := {name: value for name, value in probes.items() if value is not None}:
        overrides["worker"] = given
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
    asked, in_flight = settings.worker, InFlight()
    listener = None if asked.metrics_port is None else listen(asked.metrics_host, asked.metrics_port)
    try:
        async with open_worker(settings) as services, answering_probes(services, listener, in_flight):
            _announce(listener)
            await stopping.wait()
            _log.info("worker_stopping")
            await in_flight.drain(0)  # not ready any more
            await services.runner.drain(settings.server.shutdown_grace_s)
            end_soon()
    finally:
        if listener is not None:
            listener.close()
    _log.info("worker_stopped")


def _announce(listener: socket.socket | None) -> None:
    if listener is None:
        _log.info("worker_started")
        click.echo("calotype runs jobs")
        return
    host, port = listener.getsockname()[:2]
    _log.info("worker_started", metrics_host=host, metrics_port=port)
    click.echo(f"calotype runs jobs  (metrics: {url_of(host, port, tls=False)}/metrics)")
