"""Pages to lease: how many at once, who waits, and which browser serves them.

A lease is one fresh page. The pool bounds what runs (`pages`) and what waits (`queue`, then `Overloaded`), keeps one
page ready while nothing runs, and replaces a browser that died, fails its probes, or has served its share; then the
replacement is up before the old one is drained, so recycling costs no pause. It knows a browser by the `Browser`
protocol only.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from calotype.browser.bounds import hold_to_bounds
from calotype.browser.cdp import CdpError, Connection, ConnectionLost
from calotype.browser.page import Page
from calotype.browser.process import BrowserStartFailed
from calotype.browser.process_tree import tree_memory_bytes
from calotype.browser.slots import Slots
from calotype.errors import Overloaded, ShuttingDown
from calotype.settings import BrowserSettings

_log = structlog.get_logger(__name__)

_PROBE_INTERVAL_S = 10.0
_PROBES_MISSED = 2
_RESTART_PAUSE_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # before the first, second, … try
_OPEN_TRIES = 3  # a browser may die while a page is opened on it; the page has not been used yet, so nothing is lost
_PLANNED = frozenset({"captures", "memory"})


class Browser(Protocol):
    """One browser process, started once and stopped once; `ChromiumProcess` is the real one."""

    @property
    def connection(self) -> Connection: ...

    @property
    def closed(self) -> asyncio.Event: ...

    @property
    def keeper_pid(self) -> int | None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def is_healthy(self) -> bool: ...


OpenPage = Callable[[Connection], Awaitable[Page]]


@dataclass(frozen=True, slots=True)
class Lease:
    """A fresh page, for one capture."""

    page: Page
    queue_ms: int


@dataclass(eq=False)
class _Seat:
    """A running browser and what it serves."""

    browser: Browser
    active: int = 0
    served: int = 0
    memory_bytes: int = 0
    """At the last probe."""
    warm: asyncio.Task[Page] | None = None
    checked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the supervisor should look now instead of at the next probe."""
    drained: asyncio.Event = field(default_factory=asyncio.Event)


class BrowserPool:
    """`start()`, then `async with pool.lease() as lease`, then `stop()`."""

    def __init__(self, settings: BrowserSettings, *, make_browser: Callable[[], Browser], open_page: OpenPage) -> None:
        self._settings = settings
        self._make_browser = make_browser
        self._open_page = open_page
        self._slots = Slots(settings.pages, queue=settings.queue)
        self._seats: list[_Seat] = []
        self._draining: set[_Seat] = set()
        self._seat_added = asyncio.Event()
        self._supervisors: list[asyncio.Task[None]] = []
        self._background: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self.captures = 0
        self.restarts: Counter[str] = Counter()
        """Browsers replaced, by reason: `exited`, `unhealthy`, `captures`, `memory`."""
        self.starts = 0
        self.start_failures = 0

    @property
    def is_ready(self) -> bool:
        return bool(self._seats) and not self._stopping

    @property
    def active(self) -> int:
        return self._slots.active

    @property
    def waiting(self) -> int:
        return self._slots.waiting

    @property
    def size(self) -> int:
        return self._settings.pages

    @property
    def queue(self) -> int:
        """How many may wait."""
        return self._settings.queue

    @property
    def is_full(self) -> bool:
        """Whether the next lease would be refused at once."""
        return self.active >= self.size and self.waiting >= self.queue

    @property
    def browsers(self) -> int:
        """Those that take captures."""
        return len(self._seats)

    @property
    def memory_bytes(self) -> int:
        """Of all browsers, each at its last probe."""
        return sum(seat.memory_bytes for seat in (*self._seats, *self._draining))

    async def start(self) -> None:
        """Start every browser.

        Raises:
            BrowserStartFailed: one did not come up; none is left running.
        """
        browsers = [self._make_browser() for _ in range(self._settings.processes)]
        results = await asyncio.gather(*(browser.start() for browser in browsers), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            await asyncio.gather(*(browser.stop() for browser in browsers))
            raise failures[0]
        for number, browser in enumerate(browsers):
            seat = self._seat(browser)
            task = asyncio.create_task(self._supervise(seat), name=f"browser-supervisor-{number}")
            self._supervisors.append(task)

    async def stop(self) -> None:
        """Refuse new leases and stop every browser. Captures still running fail with `PageCrashed`."""
        self._stopping = True
        self._slots.close(ShuttingDown)
        for task in self._supervisors:
            task.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)
        for seat in tuple(self._seats):
            self._unseat(seat)
            self._spawn(self._stop_seat(seat), "browser-stop")
        for seat in self._draining:
            seat.drained.set()
        while self._background:
            await asyncio.gather(*self._background, return_exceptions=True)

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Lease]:
        """A fresh page, disposed of behind the caller's back when the block ends, however it ends.

        Raises:
            Overloaded: too many wait, none came free in time, or no browser is up.
            ShuttingDown: the pool is stopping.
        """
        arrived = time.monotonic()
        await self._slots.acquire(self._settings.queue_timeout_s)
        try:
            seat, page = await self._take_page()
        except BaseException:
            self._slots.release()
            raise
        try:
            yield Lease(page, queue_ms=round((time.monotonic() - arrived) * 1000))
        finally:
            self.captures += 1
            self._spawn(self._dispose(seat, page), "page-dispose")

    async def _take_page(self) -> tuple[_Seat, Page]:
        for _ in range(_OPEN_TRIES):
            seat = await self._choose_seat()
            seat.active += 1
            waited, seat.warm = seat.warm, None
            opening = waited or asyncio.ensure_future(self._open_page(seat.browser.connection))
            try:
                page = await asyncio.shield(opening)
                if waited is None or await page.is_alive():
                    return seat, page
                self._spawn(page.close(), "page-close")
            except (CdpError, ConnectionLost, OSError):
                pass
            except BaseException:
                self._spawn(_close_opened(opening), "page-close")
                self._leave(seat)
                raise
            self._leave(seat)
        raise Overloaded("No browser could open a page.", retry_after_s=1)

    async def _choose_seat(self) -> _Seat:
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                while not (live := [seat for seat in self._seats if not seat.browser.closed.is_set()]):
                    self._seat_added.clear()
                    await self._seat_added.wait()
        except TimeoutError:
            raise Overloaded("No browser is running; the server is starting one.", retry_after_s=5) from None
        return min(live, key=lambda seat: seat.active)

    async def _dispose(self, seat: _Seat, page: Page) -> None:
        try:
            await page.close()
        finally:
            seat.served += 1
            self._leave(seat)
            self._slots.release()
            if seat.served >= self._settings.recycle_captures:
                seat.checked.set()
            elif not self._slots.active and not self._stopping and seat in self._seats and seat.warm is None:
                # Only while nothing runs: refilling under load costs throughput (docs/adr/0001).
                seat.warm = asyncio.ensure_future(self._open_page(seat.browser.connection))
                seat.warm.add_done_callback(_mark_seen)

    def _leave(self, seat: _Seat) -> None:
        seat.active -= 1
        if seat not in self._seats and not seat.active:
            seat.drained.set()

    async def _supervise(self, seat: _Seat) -> None:
        """Keep one browser running: replace it, planned or not, for as long as the pool runs."""
        while True:
            reason = await self._watch(seat)
            self.restarts[reason] += 1
            planned = reason in _PLANNED
            _log.log(20 if planned else 30, "browser_replaced", reason=reason, served=seat.served)
            if not planned:
                self._unseat(seat)
                self._spawn(self._stop_seat(seat), "browser-stop")
            replacement = self._seat(await self._start_browser())
            if planned:
                self._unseat(seat)
                self._spawn(self._drain_seat(seat), "browser-drain")
            seat = replacement

    async def _watch(self, seat: _Seat) -> str:
        """Wait until this browser has to go; return why. Meanwhile its pages are held to their bounds."""
        held = hold_to_bounds(seat.browser.keeper_pid, self._settings, while_=lambda: seat.active > 0)
        holding = asyncio.create_task(held, name="page-bounds")
        try:
            return await self._until_due(seat)
        finally:
            holding.cancel()

    async def _until_due(self, seat: _Seat) -> str:
        missed = 0
        closed = asyncio.ensure_future(seat.browser.closed.wait())
        try:
            while True:
                checked = asyncio.ensure_future(seat.checked.wait())
                await asyncio.wait({closed, checked}, timeout=_PROBE_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED)
                checked.cancel()
                seat.checked.clear()
                if closed.done():
                    return "exited"
                if seat.served >= self._settings.recycle_captures:
                    return "captures"
                missed = 0 if await seat.browser.is_healthy() else missed + 1
                if missed >= _PROBES_MISSED:
                    return "unhealthy"
                if pid := seat.browser.keeper_pid:
                    seat.memory_bytes = await asyncio.to_thread(tree_memory_bytes, pid)
                if seat.memory_bytes > self._settings.recycle_memory_bytes:
                    return "memory"
        finally:
            closed.cancel()

    async def _start_browser(self) -> Browser:
        failures = 0
        while True:
            await asyncio.sleep(_RESTART_PAUSE_S[min(failures, len(_RESTART_PAUSE_S) - 1)])
            browser = self._make_browser()
            try:
                await browser.start()
            except BrowserStartFailed as error:
                failures += 1
                self.start_failures += 1
                _log.error("browser_start_failed", failures=failures, error=str(error))
            else:
                return browser

    async def _stop_seat(self, seat: _Seat) -> None:
        await seat.browser.stop()  # first: a page that a wedged browser does not open would be awaited for ever
        if seat.warm is not None:
            await _close_opened(seat.warm)

    async def _drain_seat(self, seat: _Seat) -> None:
        if seat.active and not self._stopping:
            self._draining.add(seat)
            await seat.drained.wait()
            self._draining.discard(seat)
        await self._stop_seat(seat)

    def _seat(self, browser: Browser) -> _Seat:
        seat = _Seat(browser)
        self._seats.append(seat)
        self.starts += 1
        self._seat_added.set()
        return seat

    def _unseat(self, seat: _Seat) -> None:
        if seat in self._seats:
            self._seats.remove(seat)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _close_opened(opening: asyncio.Future[Page]) -> None:
    """Close a page that nobody will use, once it is open."""
    try:
        page = await opening
    except (CdpError, ConnectionLost, OSError):
        return
    await page.close()


def _mark_seen(opening: asyncio.Future[Page]) -> None:
    if not opening.cancelled():
        opening.exception()
