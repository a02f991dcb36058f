"""Wait until the picture would not change any more (contract, section 3, `settled`).

Ready means: the document is loaded, no request that matters is in flight, web fonts are there, the images of the area
are decoded, and two frames in a row are laid out alike; and all that at the same time.
"""

from __future__ import annotations

from typing import Any

from calotype.capture.activity import PageActivity
from calotype.capture.area import Area
from calotype.capture.deadline import Deadline
from calotype.capture.world import World

_ROUNDS = 20  # a page that asks for something new in each of so many rounds never stops


async def settle(
    world: World, activity: PageActivity, deadline: Deadline, *, area: Area | None, finish_animations: bool
) -> None:
    """Wait until the area (None: the viewport) is ready.

    Raises:
        DeadlineReached: with what was missing.
        ConnectionLost: the page is gone.
    """
    where = area.as_dict() if area else None
    layout = None
    for _ in range(_ROUNDS):
        async with deadline.waiting_for("requests in flight"):
            await activity.until(lambda: activity.has_fired("load") and not activity.in_flight())
        started = activity.requests_started
        async with deadline.waiting_for("fonts and images"):
            report: dict[str, Any] = await world.run("ready", where, finish_animations)
        asked_for_nothing = activity.requests_started == started
        # A page that polls keeps asking; what counts is that the answers no longer move anything.
        if report["stable"] and not activity.in_flight() and (asked_for_nothing or report["layout"] == layout):
            return
        layout = report["layout"]
