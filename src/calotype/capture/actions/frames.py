"""Our scripts in each frame of the page, and the way from a frame's pixels to the page's.

Frames of other sites are included as far as Chromium keeps them in the page's own process; headless shell does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from calotype.browser.cdp import CdpError
from calotype.browser.page import Page
from calotype.capture.world import is_context_lost, source, value_of

_FRAMES_MAX = 50
_GONE = ("No frame for given id", "Frame with the given id", "No node with given id", "No node found")


class FrameGone(Exception):
    """The frame, or its document, went away."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame; `parent` is None for the page itself."""

    id: str
    parent: Frame | None = None


class Frames:
    """Calls functions of `scripts/actions/elements.js`."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.main = Frame(page.main_frame_id)

    async def inner(self) -> list[Frame]:
        """The frames inside the page, outer before inner."""
        tree = await self._page.session.call("Page.getFrameTree")
        return [frame for frame, _ in zip(_inside(tree["frameTree"], self.main), range(_FRAMES_MAX), strict=False)]

    async def call(self, frame: Frame, function: str, *arguments: Any) -> Any:
        """Call the function in the frame; return what it, or its promise, gives.

        Raises:
            FrameGone
        """
        passed = ", ".join(to_json(argument).decode() for argument in arguments)
        elements = f"(globalThis.elements ??= ({source('actions/elements')})())"
        try:
            answer = await self._page.session.call(
                "Runtime.evaluate",
                expression=f"{elements}.{function}({passed})",
                contextId=await self._context(frame),
                awaitPromise=True,
                returnByValue=True,
            )
        except CdpError as error:
            raise _gone(error) from error
        return value_of(answer)

    async def to_view(self, frame: Frame, x: float, y: float) -> dict[str, Any]:
        """The point of the frame as `x` and `y` of the view, or the `reason` that a pointer does not get there.

        Raises:
            FrameGone
        """
        while frame.parent is not None:
            at = await self._through(frame, frame.parent, x, y)
            if "reason" in at:
                return at
            x, y, frame = at["x"], at["y"], frame.parent
        return await self.call(frame, "inView", x, y)

    async def _through(self, frame: Frame, parent: Frame, x: float, y: float) -> dict[str, Any]:
        session = self._page.session
        await self.call(parent, "focused")  # the functions are there from now on
        try:
            owner = await session.call("DOM.getFrameOwner", frameId=frame.id)
            context_id = await self._context(parent)
            node = await session.call(
                "DOM.resolveNode", backendNodeId=owner["backendNodeId"], executionContextId=context_id
            )
            answer = await session.call(
                "Runtime.callFunctionOn",
                objectId=node["object"]["objectId"],
                functionDeclaration="function (x, y) { return elements.through(this, x, y); }",
                arguments=[{"value": x}, {"value": y}],
                returnByValue=True,
            )
        except CdpError as error:
            raise _gone(error) from error
        return value_of(answer)

    async def _context(self, frame: Frame) -> int:
        """Our world in the frame's document; the same one each time."""
        try:
            created = await self._page.session.call(
                "Page.createIsolatedWorld", frameId=frame.id, worldName="calotype-actions"
            )
        except CdpError as error:
            raise _gone(error) from error
        return int(created["executionContextId"])


def _gone(error: CdpError) -> Exception:
    is_gone = is_context_lost(error) or any(text in error.message for text in _GONE)
    return FrameGone() if is_gone else error


def _inside(tree: dict[str, Any], parent: Frame) -> Iterator[Frame]:
    for child in tree.get("childFrames", ()):
        frame = Frame(child["frame"]["id"], parent)
        yield frame
        yield from _inside(child, frame)
