"""Wait until the picture would not change any more (contract, section 3, `settled`).

Ready means: the document is loaded, no request that matters is in flight, web fonts are there, the images of the area
are decoded, and two frames in a row are laid out alike; and all that at the same time.
"""

from __future__ import annotations

import asyncio
from typing import Any

from calotype.capture.activity import PageActivity
from calotype.capture.area import Area
from calotype.capture.deadline import Deadline
from calotype.capture.world import World

_LOOK_MS = 250  # after so long the page says what it still waits for
_RESTLESS_S = 2.0  # a page whose layout moved for so long, all being there, never stops
_ASKING_S = 10.0  # a page that asks for more so long after it was complete for the first time never stops
_AGAIN = 0.25  # of those times, when a capture settles again on a page that was given up
_PHRASES = {
    "fonts": "web fonts",
    "images": "images to be decoded",
    "layout": "two frames that are laid out alike",
}


async def settle(
    world: World, activity: PageActivity, deadline: Deadline, *, area: Area | None, finish_animations: bool
) -> None:
    """Wait until the area (None: the viewport) is ready.

    Raises:
        DeadlineReached: with what was missing.
        ConnectionLost: the page is gone.
    """
    where = area.as_dict() if area else None
    waiting: str | None = "layout"
    layout: int | None = None
    restless_s, complete_at = 0.0, None
    most_restless_s = _RESTLESS_S * (_AGAIN if deadline.gave_up("layout") else 1)
    most_asking_s = _ASKING_S * (_AGAIN if deadline.gave_up("requests") else 1)
    while True:
        async with deadline.waiting_for("requests in flight", "requests"):
            await activity.until(lambda: activity.has_fired("load") and not activity.requests.that_matter())
        started, began = activity.requests.started, _now()
        async with deadline.waiting_for(_PHRASES[waiting or "layout"]):
            report: dict[str, Any] = await world.run("ready", where, finish_animations, _LOOK_MS)
        waiting = report["waiting"]
        for name, elapsed_ms in report["waits"].items():
            deadline.note_wait(name, elapsed_ms, ended=name != waiting)
        is_like_before = report["layout"] == layout
        # A page that polls keeps asking; what counts is that the answers no longer move anything.
        asked_for_nothing = activity.requests.started == started
        if waiting is None and not activity.requests.that_matter() and (asked_for_nothing or is_like_before):
            return
        if not is_like_before:
            activity.requests.something_came_of_them()
        layout = report["layout"]
        if waiting in (None, "layout"):
            restless_s += _now() - began
            if restless_s >= most_restless_s:
                deadline.note_wait(waiting or "requests", 0, ended=False)
                return
        if waiting is None:
            complete_at = complete_at or began
            if _now() - complete_at >= most_asking_s:
                deadline.note_wait("requests", 0, ended=False)
                return


def _now() -> float:
    return asyncio.get_running_loop().time()
