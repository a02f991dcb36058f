"""The pool against fake browsers: what happens around a capture, at full speed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from calotype.browser.cdp import Connection, ConnectionLost
from calotype.browser.page import Page
from calotype.browser.pool import BrowserPool
from calotype.browser.process import BrowserStartFailed
from calotype.errors import Overloaded, ShuttingDown
from calotype.settings import BrowserSettings

from .fakes import FakeBrowser, FakeSite


@asynccontextmanager
async def running(site: FakeSite, **settings: Any) -> AsyncIterator[BrowserPool]:
    pool = BrowserPool(BrowserSettings(**settings), make_browser=site.make_browser, open_page=site.open_page)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


async def until(predicate: Callable[[], bool]) -> None:
    """Let the other tasks run until the predicate holds; the test's own timeout bounds it."""
    while not predicate():  # noqa: ASYNC110 - the pool has no event for what its background tasks have done
        await asyncio.sleep(0)


async def test_a_lease_gives_a_fresh_page_and_closes_it() -> None:
    site = FakeSite()
    async with running(site, pages=1) as pool:
        async with pool.lease() as first:
            pass
        async with pool.lease() as second:
            pass
        assert first.page is not second.page
        await until(lambda: all(page.closed.is_set() for page in site.pages[:2]))
    assert all(page.closed.is_set() for page in site.pages)


async def test_a_page_is_made_ready_while_nothing_runs_and_used_next() -> None:
    site = FakeSite()
    async with running(site, pages=2) as pool:
        async with pool.lease():
            pass
        await until(lambda: len(site.pages) == 2)
        ready = site.pages[1]
        async with pool.lease() as lease:
            assert lease.page is ready  # type: ignore[comparison-overlap]


async def test_a_page_that_died_while_it_waited_is_not_leased() -> None:
    site = FakeSite()
    async with running(site, pages=2) as pool:
        async with pool.lease():
            pass
        await until(lambda: len(site.pages) == 2)
        dead = site.pages[1]
        dead.answers = False
        async with pool.lease() as lease:
            assert lease.page is not dead  # type: ignore[comparison-overlap]
        await until(dead.closed.is_set)


async def test_no_page_is_made_ready_while_another_capture_runs() -> None:
    site = FakeSite()
    async with running(site, pages=2) as pool, pool.lease():
        async with pool.lease():
            pass
        await until(lambda: site.pages[-1].closed.is_set() and pool.active == 1)
        assert len(site.pages) == 2


async def test_the_lease_is_released_when_the_capture_is_cancelled() -> None:
    site = FakeSite()
    async with running(site, pages=1) as pool:
        entered = asyncio.Event()

        async def capture() -> None:
            async with pool.lease():
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(capture())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: pool.active == 0)
        assert site.pages[0].closed.is_set()


async def test_a_browser_that_died_is_replaced_and_the_next_capture_served() -> None:
    site = FakeSite()
    async with running(site, pages=1) as pool:
        async with pool.lease():
            site.browsers[0].die()
        async with pool.lease() as lease:
            assert await lease.page.is_alive()
        assert pool.restarts == {"exited": 1}
        await site.browsers[0].stopped.wait()


async def test_a_capture_waits_for_the_browser_that_is_being_started() -> None:
    site = FakeSite()
    async with running(site, pages=1) as pool:
        site.next_browsers = [FakeBrowser(starts=False), FakeBrowser()]
        site.browsers[0].die()
        async with pool.lease():
            assert len(site.browsers) == 3


async def test_without_a_browser_in_time_the_capture_is_refused_as_overload() -> None:
    site = FakeSite()
    async with running(site, pages=1, start_timeout_s=0.01) as pool:
        site.next_browsers = [FakeBrowser(starts=False) for _ in range(5)]
        site.browsers[0].die()
        with pytest.raises(Overloaded):
            async with pool.lease():
                pass
        assert pool.active == 0


async def test_recycling_starts_the_replacement_before_the_old_browser_is_drained() -> None:
    site = FakeSite()
    async with running(site, pages=2, recycle_captures=1) as pool:
        async with pool.lease() as running_on_old:
            async with pool.lease():
                pass
            await until(lambda: len(site.browsers) == 2 and site.browsers[1].started.is_set())
            await until(lambda: pool.restarts == {"captures": 1})
            async with pool.lease() as lease:
                assert lease.page.connection is site.browsers[1].connection  # type: ignore[attr-defined]
            assert not site.browsers[0].stopped.is_set()
            assert await running_on_old.page.is_alive()
        await site.browsers[0].stopped.wait()


async def test_a_failed_first_start_is_an_error_and_leaves_nothing_running() -> None:
    site = FakeSite()
    site.next_browsers = [FakeBrowser(), FakeBrowser(starts=False)]
    pool = BrowserPool(BrowserSettings(processes=2), make_browser=site.make_browser, open_page=site.open_page)
    with pytest.raises(BrowserStartFailed):
        await pool.start()
    assert all(browser.stopped.is_set() for browser in site.browsers)


async def test_stopping_refuses_those_who_wait() -> None:
    site = FakeSite()
    pool = BrowserPool(BrowserSettings(pages=1), make_browser=site.make_browser, open_page=site.open_page)
    await pool.start()

    async def capture() -> None:
        async with pool.lease():
            pass

    async with pool.lease():
        waiting = asyncio.create_task(capture())
        await until(lambda: pool.waiting == 1)
        stopping = asyncio.create_task(pool.stop())
        with pytest.raises(ShuttingDown):
            await waiting
    await stopping
    assert all(browser.stopped.is_set() for browser in site.browsers)


async def test_stopping_does_not_wait_for_a_capture_on_a_browser_that_is_being_replaced() -> None:
    site = FakeSite()
    pool = BrowserPool(
        BrowserSettings(pages=2, recycle_captures=1), make_browser=site.make_browser, open_page=site.open_page
    )
    await pool.start()
    async with pool.lease() as lease:
        async with pool.lease():
            pass
        await until(lambda: pool.restarts == {"captures": 1} and len(site.browsers) == 2)
        await site.browsers[1].started.wait()
        await pool.stop()
        assert not await lease.page.is_alive()
    assert all(browser.stopped.is_set() for browser in site.browsers)


class WedgedSite(FakeSite):
    """After the first page its browsers answer nothing, as when the system has stopped them."""

    async def open_page(self, connection: Connection) -> Page:
        if self.pages:
            await connection.closed.wait()
            raise ConnectionLost("the browser was closed")
        return await super().open_page(connection)


async def test_a_wedged_browser_is_stopped_although_a_page_was_being_made_ready() -> None:
    site = WedgedSite()
    pool = BrowserPool(BrowserSettings(pages=1), make_browser=site.make_browser, open_page=site.open_page)
    await pool.start()
    async with pool.lease():
        pass
    await until(lambda: site.pages[0].closed.is_set())
    await pool.stop()
    assert site.browsers[0].stopped.is_set()


class ShortOfDescriptors(FakeSite):
    """The first page can't be opened."""

    async def open_page(self, connection: Connection) -> Page:
        if not self.made_one:
            self.made_one = True
            raise OSError(24, "Too many open files")
        return await super().open_page(connection)

    made_one = False


async def test_a_page_that_could_not_be_opened_for_want_of_descriptors_is_tried_again() -> None:
    site = ShortOfDescriptors()
    async with running(site) as pool, pool.lease() as lease:
        assert lease.page is site.pages[0]


async def test_it_is_full_when_the_next_lease_would_be_refused() -> None:
    enough = asyncio.Event()

    async with running(FakeSite(), pages=1, queue=1) as pool:

        async def capture() -> None:
            async with pool.lease():
                await enough.wait()

        first = asyncio.create_task(capture())
        await until(lambda: pool.active == 1)
        assert not pool.is_full  # one may wait
        second = asyncio.create_task(capture())
        await until(lambda: pool.waiting == 1)
        assert pool.is_full
        with pytest.raises(Overloaded):
            await capture()
        enough.set()
        await asyncio.gather(first, second)
        assert not pool.is_full


async def test_it_counts_the_browsers_it_starts_and_those_that_do_not() -> None:
    site = FakeSite()
    async with running(site, processes=2) as pool:
        assert (pool.starts, pool.browsers) == (2, 2)
        site.browsers[0].die()
        await until(lambda: pool.starts == 3)
        site.next_browsers = [FakeBrowser(starts=False)]
        site.browsers[1].die()
        await until(lambda: pool.start_failures == 1)
        assert (pool.starts, pool.browsers, pool.restarts) == (3, 1, {"exited": 2})
