"""Bring in the whole of a page: what loads when a reader comes near, what an app shell hides, what keeps to the screen.

A viewport as high as the page shows all of it at once, as it is. Where the layout depends on the viewport's height
(100vh, a fixed backdrop), or the page is too high for one, it is scrolled through instead and drawn beyond its own
viewport (docs/adr/0011).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

from calotype.browser.page import Page
from calotype.capture.area import Area, full_page
from calotype.capture.bands import BAND_PIXELS
from calotype.capture.deadline import Deadline
from calotype.capture.prepare import set_screen
from calotype.capture.world import World
from calotype.request import CaptureRequest

_GROWTH_S = 10.0  # a page that grows for longer grows for ever
_THROTTLED_MS = 150  # some handlers of scrolling are called that much later
_TWO_FRAMES = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"

Settle = Callable[[Area | None], Awaitable[None]]


class FullPage:
    """`bring_in()` once; `settle` waits until an area of the page is ready."""

    def __init__(
        self, page: Page, world: World, request: CaptureRequest, deadline: Deadline, *, settle: Settle
    ) -> None:
        self._page = page
        self._world = world
        self._request = request
        self._deadline = deadline
        self._settle = settle
        _, self._viewport_height = request.viewport.size
        self.warnings: list[dict[str, Any]] = []

    async def bring_in(self) -> None:
        """Raises as `settle`."""
        loads = self._request.render.scroll is not False
        async with self._deadline.waiting_for("the page to unfold", "scroll"):
            shell: dict[str, float] = await self._world.run("unfold", loads)
            height = self._viewport_height + math.ceil(shell["hidden"])
            if shell["hidden"] and self._is_fit(height):
                self._viewport_height = height
                await set_screen(self._page, self._request, height)
        if loads:
            self._ends_at = _now() + min(_GROWTH_S, self._deadline.remaining_s / 2)
            listens = shell["unfolded"] > 0 or await self._listens_to_scrolling()
            pause_ms = _THROTTLED_MS if listens else 0
            if not await self._stand_tall(pause_ms):
                await self._scroll_through(pause_ms)
        async with self._deadline.waiting_for("the page's size"):
            await self._world.run("pin", self._request.max_height)
        await self._settle(await self._area())

    async def _stand_tall(self, pause_ms: int) -> bool:
        """Make the viewport as high as the page, and again while that grows; False where it is not the same page so."""
        seen, height = self._viewport_height, (await self._area()).height
        if height > seen and not await self._world.run("same_layout", True):
            return False
        while height > seen:
            if not self._is_fit(height):
                await set_screen(self._page, self._request, self._viewport_height)
                return False
            async with self._deadline.waiting_for("scrolling", "scroll"):
                await set_screen(self._page, self._request, int(height))
                await self._world.evaluate(_TWO_FRAMES)
                if seen == self._viewport_height and not await self._world.run("same_layout", False):
                    await set_screen(self._page, self._request, self._viewport_height)
                    return False
                await self._world.run("tell_of_scrolling", pause_ms)
            seen = height
            area = await self._area()
            await self._settle(area)
            height = (await self._area()).height
            if height > seen and self._has_grown_for_long(seen):
                return True
        return True

    async def _scroll_through(self, pause_ms: int) -> None:
        seen = 0.0
        height = (await self._area()).height
        while height > seen:
            async with self._deadline.waiting_for("scrolling", "scroll"):
                await self._world.run("tell_of_scrolling", pause_ms)
                left_ms = max(0.0, self._ends_at - _now()) * 1000
                await self._world.run("scroll_through", seen, self._request.max_height, pause_ms, left_ms)
            seen = height
            await self._settle(await self._area())
            height = (await self._area()).height
            if height > seen and self._has_grown_for_long(height):
                return

    def _has_grown_for_long(self, height: float) -> bool:
        if _now() < self._ends_at:
            return False
        message = f"The page went on growing while it was scrolled; the picture ends at {height:g} px."
        self.warnings.append({"code": "page_keeps_growing", "field": "full_page", "message": message})
        return True

    def _is_fit(self, height: float) -> bool:
        """Whether a viewport of that height takes Chromium no more than a band does."""
        width, scale = self._request.viewport.size[0], self._request.viewport.scale
        return width * height * scale * scale <= BAND_PIXELS

    async def _area(self) -> Area:
        async with self._deadline.waiting_for("the page's size"):
            return await full_page(self._page, self._request.max_height)

    async def _listens_to_scrolling(self) -> bool:
        for target in ("window", "document"):
            found = await self._page.session.call("Runtime.evaluate", expression=target)
            listeners = await self._page.session.call(
                "DOMDebugger.getEventListeners", objectId=found["result"]["objectId"]
            )
            if any(listener["type"] == "scroll" for listener in listeners["listeners"]):
                return True
        return False


def _now() -> float:
    return asyncio.get_running_loop().time()
