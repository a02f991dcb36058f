"""Paint over what must not be in the picture (`mask`), at the last moment before it is taken."""

from __future__ import annotations

from typing import Any

from calotype.capture.world import World
from calotype.errors import InvalidRequest
from calotype.request import CaptureRequest


async def mask(world: World, request: CaptureRequest) -> list[dict[str, Any]]:
    """Cover every match of each selector; return a warning for each selector without one.

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
    return [
        {"code": "nothing_masked", "field": f"mask[{index}]", "message": f"Nothing matches {selector!r}."}
        for index, (selector, count) in enumerate(zip(request.mask, matches, strict=True))
        if not count
    ]
