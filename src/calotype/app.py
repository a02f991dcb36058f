"""The composition root: the only place that knows how the parts are made and in which order they are opened.

Importing this opens nothing, and nothing is kept at module level. The server, the command line and tests open the same
parts through the same functions.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial

import structlog
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from calotype import __version__
from calotype.accounts.administration import Administration
from calotype.accounts.keys import KeyRing
from calotype.accounts.opening import administration, open_accounts
from calotype.browser.cdp import Connection
from calotype.browser.discover import find_browser, sandbox_available, sandbox_fix
from calotype.browser.jail.levels import Jail, JailLevel, open_jail
from calotype.browser.page import Page
from calotype.browser.pool import BrowserPool
from calotype.browser.process import BrowserStartFailed, ChromiumProcess, sweep_profiles
from calotype.capture.observed import ObservedCapturer
from calotype.capture.run import Capturer
from calotype.database import Database
from calotype.database.clock import database_now_us
from calotype.delivery.desk import Desk
from calotype.delivery.lanes import Lanes
from calotype.delivery.upkeep import Upkeep
from calotype.errors import CalotypeError
from calotype.guard.listener import open_listeners
from calotype.guard.policy import EgressPolicy
from calotype.guard.proxy import EgressProxy
from calotype.http import health, jobs, metrics, pages, screenshot, url_check, usage
from calotype.http.admin import routes as admin
from calotype.http.envelope import install_error_handlers
from calotype.http.front import Front
from calotype.http.in_flight import InFlight
from calotype.http.observed import Observer
from calotype.http.openapi import build_document
from calotype.http.services import Services as ServicesForRoutes
from calotype.jobs.backlog import BacklogWatch
from calotype.jobs.desk import JobDesk
from calotype.jobs.opening import JobParts
from calotype.jobs.runner import Runner
from calotype.settings import BrowserSettings, Settings
from calotype.storage import Storage, StorageUnusable, open_storage
from calotype.telemetry import Telemetry
from calotype.telemetry.traces import open_traces

_log = structlog.get_logger(__name__)


# Where a global provider is set, or FASTAPI_OTEL_AUTO_CONFIGURE, FastAPI (0.165) makes spans of its own, with the whole
# query: API keys and captured URLs. Ours are made in `telemetry.traces`.
_NO_TELEMETRY_OF_FASTAPI: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


class SettingsUnusable(CalotypeError):
    """A setting has the right shape, and means nothing to the part it is for. The message names it."""


@dataclass(frozen=True, slots=True)
class Services:
    """Every part that handlers use, open and ready."""

    settings: Settings
    database: Database
    keys: KeyRing
    administration: Administration
    guard: EgressProxy
    pool: BrowserPool
    jail: Jail
    storage: Storage
    desk: Desk
    job_desk: JobDesk
    runner: Runner | None
    """None: this process runs no jobs."""
    backlog: BacklogWatch
    telemetry: Telemetry


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """What runs jobs, and what an operator watches of it."""

    settings: Settings
    database: Database
    guard: EgressProxy
    pool: BrowserPool
    jail: Jail
    storage: Storage
    runner: Runner
    backlog: BacklogWatch
    telemetry: Telemetry


OpenServices = Callable[[Settings], AbstractAsyncContextManager[ServicesForRoutes]]


@asynccontextmanager
async def open_services(settings: Settings, *, runs_jobs: bool = True) -> AsyncGenerator[Services]:
    """Open everything a server needs; close it in reverse when the block ends.

    Args:
        runs_jobs: else they are left to `calotype worker`.

    Raises:
        CalotypeError, BrowserStartFailed, OSError, SQLAlchemyError: something is missing; nothing is left open.
    """
    async with AsyncExitStack() as stack:
        telemetry = _telemetry(stack)
        database, keys = await stack.enter_async_context(open_accounts(settings))
        policy = _policy(settings)
        guard, pool, jail, capturer = await stack.enter_async_context(_open_captures(settings, policy))
        storage = await _storage(settings)
        lanes = Lanes(queue=settings.browser.queue, timeout_s=settings.browser.queue_timeout_s)
        for_callers = ObservedCapturer(capturer, telemetry, "sync")
        for_jobs = ObservedCapturer(capturer, telemetry, "job")
        desk = await stack.enter_async_context(_open_desk(settings, database, storage, lanes, for_callers))
        parts = JobParts(settings, database, storage, keys, policy, telemetry)
        runner = parts.runner(for_jobs, lanes) if runs_jobs else None
        await stack.enter_async_context(parts.running(runner))
        operator = administration(database, keys, settings)
        yield Services(
            *(settings, database, keys, operator, guard, pool, jail, storage, desk, parts.desk(), runner),
            *(parts.backlog(), telemetry),
        )


@asynccontextmanager
async def open_worker(settings: Settings) -> AsyncGenerator[WorkerServices]:
    """Open what runs jobs, and nothing that serves. Raises as `open_services`."""
    async with AsyncExitStack() as stack:
        telemetry = _telemetry(stack)
        database, keys = await stack.enter_async_context(open_accounts(settings))
        policy = _policy(settings)
        guard, pool, jail, capturer = await stack.enter_async_context(_open_captures(settings, policy))
        storage = await _storage(settings)
        lanes = Lanes(queue=settings.browser.queue, timeout_s=settings.browser.queue_timeout_s)
        parts = JobParts(settings, database, storage, keys, policy, telemetry)
        runner = parts.runner(ObservedCapturer(capturer, telemetry, "job"), lanes)
        await stack.enter_async_context(parts.running(runner))
        yield WorkerServices(settings, database, guard, pool, jail, storage, runner, parts.backlog(), telemetry)


@asynccontextmanager
async def open_capturer(settings: Settings) -> AsyncGenerator[Capturer]:
    """Open only what makes pictures: no database, no keys."""
    async with _open_captures(settings, _policy(settings)) as (*_, capturer):
        yield capturer


def create_app(
    settings: Settings, *, services: OpenServices = open_services, in_flight: InFlight | None = None
) -> FastAPI:
    """Make the ASGI application. `services` are opened when it starts and closed when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with services(settings) as opened:
            app.state.services = opened
            yield

    app = FastAPI(
        title="calotype",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry=_NO_TELEMETRY_OF_FASTAPI,
    )
    app.state.in_flight = in_flight or InFlight()
    observer = Observer(settings.server.trace_callers)
    app.add_middleware(Front, observer=observer, hsts_max_age_s=settings.server.hsts_max_age_s)
    install_error_handlers(app)
    app.include_router(screenshot.router)
    app.include_router(jobs.router)
    app.include_router(url_check.router)
    app.include_router(usage.router)
    app.include_router(pages.router)
    app.mount("/static", pages.OwnFiles())
    app.include_router(health.router)
    app.include_router(metrics.router)
    has_admin = settings.admin.token is not None
    if has_admin:
        app.include_router(admin.router)
    app.openapi = cache(partial(build_document, has_admin=has_admin))
    return app


def create_worker_app(services: WorkerServices, in_flight: InFlight) -> FastAPI:
    """Make the ASGI application of a worker: what operators ask, and nothing else."""
    app = FastAPI(
        title="calotype worker",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY_OF_FASTAPI,
    )
    app.state.services, app.state.in_flight = services, in_flight
    app.add_middleware(Front, observer=Observer(()))
    install_error_handlers(app)
    app.include_router(health.router)
    app.include_router(metrics.router)
    return app


def _telemetry(stack: AsyncExitStack) -> Telemetry:
    traces = open_traces(os.environ)
    stack.push_async_callback(traces.close)
    return Telemetry(traces=traces)


@asynccontextmanager
async def _open_desk(
    settings: Settings, database: Database, storage: Storage, lanes: Lanes, capturer: ObservedCapturer
) -> AsyncGenerator[Desk]:
    upkeep = Upkeep(database, storage, lease_s=settings.credits.lease_s, now_us=database_now_us)
    desk = Desk(
        capturer=capturer,
        database=database,
        storage=storage,
        lanes=lanes,
        upkeep=upkeep,
        reset=settings.credits.reset,
        clock=lambda: datetime.now(UTC),
    )
    await upkeep.start()
    try:
        yield desk
    finally:
        await desk.stop()
        await upkeep.stop()


@asynccontextmanager
async def _open_captures(
    settings: Settings, policy: EgressPolicy
) -> AsyncGenerator[tuple[EgressProxy, BrowserPool, Jail, Capturer]]:
    executable = find_browser(settings.browser)
    sandbox = await _sandbox(settings.browser)
    await asyncio.to_thread(sweep_profiles)
    async with AsyncExitStack() as stack:
        jail, listeners = await open_jail(settings.guard, program=executable, listen=open_listeners)
        stack.push_async_callback(jail.close)
        log = _log.info if jail.level is JailLevel.FULL else _log.warning
        log("jail_ready", jail=jail.level, by=jail.means, lacking=jail.lacking, fix=jail.fix)
        proxy = EgressProxy(policy, settings.guard, listeners=listeners)
        stack.push_async_callback(proxy.stop)
        await proxy.start()
        launcher = jail.launcher(executable, port=proxy.port)

        def make_browser() -> ChromiumProcess:
            timeout_s = settings.browser.start_timeout_s
            return ChromiumProcess(executable, sandbox=sandbox, launcher=launcher, start_timeout_s=timeout_s)

        async def open_page(connection: Connection) -> Page:
            return await Page.open(connection, proxy.open_channel)

        pool = BrowserPool(settings.browser, make_browser=make_browser, open_page=open_page)
        stack.push_async_callback(pool.stop)
        await pool.start()
        capturer = Capturer(pool=pool, policy=policy, settings=settings.browser)
        stack.callback(capturer.close)
        yield proxy, pool, jail, capturer


async def _storage(settings: Settings) -> Storage:
    storage = open_storage(settings.storage_url)
    try:
        await storage.ping()
    except OSError as error:
        raise StorageUnusable(f"CALOTYPE_STORAGE__URL: the storage does not answer: {error}.") from error
    return storage


def _policy(settings: Settings) -> EgressPolicy:
    try:
        return EgressPolicy(settings.guard)
    except ValueError as error:
        raise SettingsUnusable(str(error)) from error


async def _sandbox(settings: BrowserSettings) -> bool:
    """Whether Chromium's own sandbox is to be on."""
    if settings.sandbox == "off":
        return False
    possible, reason = await asyncio.to_thread(sandbox_available)
    if not possible and settings.sandbox == "on":
        raise BrowserStartFailed(f"CALOTYPE_BROWSER__SANDBOX is on, but {reason}. To mend it: {sandbox_fix()}.")
    if not possible:
        _log.warning("sandbox_off", reason=reason, fix=sandbox_fix())
    return possible
