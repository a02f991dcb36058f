"""The same loop as a Playwright user writes it: same browser binary, same flags, same readiness rule.

`screenshot` calls `page.screenshot()`, which is what most people run; `cdp` takes the picture through a DevTools
session with `optimizeForSpeed`, which makes the comparison with the other sides one of like with like.
"""

from __future__ import annotations

import asyncio
import binascii
import sys
from typing import TYPE_CHECKING, Any

from playwright.async_api import async_playwright

from bench.chromium import find_executable, has_sandbox, playwright_flags
from bench.loop import run
from bench.readiness import SETTLE, InFlight
from bench.side import HEIGHT, JPEG_QUALITY, WIDTH, Picture, work

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page


class PlaywrightLoop:
    def __init__(self, *, through_cdp: bool) -> None:
        self._through_cdp = through_cdp

    async def open(self) -> None:
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(
            executable_path=find_executable(), args=playwright_flags(), chromium_sandbox=has_sandbox()
        )
        self._closing: list[asyncio.Task[None]] = []

    async def shoot(self, url: str, image_format: str) -> Picture:
        context = await self._browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        try:
            return await self._shoot_in(context, url, image_format)
        finally:
            self._closing.append(asyncio.create_task(context.close()))

    async def _shoot_in(self, context: BrowserContext, url: str, image_format: str) -> Picture:
        page = await context.new_page()
        requests = InFlight()
        page.on("request", lambda request: requests.start(request, request.resource_type))
        page.on("requestfinished", requests.end)
        page.on("requestfailed", requests.end)
        await page.goto(url, wait_until="load")
        while True:
            started = await requests.quiet()
            await page.evaluate(SETTLE)
            if requests.is_quiet_since(started):
                break
        return Picture(await self._capture(page, image_format))

    async def _capture(self, page: Page, image_format: str) -> bytes:
        quality: dict[str, Any] = {"quality": JPEG_QUALITY} if image_format == "jpeg" else {}
        if not self._through_cdp:
            return await page.screenshot(type="jpeg" if image_format == "jpeg" else "png", **quality)
        session = await page.context.new_cdp_session(page)
        params = {"format": image_format, "optimizeForSpeed": True, **quality}
        return binascii.a2b_base64((await session.send("Page.captureScreenshot", params))["data"])

    async def quiesce(self) -> None:
        await asyncio.gather(*self._closing)
        self._closing.clear()

    async def close(self) -> None:
        await self._browser.close()
        await self._playwright.stop()


if __name__ == "__main__":
    run(work(PlaywrightLoop(through_cdp=sys.argv[1:] == ["cdp"])))
