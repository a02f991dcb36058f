"""`calotype serve`: the HTTP server as one process, from the first printed line to a clean end.

What can fail at the start (the port, the certificate, the database, the browser) fails before anything is served, with
one line and status 1. A signal stops new captures, lets running ones finish, closes everything, and ends with status 0.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import click
import structlog
import uvicorn
import uvloop
from sqlalchemy.exc import SQLAlchemyError

from calotype.app import Services, create_app, open_services
from calotype.browser.process import BrowserStartFailed
from calotype.cli.tls import Certificate
from calotype.errors import CalotypeError
from calotype.http.in_flight import InFlight
from calotype.http.wire import HEAD_MAX_BYTES, HttpProtocol
from calotype.settings import Settings
from calotype.telemetry import configure_logging

_log = structlog.get_logger(__name__)

_KEEP_ALIVE_S = 75  # above the 60 s of common load balancers: who closes second never answers on a closed connection
_BACKLOG = 2048
_ANSWER_GRACE_S = 5.0  # after the captures have ended: to send what they gave
_CLOSE_S = 20.0  # after everything has ended or been given back: to close what is open
_FIRST_PLAN = "unlimited"


@click.command(short_help="Serve the HTTP API.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8600]")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="PEM file with the certificate chain: serves HTTPS.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="PEM file with the certificate's private key.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the database and the pepper live.")
@click.option("--allow", multiple=True, metavar="TARGET", help="Network, host or host:port to visit although private.")
@click.option("--no-jobs", is_flag=True, help="Leave jobs to `calotype worker`.")
@click.pass_obj
def serve(
    load: Callable[..., Settings], data_dir: Path | None, allow: tuple[str, ...], no_jobs: bool, **server: Any
) -> None:
    """Serve the API until SIGTERM or Ctrl-C.

    On the first start a key on the plan "unlimited" is made and printed, once. SIGHUP reads the certificate again.
    """
    overrides: dict[str, Any] = {"server": {name: value for name, value in server.items() if value is not None}}
    if data_dir is not None:
        overrides["data_dir"] = data_dir
    if allow:
        overrides["guard"] = {"allow": allow}
    settings = load(**overrides)
    if no_jobs and settings.database_url.startswith("sqlite"):
        raise click.ClickException("--no-jobs needs PostgreSQL: workers can't share the jobs of a SQLite file.")
    configure_logging(settings.log)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, runs_jobs=not no_jobs))
    except (CalotypeError, BrowserStartFailed, SQLAlchemyError, OSError) as error:
        raise click.ClickException(one_line(error)) from error


async def _serve(settings: Settings, *, runs_jobs: bool) -> None:
    certificate = Certificate.of(settings.server)
    listener = listen(settings.server.host, settings.server.port)
    try:
        async with open_services(settings, runs_jobs=runs_jobs) as services:
            await _Server(settings, services, listener, certificate).serve([listener])
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn's server with our start and our end."""

    def __init__(
        self, settings: Settings, services: Services, listener: socket.socket, certificate: Certificate | None
    ) -> None:
        self._settings = settings
        self._services = services
        self._listener = listener
        self._certificate = certificate
        self._in_flight = InFlight()
        app = create_app(settings, services=lambda _: nullcontext(services), in_flight=self._in_flight)
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                h11_max_incomplete_event_size=HEAD_MAX_BYTES,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.server.trusted_proxies),
                forwarded_allow_ips=list(settings.server.trusted_proxies),
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=round(settings.server.shutdown_grace_s + _ANSWER_GRACE_S),
            )
        )
        self.config.load()
        if certificate is not None:
            self.config.ssl = certificate.context  # the files were read before anything was opened

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self._listener.getsockname()[:2]
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        is_tls = self._certificate is not None
        _log.info("server_started", host=host, port=port, tls=is_tls)
        await _announce(self._settings, self._services, url_of(host, port, tls=is_tls))

    def _reload(self) -> None:
        if self._certificate is None:
            _log.info("nothing_to_reload", signal="SIGHUP")
        else:
            self._certificate.reload()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("server_stopping")
        grace_s = self._settings.server.shutdown_grace_s
        draining = asyncio.create_task(self._in_flight.drain(grace_s), name="drain")
        runner = self._services.runner
        draining_jobs = asyncio.create_task(runner.drain(grace_s), name="drain-jobs") if runner else None
        await super().shutdown(sockets)
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)
        if draining_jobs is not None:
            await draining_jobs
        _log.info("server_stopped")
        end_soon()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's: that raises the signal again at the end, and a clean end has status 0.
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def end_soon() -> None:
    """End the process if what is being closed does not close, and say what was awaited. Nothing is lost by it: browsers
    end with us, however we end."""

    def end() -> None:
        waits = [
            f"{task.get_name()} at {frame.f_code.co_name}:{frame.f_lineno}"
            for task in asyncio.all_tasks()
            for frame in task.get_stack(limit=1)
        ]
        _log.error("not_closed_in_time", waits=waits)
        os._exit(1)

    asyncio.get_running_loop().call_later(_CLOSE_S, end)


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else is opened, so that a taken one is said at once."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise click.ClickException(f"Can't listen on {host} port {port}: {reason}.") from error


async def _announce(settings: Settings, services: Services, url: str) -> None:
    """Say where the server is, and on the first start how to use it."""
    lines = [f"calotype serves {url}  (API tester; reference: {url}/docs)"]
    if key := await services.keys.ensure_first(_FIRST_PLAN, "first start"):
        picture = "--data-urlencode url=https://example.com -o example.jpg"
        lines += [
            f"API key, shown this once: {key.text}",
            f"Try it in a browser: {url}/#key={key.text}",
            f"Try it in the shell: curl -G {url}/v1/screenshot -H 'Authorization: Bearer {key.text}' {picture}",
        ]
    click.echo("\n".join(lines))


def url_of(host: str, port: int, *, tls: bool) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def one_line(error: Exception) -> str:
    message = error.message if isinstance(error, CalotypeError) else str(error)
    return message.strip().splitlines()[0] if message.strip() else type(error).__name__
