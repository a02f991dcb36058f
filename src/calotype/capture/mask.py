"""Paint over what must not be in the picture (`mask`), at the last moment before it is taken."""

from __future__ import annotations

from typing import Any

from calotype.browser.page import Page
from calotype.capture.frames import run_in_frames
from calotype.capture.world import World
from calotype.errors import InvalidRequest
from calotype.request import CaptureRequest


async def mask(page: Page, world: World, request: CaptureRequest) -> list[dict[str, Any]]:
    """Cover every match of each selector, in frames too; return a warning for each selector without one.

    Raises:
        InvalidRequest: a selector is none.
    """
    if not request.mask:
        return []
    matches: list[int | None] = await world.run("mask", request.mask)
    details = [
        {"field": f"mask[{index}]", "message": f"{selector!r} is not a valid CSS selector."}
        for index, (selector, count) in enumerate(zip(request.mask, matches, strict=True))
        if count is None
    ]
    if details:
        raise InvalidRequest(details[0]["message"], details=details)
    in_frames = await run_in_frames(page, "mask", request.mask)
    counts = [sum(count or 0 for count in each) for each in zip(matches, *in_frames.results, strict=True)]
    if in_frames.unreached:
        message = "Frames were too busy to be masked; what is in them is in the picture as it is."
        return [{"code": "frame_not_reached", "field": "mask", "message": message}]
    return [
        {"code": "nothing_masked", "field": f"mask[{index}]", "message": f"Nothing matches {selector!r}."}
        for index, (selector, count) in enumerate(zip(request.mask, counts, strict=True))
        if not count
    ]
