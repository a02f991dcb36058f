"""The mouse and the keyboard: events as a user's, which the page can't tell from them.

https://chromedevtools.github.io/devtools-protocol/tot/Input/
"""

from __future__ import annotations

import math
from itertools import accumulate

from calotype.browser.cdp import Session
from calotype.request.keys import ENTER, PRINTABLE, Key, Keystroke

_BITS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
_KEY_BY_KEY_MAX_CHARS = 500
_WHEEL_TURNS_MAX = 100


class Mouse:
    """Points in pixels of the view."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def move(self, x: float, y: float) -> None:
        await self._session.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    async def click(self, x: float, y: float) -> None:
        await self.move(x, y)
        pressed = {"x": x, "y": y, "button": "left", "clickCount": 1}
        await self._session.call("Input.dispatchMouseEvent", type="mousePressed", buttons=1, **pressed)
        await self._session.call("Input.dispatchMouseEvent", type="mouseReleased", buttons=0, **pressed)

    async def wheel(self, x: float, y: float, by_px: float, turn_px: float) -> None:
        """Turn the wheel over a point until it has gone `by_px` down, `turn_px` at a time."""
        turn_px = max(turn_px, math.ceil(abs(by_px) / _WHEEL_TURNS_MAX))
        left_px = by_px
        while left_px:
            turned_px = max(-turn_px, min(turn_px, left_px))
            left_px -= turned_px
            delta = {"deltaX": 0, "deltaY": turned_px}
            await self._session.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, **delta)


class Keyboard:
    """Goes to what is in focus."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def press(self, stroke: Keystroke) -> None:
        held = list(accumulate((_BITS[modifier.key] for modifier in stroke.modifiers), initial=0))
        for modifier, bits in zip(stroke.modifiers, held[1:], strict=True):
            await self._down(modifier, bits)
        await self._down(stroke.key, held[-1])
        await self._up(stroke.key, held[-1])
        for modifier, bits in zip(reversed(stroke.modifiers), reversed(held[:-1]), strict=True):
            await self._up(modifier, bits)

    async def write(self, text: str) -> None:
        """Type the text; a line's end is Enter. What has no key, and all of a long text, is put in as an IME does."""
        by_key = len(text) <= _KEY_BY_KEY_MAX_CHARS
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n")):
            if number:
                await self.press(Keystroke((), ENTER))
            for part in line if by_key else filter(None, [line]):
                key = PRINTABLE.get(part)
                if key is None:
                    await self._session.call("Input.insertText", text=part)
                else:
                    await self.press(Keystroke((), key))

    async def _down(self, key: Key, modifiers: int) -> None:
        # With Control, Alt or Meta a key is a command and writes nothing.
        text = key.text if modifiers in (0, _BITS["Shift"]) else ""
        written = {"text": text, "unmodifiedText": text} if text else {}
        kind = "keyDown" if text else "rawKeyDown"
        await self._session.call("Input.dispatchKeyEvent", type=kind, modifiers=modifiers, **_event(key), **written)

    async def _up(self, key: Key, modifiers: int) -> None:
        await self._session.call("Input.dispatchKeyEvent", type="keyUp", modifiers=modifiers, **_event(key))


def _event(key: Key) -> dict[str, str | int]:
    location = {"location": 1} if key.key in _BITS else {}
    return {"key": key.key, "code": key.code, "windowsVirtualKeyCode": key.key_code, **location}
