"""What a step sets going beyond its document: another page in its place, a new window.

Chromium reports both before it answers the call that sent the event, a form's submission excepted: of that it reports
first that it was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from calotype.browser.cdp import ConnectionLost
from calotype.browser.page import Page

_ASKED_GRACE_S = 0.5  # what was asked for and has not begun by then was refused
_LOOK_AGAIN_S = 0.25


class NavigationWatch:
    """Make it before the first step."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._changed = asyncio.Event()
        self._is_asked = False
        self._is_under_way = False
        self._has_arrived = False
        self._has_begun = False
        self.wanted_window = False
        """Whether the step wanted a new one; Chromium opens none (`--block-new-web-contents`)."""
        for event, handler in (
            ("Page.frameRequestedNavigation", self._on_requested),
            ("Page.frameStartedNavigating", self._on_started),
            ("Page.frameNavigated", self._on_navigated),
            ("Page.frameStoppedLoading", self._on_stopped),
            ("Page.navigatedWithinDocument", self._on_stopped),
            ("Page.windowOpen", self._on_window),
        ):
            page.session.on(event, handler)

    @property
    def came_to_nothing(self) -> bool:
        """Whether the step began a navigation that brought no document."""
        return self._has_begun and not self._has_arrived

    async def begun(self) -> None:
        """Wait until a navigation is under way.

        Raises:
            ConnectionLost
        """
        while not self._has_begun:
            await self._until_changed()

    def begin_step(self) -> None:
        """Forget what the steps before did."""
        self._has_arrived = self._has_begun = self.wanted_window = False

    async def over(self) -> None:
        """Wait until no navigation is under way.

        Raises:
            ConnectionLost
        """
        if self._is_asked and not self._is_under_way:
            try:
                async with asyncio.timeout(_ASKED_GRACE_S):
                    await self._until_changed()
            except TimeoutError:
                self._is_asked = False
        while self._is_under_way:
            await self._until_changed()

    async def _until_changed(self) -> None:
        self._changed.clear()
        while not self._changed.is_set():
            if self._page.is_lost:
                raise ConnectionLost("the page is gone")
            with contextlib.suppress(TimeoutError):  # a page that is lost reports nothing
                await asyncio.wait_for(self._changed.wait(), _LOOK_AGAIN_S)

    def _on_requested(self, event: dict[str, Any]) -> None:
        if self._is_of_page(event) and event.get("disposition") == "currentTab":
            self._is_asked = True

    def _on_started(self, event: dict[str, Any]) -> None:
        if self._is_of_page(event) and "ameDocument" not in event.get("navigationType", ""):
            self._has_begun = True
            self._set(is_under_way=True)

    def _on_navigated(self, event: dict[str, Any]) -> None:
        if event["frame"]["id"] == self._page.main_frame_id:
            self._has_arrived = True
            self._set(is_under_way=False)

    def _on_stopped(self, event: dict[str, Any]) -> None:
        if self._is_of_page(event):
            self._set(is_under_way=False)

    def _on_window(self, _: dict[str, Any]) -> None:
        self.wanted_window = True

    def _set(self, *, is_under_way: bool) -> None:
        self._is_asked = False
        self._is_under_way = is_under_way
        self._changed.set()

    def _is_of_page(self, event: dict[str, Any]) -> bool:
        return event["frameId"] == self._page.main_frame_id
