"""Which part of the document the picture shows, in CSS pixels of the document."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from calotype.browser.page import Page
from calotype.capture.deadline import Deadline, DeadlineReached
from calotype.capture.wait import wait_for_element
from calotype.capture.world import World
from calotype.errors import InvalidRequest, SelectorNotFound
from calotype.request import CaptureRequest

_ELEMENT_WAIT_S = 5.0  # after the page settled


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    def as_dict(self) -> dict[str, float]:
        return {"x": self.x, "y": self.y, "width": self.width, "height": self.height}

    def on_whole_pixels(self) -> Area:
        """The smallest rectangle on whole pixels around it: a cut between pixels would blur the picture."""
        x, y = math.floor(self.x), math.floor(self.y)
        return Area(x, y, math.ceil(self.x + self.width) - x, math.ceil(self.y + self.height) - y)

    def padded(self, padding: float, document: Area) -> Area:
        """With `padding` on each side, but not beyond the document where it is not there already."""
        left, top = min(self.x, max(0.0, self.x - padding)), min(self.y, max(0.0, self.y - padding))
        right = max(self.x + self.width, min(document.width, self.x + self.width + padding))
        bottom = max(self.y + self.height, min(document.height, self.y + self.height + padding))
        return Area(left, top, right - left, bottom - top)


async def whole_document(page: Page) -> Area:
    """All that can be scrolled to."""
    metrics = await page.call_when_active("Page.getLayoutMetrics")
    size = metrics["cssContentSize"]
    return Area(0, 0, math.ceil(size["width"]), math.ceil(size["height"]))


async def full_page(page: Page, max_height: int) -> Area:
    """The document down to `max_height`."""
    document = await whole_document(page)
    return Area(0, 0, document.width, min(document.height, max_height))


async def bring_into_view(world: World, selector: str, deadline: Deadline) -> Area:
    """Wait for the element, scroll it into view and return its border box.

    Raises:
        SelectorNotFound, InvalidRequest
    """
    wait = Deadline(min(_ELEMENT_WAIT_S, deadline.remaining_s))
    try:
        async with wait.waiting_for("the element"):
            await wait_for_element(world, selector, "visible", field="selector")
    except DeadlineReached as reached:
        raise _not_found(selector) from reached
    async with deadline.waiting_for("the element's place"):
        return await _element_box(world, selector)


async def captured_area(page: Page, world: World, request: CaptureRequest) -> Area | None:
    """What the request asks to be cut; None for the viewport.

    Raises:
        SelectorNotFound: the element is gone.
        InvalidRequest: the clip shows nothing of the document.
    """
    if request.full_page:
        return await full_page(page, request.max_height)
    if request.clip is not None:
        clip = Area(request.clip.x, request.clip.y, request.clip.width, request.clip.height).on_whole_pixels()
        _check_clip(clip, await whole_document(page))
        return clip
    if request.selector is not None:
        box = await _element_box(world, request.selector)
        return box.padded(request.padding, await whole_document(page)).on_whole_pixels()
    return None


async def cut_warnings(page: Page, request: CaptureRequest) -> list[dict[str, Any]]:
    """A warning if a full page does not fit into `max_height`."""
    if not request.full_page:
        return []
    document = await whole_document(page)
    if document.height <= request.max_height:
        return []
    message = f"The page is {document.height:g} px high; the picture ends at max_height, {request.max_height} px."
    return [{"code": "max_height_reached", "field": "max_height", "message": message}]


async def _element_box(world: World, selector: str) -> Area:
    box: dict[str, float] | None = await world.run("element_box", selector)
    if box is None or not (box["width"] and box["height"]):
        raise _not_found(selector)
    return Area(**box)


def _check_clip(clip: Area, document: Area) -> None:
    if clip.x >= document.width or clip.y >= document.height:
        message = f"The clip lies outside of the document, which is {document.width:g}x{document.height:g}."
        raise InvalidRequest(message, details=[{"field": "clip", "message": message}])


def _not_found(selector: str) -> SelectorNotFound:
    message = f"No visible element matches {selector!r}."
    return SelectorNotFound(message, details=[{"field": "selector", "message": message}])
