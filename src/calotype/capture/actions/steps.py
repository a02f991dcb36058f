"""What each kind of step does."""

from __future__ import annotations

import asyncio
from typing import Any, assert_never

from calotype.browser.page import Page
from calotype.capture.actions.elements import Elements, Reached
from calotype.capture.actions.frames import FrameGone, Frames
from calotype.capture.actions.navigation import NavigationWatch
from calotype.capture.actions.pointing import Keyboard, Mouse
from calotype.capture.actions.progress import Progress, StepFailed
from calotype.capture.actions.script import evaluate
from calotype.capture.world import World
from calotype.request import CaptureRequest
from calotype.request.actions import (
    AnyAction,
    Check,
    Click,
    Evaluate,
    Hover,
    Press,
    Scroll,
    Select,
    TypeText,
    Wait,
    WaitForElement,
)
from calotype.request.keys import Keystroke, keystroke

_DELETE = keystroke("Delete")
_CHECK_LOOKS, _CHECK_PAUSE_S = 10, 0.05


class Steps:
    """Performs steps on the page as it is. `progress` tells how far the one under way has come."""

    def __init__(self, page: Page, world: World, request: CaptureRequest, navigation: NavigationWatch) -> None:
        self.progress = Progress()
        self._navigation = navigation
        self._session = page.session
        self._world = world
        self._view_size = request.viewport.size
        self._frames = Frames(page)
        self._elements = Elements(self._frames, self.progress)
        self._mouse = Mouse(page.session)
        self._keyboard = Keyboard(page.session)

    async def perform(self, action: AnyAction) -> tuple[Any, str | None]:
        """Carry the step out; return its result, of `evaluate` only, and a note.

        Raises:
            StepFailed, InvalidSelector
        """
        match action:
            case Click():
                await self._click("click", action.selector)
            case TypeText():
                await self._type(action)
            case Press():
                await self._press(action)
            case Hover():
                reached = await self._elements.reach("hover", action.selector)
                await self._mouse.move(reached.x, reached.y)
            case Scroll():
                await self._scroll(action)
            case Select():
                await self._elements.reach("select", action.selector, action.value)
            case Check():
                await self._check(action)
            case Wait():
                self.progress.reason = "it waits"
                await asyncio.sleep(action.ms / 1000)
            case WaitForElement():
                await self._elements.wait_for(action.selector, action.state)
            case Evaluate():
                self.progress.reason = "the script did not end"
                return await evaluate(self._session, self._world, action.script)
            case _:
                assert_never(action)
        return None, None

    async def _click(self, kind: str, selector: str, argument: Any = None) -> Reached:
        """Click the element, again when something else would have been met; return where."""
        while True:
            reached = await self._elements.reach(kind, selector, argument)
            if reached.is_done or await self._meets(reached):
                return reached
            self.progress.reason = "it moved, or was covered, just when it was clicked"

    async def _meets(self, reached: Reached) -> bool:
        """Click at the point; if the held element is not what the click meets, the page does not see it."""
        self.progress.reason = "the page does not take the click"
        try:
            await self._frames.call(reached.frame, "guard")
            await self._mouse.click(reached.x, reached.y)
            # None: the page kept the events from us; they went where it wants them.
            return await self._unless_leaving(reached, "unguard") is not False
        except FrameGone:
            return True  # the click led elsewhere

    async def _unless_leaving(self, reached: Reached, function: str, *arguments: Any) -> Any:
        """As `Frames.call`; None if the page sets off for another one, until when Chromium holds calls back."""
        asking = asyncio.ensure_future(self._frames.call(reached.frame, function, *arguments))
        leaving = asyncio.ensure_future(self._navigation.begun())
        try:
            await asyncio.wait({asking, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return asking.result() if asking.done() else leaving.result()
        finally:
            asking.cancel()
            leaving.cancel()
            await asyncio.gather(asking, leaving, return_exceptions=True)

    async def _type(self, action: TypeText) -> None:
        text = action.text.get_secret_value()
        if action.selector is None:
            await self._elements.wait_for_focus()
        else:
            reached = await self._elements.reach("type", action.selector)
            if reached.takes_value:
                await self._set_value(reached, text)
                return
        self.progress.reason = "the page does not take the keys"
        if text:
            await self._keyboard.write(text)
        elif action.selector is not None:
            await self._keyboard.press(_DELETE)

    async def _set_value(self, reached: Reached, text: str) -> None:
        try:
            if await self._unless_leaving(reached, "setValue", text) is False:
                raise StepFailed("the field does not take this value; dates are written 2030-12-31, times 23:59")
        except FrameGone:
            pass  # it was the last thing that the page waited for

    async def _press(self, action: Press) -> None:
        if action.selector is not None:
            await self._elements.reach("focus", action.selector)
        self.progress.reason = "the page does not take the key"
        stroke: Keystroke = keystroke(action.key)
        await self._keyboard.press(stroke)

    async def _scroll(self, action: Scroll) -> None:
        if action.selector is not None:
            await self._elements.reach("scroll", action.selector)
        elif action.by is not None:
            self.progress.reason = "the page does not take the wheel"
            width, height = self._view_size
            await self._mouse.wheel(width / 2, height / 2, action.by, height)
            await self._world.run("actions/still")
        else:
            await self._world.run("actions/scroll", action.to)

    async def _check(self, action: Check) -> None:
        reached = await self._click("check", action.selector, action.checked)
        if reached.is_done:
            return
        for _ in range(_CHECK_LOOKS):
            try:
                is_checked = await self._unless_leaving(reached, "isChecked", action.selector)
            except FrameGone:
                return
            if is_checked in (action.checked, None):
                return
            await asyncio.sleep(_CHECK_PAUSE_S)  # a page may set the state itself, a little later
        raise StepFailed("a click does not change it")
