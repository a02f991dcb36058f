"""What the page's timers would do in the next moment, seen at once.

Preloaders that go after half a second, content that comes in with a delay: no request tells of them, and waiting for
them costs every page that has none. So the page's clock is moved on instead (CDP, Emulation.setVirtualTimePolicy):
timers that were due by then run one after the other, which takes some milliseconds. Chromium has no way back: from then
on the clock stands, unless time is given to it bit by bit, as `flowing` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from calotype.browser.page import Page
from calotype.capture.activity import PageActivity
from calotype.capture.world import World

HORIZON_S = 1.0
"""As far as is looked, from the moment on in which the page was loaded and had its last answer. `networkidle` waits for
half of it."""

_PATIENCE_S = 0.3  # timers that take so long to run are busy work
_TICK_S = 0.02
_STARVED_TASKS = 10_000  # a page that posts itself messages without end must not keep time from moving


class PageClock:
    """The page's time. It is real until the first look ahead."""

    def __init__(self, page: Page, world: World, activity: PageActivity) -> None:
        self._session = page.session
        self._world = world
        self._activity = activity
        self._stands = False

    async def look_ahead(self, *, is_driven: bool) -> bool:
        """Run what is due within `HORIZON_S`; return whether something came of it: changes, or requests.

        Args:
            is_driven: scripts ran that are not of the document; without them, one that has none is not looked at:
                Chromium uses the time that it is given to collect garbage, some 50 ms of CPU for a large document.

        Raises:
            ConnectionLost: the page is gone.
        """
        ahead_s = HORIZON_S - self._activity.quiet_s
        if ahead_s <= 0:
            return False
        started, document = self._activity.requests.started, self._activity.committed_id
        if not await self._world.run("changes", True, is_driven):
            return False
        moved = asyncio.Event()
        self._session.on("Emulation.virtualTimeBudgetExpired", lambda _: moved.set())
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._give(ahead_s, policy="pauseIfNetworkFetchesPending")
                await moved.wait()
                has_changed = bool(await self._world.run("changes", False, is_driven))
        except TimeoutError:
            has_changed = False
        finally:
            self._session.off_all("Emulation.virtualTimeBudgetExpired")
        went_on = document != self._activity.committed_id
        return has_changed or went_on or started != self._activity.requests.started

    @asynccontextmanager
    async def flowing(self) -> AsyncGenerator[None]:
        """Inside the block the page's time passes as ours does."""
        if not self._stands:
            yield
            return
        flow = asyncio.create_task(self._flow(), name="page-time")
        try:
            yield
        finally:
            flow.cancel()
            await asyncio.gather(flow, return_exceptions=True)

    async def _flow(self) -> None:
        loop = asyncio.get_running_loop()
        given_until = loop.time()
        while True:
            await asyncio.sleep(_TICK_S)
            now = loop.time()
            await self._give(now - given_until, policy="advance")
            given_until = now

    async def _give(self, seconds: float, *, policy: str) -> None:
        self._stands = True
        await self._session.call(
            "Emulation.setVirtualTimePolicy",
            policy=policy,
            budget=seconds * 1000,
            maxVirtualTimeTaskStarvationCount=_STARVED_TASKS,
        )
