"""A browser and pages without Chromium, at the pool's two seams."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from calotype.browser.cdp import Connection
from calotype.browser.page import Page
from calotype.browser.process import BrowserStartFailed


class FakeBrowser:
    def __init__(self, *, starts: bool = True, healthy: bool = True) -> None:
        self.connection = Connection()
        self.keeper_pid = None
        self.starts = starts
        self.healthy = healthy
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()

    @property
    def closed(self) -> asyncio.Event:
        return self.connection.closed

    async def start(self) -> None:
        if not self.starts:
            raise BrowserStartFailed("no")
        self.started.set()

    async def stop(self) -> None:
        self.connection.close()
        self.stopped.set()

    async def is_healthy(self) -> bool:
        return self.healthy

    def die(self) -> None:
        """As seen by the server when Chromium is killed: the pipe ends."""
        self.connection.lose("killed")


class FakePage:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.closed = asyncio.Event()
        self.answers = True

    async def is_alive(self) -> bool:
        return self.answers and not self.connection.root.is_lost

    async def close(self) -> None:
        self.closed.set()


class FakeSite:
    """Hands out fake browsers and pages and remembers them."""

    def __init__(self) -> None:
        self.browsers: list[FakeBrowser] = []
        self.pages: list[FakePage] = []
        self.next_browsers: list[FakeBrowser] = []
        self.made = asyncio.Event()

    def make_browser(self) -> Any:
        browser = self.next_browsers.pop(0) if self.next_browsers else FakeBrowser()
        self.browsers.append(browser)
        self.made.set()
        return browser

    async def open_page(self, connection: Connection) -> Page:
        await asyncio.sleep(0)
        if connection.root.is_lost:
            await connection.root.call("Target.createBrowserContext")
        page = FakePage(connection)
        self.pages.append(page)
        return cast("Page", page)
